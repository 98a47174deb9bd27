"""A stand-in for Slurm: jobs are processes of this machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

SBATCH = """#!/bin/sh
# Runs the job at once, in the background; of an array, each element after the other.
range=$(sed -n 's/^#SBATCH --array=1-//p' "$1")
(if [ -n "$range" ]; then
    for SLURM_ARRAY_TASK_ID in $(seq 1 "$range"); do export SLURM_ARRAY_TASK_ID; sh "$1"; done
else
    exec sh "$1"
fi) > "$0.log" 2>&1 &
echo "Submitted batch job $!"
"""


def stand_in_for_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sbatch` and `scancel` in a folder that is first on the path, and the folder that jobs start in."""
    for name, text in (("sbatch", SBATCH), ("scancel", '#!/bin/sh\nkill "$@"\n')):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(folder)
