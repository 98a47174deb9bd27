"""A user's own samples: one `.npz` or `.safetensors` file with the arrays `x` and `y`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ruledsl.errors import DataError, require
from ruledsl.settings import machine_bytes
from ruledsl.tasks.arrays import array_source
from ruledsl.tasks.source import ImageSource

SUFFIXES = (".npz", ".safetensors")
WANTED = ("x", "y")


def open_file(path: Path) -> ImageSource:
    """The samples of a file; see `array_source`.

    Raises:
        DataError: the file is missing or damaged, holds pickled objects, or its arrays do not fit together.
    """
    arrays = _read_safetensors(path) if path.suffix == ".safetensors" else _read_npz(path)
    return array_source(arrays, path.name)


def _read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        # Opened here, since numpy leaves a file that is no archive open.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            _refuse_huge(path, {i.filename.removesuffix(".npy"): i.file_size for i in file.zip.infolist()})
            # What else a file holds is not unpacked: of the other arrays only the names are told.
            return {name: file[name] if name in WANTED else np.empty(0) for name in file.files}
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except Exception as error:  # zipfile and numpy raise many types for a damaged file
        reason = str(error)
        if "allow_pickle" in reason:  # numpy's advice is to load pickles, which could run anything
            reason = "it holds Python objects; save arrays of numbers, np.savez(file, x=x, y=y)"
        raise DataError(f"{path} cannot be read as .npz: {reason}") from None


def _refuse_huge(path: Path, sizes: Mapping[str, int]) -> None:
    """Before anything is unpacked: kilobytes may hold gigabytes."""
    unpacked, there = sum(sizes.get(name, 0) for name in WANTED), machine_bytes()
    if unpacked > there // 4:
        raise DataError(
            f"{path} holds {unpacked / 1e9:.3g} GB when unpacked, and this machine has {there / 1e9:.3g} GB: "
            f"keep a part of it, or fewer bits a number"
        )


def _read_safetensors(path: Path) -> dict[str, NDArray[np.generic]]:
    errors, safetensors = require("files", "safetensors", "safetensors.numpy")
    try:
        return dict(safetensors.load_file(path))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (errors.SafetensorError, OSError, TypeError, KeyError, AttributeError, ValueError) as error:
        raise DataError(f"{path} cannot be read as .safetensors: {error}") from None
