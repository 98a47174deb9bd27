"""Reads NIST's idx files in place: images are mapped, and only those asked for are decoded."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ruledsl.errors import DataError
from ruledsl.tasks.source import ImageSource, Pixels


def open_idx(path: Path) -> NDArray[np.uint8]:
    """A memory map of an idx file of unsigned bytes; raises `DataError` when it is not one."""
    with path.open("rb") as file:
        head = file.read(4)
        if len(head) < 4 or head[:3] != b"\0\0\x08" or not 1 <= head[3] <= 3:
            raise DataError(f"{path} is not an idx file of unsigned bytes")
        sizes = file.read(4 * head[3])
    start = 4 + 4 * head[3]
    shape = tuple(int.from_bytes(sizes[n : n + 4], "big") for n in range(0, len(sizes), 4))
    if len(sizes) < 4 * head[3] or path.stat().st_size != start + math.prod(shape) or not math.prod(shape):
        raise DataError(f"{path} is truncated or damaged: it does not hold {shape} bytes")
    return np.memmap(path, dtype=np.uint8, mode="r", offset=start, shape=shape)


def idx_source(name: str, images: Path, labels: Path, transposed: bool) -> ImageSource:
    """Images and labels of one split. EMNIST ships its images transposed; they are turned upright."""
    pixels, targets = open_idx(images), np.asarray(open_idx(labels), dtype=np.int64)
    if len(pixels) != len(targets) or pixels.ndim != 3 or pixels.shape[1] != pixels.shape[2]:
        raise DataError(f"{images} and {labels} do not belong together")

    def read(places: NDArray[np.int64]) -> Pixels:
        chosen = pixels[places].astype(np.float32) / 255.0
        return chosen.transpose(0, 2, 1) if transposed else chosen

    return ImageSource(name, int(pixels.shape[1]), targets, read)
