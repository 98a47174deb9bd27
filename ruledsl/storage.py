"""Where derived files live between runs, and how files get there without ever being half written."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ruledsl.errors import RunError


def cache_folder() -> Path:
    """`$RULEDSL_CACHE`, else `ruledsl` under `$XDG_CACHE_HOME` or `~/.cache`."""
    given = os.environ.get("RULEDSL_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ruledsl"


_UNFINISHED = ".unfinished-"


def sweep(folder: Path) -> None:
    """Remove what a killed `write_atomically` left behind; only while nobody else writes there."""
    for path in folder.glob(f".*{_UNFINISHED}*"):
        path.unlink(missing_ok=True)


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write to a neighbour, flush to disk, then move into place: readers see all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}{_UNFINISHED}", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """A whole text file, atomically."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def write_json(path: Path, document: Any) -> None:
    """JSON with NaN and infinities as null: any reader accepts it."""
    write_text(path, json.dumps(finite(document), indent=2, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """A JSON value with null for every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


def read_json(path: Path) -> Any:
    """A JSON document. Raises `RunError` when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except RecursionError:
        raise RunError(f"{path} is damaged: it is nested too deeply") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}") from None


def make_folder(path: Path) -> Path:
    """A folder that can be written, made before anything is computed that could be lost.
    Raises `RunError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path, prefix=f".{_UNFINISHED}"):
            pass
    except OSError as error:
        raise RunError(f"{path} cannot be used for results: {error.strerror or error}") from None
    return path
