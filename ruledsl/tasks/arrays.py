"""A user's own samples as arrays: checked, scaled where that is plain,
and kept in a file that a run can be resumed from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruledsl.errors import DataError
from ruledsl.storage import write_atomically
from ruledsl.tasks.source import ImageSource, Indices, Pixels

LARGEST = float(np.finfo(np.float32).max)
USUAL = 10.0
"""Inputs beyond this, as a multiple of a grey value's whole range,
are no inputs that the paper's settings can learn from."""


class DataWarning(UserWarning):
    """Data that can be used, but not as they are, or hardly."""


def array_source(arrays: Mapping[str, Any], name: str) -> ImageSource:
    """`x` (n, …) numbers; `y` (n,) whole numbers as labels, or (n, k) reals as targets of a regression.

    x of shape (n, side, side) is a set of pictures; anything else is flattened to vectors. Whole numbers from
    0 to 255 are grey values and are scaled to 0 … 1, which is said (`DataWarning`); all else is taken as it
    is.

    Raises:
        DataError: an array is missing, the two do not fit together, or they hold what no network can be
            shown.
    """
    missing = [key for key in ("x", "y") if key not in arrays]
    if missing:
        raise DataError(
            f"{name} has no array `{missing[0]}`; it holds {', '.join(sorted(arrays)) or 'nothing'}"
        )
    x, y = (np.asarray(arrays[key]) for key in ("x", "y"))
    for key, array in (("x", x), ("y", y)):
        if array.dtype.kind not in "biuf":
            raise DataError(f"{name}: `{key}` holds {array.dtype}, not real numbers")
    if x.ndim < 2 or y.ndim < 1 or len(x) != len(y) or x.size == 0 or y.size == 0:
        raise DataError(f"{name}: x has shape {x.shape} and y {y.shape}; both need one row for each sample")
    if not np.isfinite(x).all() or not np.isfinite(y).all():
        raise DataError(f"{name} holds numbers that are not finite")
    side = x.shape[1] if x.ndim == 3 and x.shape[1] == x.shape[2] else 0
    samples = _scaled(x if side else x.reshape(len(x), -1), name)

    def read(places: Indices) -> Pixels:
        return samples[places]

    if np.issubdtype(y.dtype, np.floating):
        if float(np.abs(y, dtype=np.float64).max()) > LARGEST:
            raise DataError(f"{name}: y holds numbers beyond single precision")
        targets = np.asarray(y.reshape(len(y), -1), dtype=np.float32)
        return ImageSource(name, side, np.zeros(len(x), dtype=np.int64), read, targets)
    if y.ndim != 1:
        raise DataError(f"{name}: y has shape {y.shape}; labels are one whole number for each sample")
    return ImageSource(name, side, np.asarray(y, dtype=np.int64), read)


def _scaled(x: NDArray[Any], name: str) -> Pixels:
    if x.dtype.kind in "iu" and x.min() >= 0 and 1 < x.max() <= 255:
        warnings.warn(
            f"{name}: x holds whole numbers up to {x.max()}; scaled from 0 … 255 to 0 … 1", DataWarning, 3
        )
        return np.asarray(x, dtype=np.float32) / np.float32(255.0)
    largest = (
        float(np.abs(x, dtype=np.float64).max())
        if x.dtype.kind == "f"
        else float(max(x.max(), -int(x.min())))
    )
    if largest > LARGEST:
        raise DataError(f"{name}: x holds numbers as large as {largest:.3g}, beyond single precision")
    if largest > USUAL:
        warnings.warn(
            f"{name}: x holds numbers as large as {largest:.3g}; settings are made for inputs of about 0 … "
            f"1, and learning "
            "may diverge: scale x first",
            DataWarning,
            3,
        )
    return np.asarray(x, dtype=np.float32)


def as_arrays(data: Any) -> dict[str, NDArray[Any]]:
    """x and y of a pair of arrays or tensors, or of a torch `Dataset` of (sample, answer).

    Raises `DataError` for anything else.
    """
    if isinstance(data, tuple | list) and len(data) == 2:
        return {key: np.asarray(part) for key, part in zip(("x", "y"), data, strict=True)}
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, str | Mapping):
        pairs = [data[n] for n in range(len(data))]
        if pairs and all(isinstance(p, tuple | list) and len(p) == 2 for p in pairs):
            return {
                "x": np.stack([np.asarray(x) for x, _ in pairs]),
                "y": np.asarray([np.asarray(y) for _, y in pairs]),
            }
    raise DataError(
        "a data set is a name, a file, a pair of arrays (x, y) or a torch Dataset of (sample, answer)"
    )


def write_arrays(path: Path, data: Any) -> ImageSource:
    """Keep a user's arrays as a `.npz` file, and open it. Raises `DataError` when they cannot be used."""
    arrays = as_arrays(data)
    source = array_source(arrays, path.name)
    write_atomically(path, lambda file: np.savez_compressed(file, x=arrays["x"], y=arrays["y"]))
    return source
