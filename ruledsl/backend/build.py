"""Compiles generated C++ once per machine and loads it; everything works without it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from filelock import FileLock

from ruledsl.storage import cache_folder

FLAGS = (
    "-O2",
    "-ftree-vectorize",
    "-march=native",
    "-mprefer-vector-width=512",
    "-std=c++17",
    "-shared",
    "-fPIC",
    "-fopenmp-simd",
    "-fno-math-errno",
)


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
def _machine() -> str:
    """What `-march=native` depends on: a library built for another processor must not be loaded."""
    command = compiler()
    version = (
        subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout
        if command
        else ""
    )
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        features = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    except OSError:
        features = platform.processor()
    return "\n".join((version, features, platform.machine(), *_flags()))


def _flags() -> tuple[str, ...]:
    return (
        FLAGS
        if platform.machine() in ("x86_64", "AMD64")
        else tuple(f for f in FLAGS if not f.startswith("-mprefer"))
    )


def library_path(code: str) -> Path:
    """Where the compiled form of this code is kept."""
    digest = hashlib.sha256(f"{_machine()}\n{code}".encode()).hexdigest()[:24]
    return cache_folder() / "kernels" / f"{digest}.so"


def is_built(code: str) -> bool:
    return compiler() is not None and library_path(code).is_file()


def load_library(code: str) -> ctypes.CDLL:
    """Compile if needed (seconds, once), and load. Raises `CannotBuild`.

    Processes that want the same code at the same time wait for the first; a half-written library
    is never seen, since it is moved into place when done.
    """
    command = compiler()
    if command is None:
        raise CannotBuild("no C++ compiler was found")
    path = library_path(code)
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                if not path.is_file():
                    _compile(command, code, path)
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise CannotBuild(str(error)) from None


def _compile(command: str, code: str, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        source, target = Path(folder) / "kernel.cpp", Path(folder) / "kernel.so"
        source.write_text(code, encoding="utf-8")
        done = subprocess.run(
            [command, *_flags(), str(source), "-o", str(target)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CannotBuild("\n".join(done.stderr.splitlines()[-5:]))
        os.replace(target, path)
