"""Compiles generated C++ once per machine and loads it; everything works without it."""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from filelock import FileLock

from ruledsl.storage import NotOurs, cache_folder, is_kept, keep, private_folder, sweep_old

OPTIMISED = ("-O2",)
OPTIMISED_BY_GCC = (
    "-O1",
    "-fvect-cost-model=very-cheap",
    "-ftree-vrp",
    "-fexpensive-optimizations",
    "-fstrict-aliasing",
    "-fcode-hoisting",
)
"""What kernels gain by of gcc's -O2: the same bits and the same speed, compiled in half the time."""
FLAGS = (
    "-ftree-vectorize",
    "-march=native",
    "-mprefer-vector-width=512",
    "-std=c++17",
    "-fPIC",
    "-fopenmp-simd",
    "-fno-math-errno",
)


BUILDING = ".building-"


class CannotBuild(Exception):
    """There is no compiler, or it refused the code; the message holds its last lines."""


@cache
def compiler() -> str | None:
    """The C++ compiler: `$CXX`, else g++ or clang++; None when there is none."""
    return next(
        (
            found
            for name in (os.environ.get("CXX"), "g++", "clang++")
            if name and (found := shutil.which(name))
        ),
        None,
    )


@cache
def _version() -> str:
    command = compiler()
    if command is None:
        return ""
    return subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout


@cache
def _machine() -> str:
    """What `-march=native` depends on: a library built for another processor must not be loaded."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        features = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    except OSError:
        features = platform.processor()
    return "\n".join((_version(), features, platform.machine(), *_flags()))


def _flags() -> tuple[str, ...]:
    optimised = OPTIMISED_BY_GCC if "Free Software Foundation" in _version() else OPTIMISED
    wide = platform.machine() in ("x86_64", "AMD64")
    return (*optimised, *(f for f in FLAGS if wide or not f.startswith("-mprefer")))


def library_path(*units: str) -> Path:
    """Where the compiled form of this code is kept."""
    digest = hashlib.sha256("\n".join([_machine(), *units]).encode()).hexdigest()[:24]
    return cache_folder() / "kernels" / f"{digest}.so"


def is_built(*units: str) -> bool:
    return compiler() is not None and is_kept(library_path(*units))


def load_library(*units: str) -> ctypes.CDLL:
    """Compile if needed (seconds, once; several units at once), and load. Raises `CannotBuild`.

    Processes that want the same code at the same time wait for the first. A library is loaded only when it
    is byte for byte what was built, from a folder that nobody else can write; else it is built again, and
    where the cache cannot be used, in a folder of this process's own.
    """
    command = compiler()
    if command is None:
        raise CannotBuild("no C++ compiler was found")
    path = library_path(*units)
    try:
        if not is_kept(path):
            private_folder(path.parent)
            with FileLock(path.with_suffix(".lock")):
                if not is_kept(path):
                    _compile(command, units, path)
    except (OSError, NotOurs):
        path = _own_folder() / path.name
        if not is_kept(path):
            _compile(command, units, path)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise CannotBuild(str(error)) from None


@cache
def _own_folder() -> Path:
    """Where this process builds when it cannot use the cache; gone when it ends."""
    folder = tempfile.mkdtemp(prefix="ruledsl-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _compile(command: str, units: Sequence[str], path: Path) -> None:
    sweep_old(path.parent, BUILDING)
    with tempfile.TemporaryDirectory(prefix=BUILDING, dir=path.parent) as folder:
        target, compilers = Path(folder) / "kernel.so", list[subprocess.Popen[str]]()
        try:
            for n, code in enumerate(units):
                source = Path(folder) / f"unit{n}.cpp"
                source.write_text(code, encoding="utf-8")
                compilers.append(_started(command, *_flags(), "-c", source, "-o", source.with_suffix(".o")))
            for one in compilers:
                _finish(one)
            compilers.append(_started(command, "-shared", *Path(folder).glob("*.o"), "-o", target))
            _finish(compilers[-1])
        finally:
            for one in compilers:  # none outlives a fault of another, or a Ctrl-C
                with one:
                    one.kill()
        data = target.read_bytes()
    keep(path, lambda file: file.write(data))


def _started(*command: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(process: subprocess.Popen[str]) -> None:
    """Raises `CannotBuild` when it failed."""
    said, _ = process.communicate()
    if process.returncode:
        raise CannotBuild("\n".join(said.splitlines()[-5:]))
