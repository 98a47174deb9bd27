"""Where derived files live between runs, and how files get there without ever being half written."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from ruledsl.errors import RunError

LOCK = ".lock"
_UNFINISHED = ".unfinished-"
"""In the name of a file that is being written."""


def cache_folder() -> Path:
    """`$RULEDSL_CACHE`, else `ruledsl` under `$XDG_CACHE_HOME` or `~/.cache`."""
    given = os.environ.get("RULEDSL_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ruledsl"


class NotOurs(Exception):
    """A folder or file that another user owns or may write: nothing in it is believed."""


def private_folder(path: Path) -> Path:
    """A folder that only this user can write, made if need be.

    Raises:
        NotOurs: it belongs to somebody else.
        OSError: it cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "posix" and path.stat().st_uid == os.getuid() and path.stat().st_mode & 0o077:
        path.chmod(0o700)
    if not _is_ours(path):
        raise NotOurs(f"{path} belongs to another user")
    return path


def _is_ours(path: Path) -> bool:
    if os.name != "posix":
        return True
    known = path.stat()
    return known.st_uid == os.getuid() and not known.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def keep(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Keep a derived file in a private folder, its digest beside it. Raises as `private_folder`."""
    private_folder(path.parent)
    write_atomically(path, write)
    write_text(_digest_beside(path), _digest_of(path))


def is_kept(path: Path) -> bool:
    """Whether a file that `keep` wrote is there as it was written, and in nobody else's hands."""
    try:
        trusted = _is_ours(path.parent) and _is_ours(path)
        return trusted and _digest_beside(path).read_text(encoding="ascii") == _digest_of(path)
    except (OSError, ValueError):
        return False


def _digest_beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_unfinished(path: Path) -> bool:
    """Whether a file is being written, or was when its writer was killed."""
    return _UNFINISHED in path.name


def sweep_old(folder: Path, prefix: str, seconds: float = 3600.0) -> None:
    """Remove what an interrupted process left behind so long ago that nobody works there."""
    for path in [*folder.glob(f"{prefix}*"), *folder.glob(f".*{_UNFINISHED}*")]:
        try:
            if time.time() - path.stat().st_mtime > seconds:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError:
            continue  # another process was faster, or it is not ours


def sweep(folder: Path) -> None:
    """Remove what a killed `write_atomically` left behind; only while nobody else writes there."""
    for path in folder.glob(f".*{_UNFINISHED}*"):
        path.unlink(missing_ok=True)


@contextmanager
def taking_turns(folder: Path) -> Iterator[None]:
    """One writer at a time in a folder that several processes write to; what a killed one left is swept."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire()
        sweep(folder)
    except NotImplementedError:  # a share without locks: nobody can know whose an unfinished file is
        pass
    try:
        yield
    finally:
        lock.release()


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


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A CSV table; its columns are the keys of the first row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


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


def in_full(text: str, mark: str = ":") -> str:
    """A path that exists, wherever it is read; what is none, such as the name of a shipped rule, as it is.
    What follows `mark` stays."""
    file, found, rest = text.partition(mark)
    return f"{Path(file).absolute()}{found}{rest}" if Path(file).exists() else text


def make_folder(path: Path) -> Path:
    """A folder that can be written, made before anything is computed that could be lost.
    Raises `RunError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):  # without a name, that nobody may sweep it
            pass
    except OSError as error:
        raise RunError(f"{path} cannot be used for results: {error.strerror or error}") from None
    return path
