"""Where a benchmark's table goes, and what stands below it: the command, the date and the machine."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import click
import torch

from ruledsl import __version__


def write_page(module: str, lines: Sequence[str], out: Path | None) -> None:
    """Print a page of `python -m benchmarks.MODULE`, and write it where `out` says."""
    command = shlex.join(["python", "-m", f"benchmarks.{module}", *sys.argv[1:]])
    cores = len(os.sched_getaffinity(0))
    machine = f"{platform.machine()}, {cores} cores, torch {torch.__version__}"
    stamp = ["", f"Command: `{command}`  ", f"{date.today().isoformat()}; ruledsl {__version__}; {machine}."]
    text = "\n".join([*lines, *stamp])
    click.echo(text)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n", encoding="utf-8")
