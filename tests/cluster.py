"""Workers that are killed, and a stand-in for Slurm: jobs are processes of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections.abc import Callable, Collection
from pathlib import Path

import psutil
import pytest

SBATCH = """#!/bin/sh
# Keeps the script, as Slurm does, and runs it in the background; of an array, each element after the other.
job="$0.$$"
cp "$1" "$job"
range=$(sed -n 's/^#SBATCH --array=1-//p' "$job")
elements='for SLURM_ARRAY_TASK_ID in $(seq 1 "$2"); do export SLURM_ARRAY_TASK_ID; sh "$1"; done'
if [ -n "$range" ]; then
    setsid sh -c "$elements" sh "$job" "$range" > "$0.log" 2>&1 &
else
    setsid sh "$job" > "$0.log" 2>&1 &
fi
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
kill -- "-$1"
"""


def stand_in_for_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sbatch` and `scancel` in a folder that is first on the path, and the folder that jobs start in."""
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(folder)


def workers() -> list[psutil.Process]:
    """Processes that were spawned to work for this one."""
    children = psutil.Process().children(recursive=True)
    return [p for p in children if p.is_running() and "spawn_main" in " ".join(_line(p))]


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def kill_new(begun: Callable[[], bool], spared: Collection[int]) -> None:
    """Kill every worker that was not there before, as soon as something has begun."""
    while not begun():
        time.sleep(0.01)
    for process in workers():
        if process.pid not in spared:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                os.kill(process.pid, signal.SIGKILL)
