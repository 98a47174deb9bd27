"""A user's own samples: one `.npz` or `.safetensors` file with the arrays `x` and `y`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ruledsl.tasks.source import DataError, ImageSource, Indices, Pixels

SUFFIXES = (".npz", ".safetensors")


def open_file(path: Path) -> ImageSource:
    """x (n, …) numbers; y (n,) whole numbers as labels, or (n, k) reals as targets of a regression.

    x of shape (n, side, side) is a set of pictures; anything else is flattened to vectors, taken as they are.

    Raises:
        DataError: the file is missing or damaged, holds pickled objects, or its arrays do not fit together.
    """
    arrays = _read_safetensors(path) if path.suffix == ".safetensors" else _read_npz(path)
    missing = [name for name in ("x", "y") if name not in arrays]
    if missing:
        raise DataError(f"{path} has no array `{missing[0]}`; it holds {', '.join(sorted(arrays)) or 'nothing'}")
    x, y = arrays["x"], arrays["y"]
    if len(x) != len(y) or len(x) == 0 or x.ndim < 2:
        raise DataError(f"{path}: x has shape {x.shape} and y {y.shape}; both need one row for each sample")
    if not np.isfinite(x).all() or not np.isfinite(y).all():
        raise DataError(f"{path} holds numbers that are not finite")
    side = x.shape[1] if x.ndim == 3 and x.shape[1] == x.shape[2] else 0
    samples = np.asarray(x if side else x.reshape(len(x), -1), dtype=np.float32)

    def read(places: Indices) -> Pixels:
        return samples[places]

    if np.issubdtype(y.dtype, np.floating):
        targets = np.asarray(y.reshape(len(y), -1), dtype=np.float32)
        return ImageSource(path.name, side, np.zeros(len(x), dtype=np.int64), read, targets)
    if y.ndim != 1:
        raise DataError(f"{path}: y has shape {y.shape}; labels are one whole number for each sample")
    return ImageSource(path.name, side, np.asarray(y, dtype=np.int64), read)


def _read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except Exception as error:  # zipfile and numpy raise many types for a damaged file
        raise DataError(f"{path} cannot be read as .npz: {error}") from None


def _read_safetensors(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        raise DataError("`.safetensors` needs a package that is not installed: pip install 'ruledsl[files]'") from None
    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (SafetensorError, OSError, TypeError, KeyError) as error:
        raise DataError(f"{path} cannot be read as .safetensors: {error}") from None
