"""Was the machine quiet? Timings beside other work say little, and must not look like others."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

STAT = Path("/proc/stat")
QUIET = 0.05
"""Part of the cores that others may take."""


class Watch:
    """From its making on: how much of the machine is taken by anything but this process and its children."""

    def __init__(self) -> None:
        self.began, self.busy, self.own = time.monotonic(), _busy(), _own()

    def others(self) -> float | None:
        """Part of all cores; None where the system does not tell (no /proc)."""
        busy = _busy()
        if busy is None or self.busy is None:
            return None
        cores = os.cpu_count() or 1
        taken = (busy - self.busy) - (_own() - self.own)
        return max(0.0, taken / ((time.monotonic() - self.began) * cores))

    def said(self) -> str:
        """A sentence for below a table."""
        others = self.others()
        if others is None:
            return "Whether the machine was quiet is not known."
        if others <= QUIET:
            return f"The machine was quiet: other work took {others:.0%} of its cores."
        return f"**Not quiet: other work took {others:.0%} of the machine's cores.** Believe ratios at most."

    def warn(self) -> None:
        """Look for two seconds, and say so at once if it is not quiet."""
        time.sleep(2)
        if (self.others() or 0.0) > QUIET:
            click.echo(self.said(), err=True)


def _busy() -> float | None:
    """Seconds of all cores that were not idle, since the start of the system."""
    try:
        user, nice, system, _, _, *others = STAT.read_text(encoding="utf-8").splitlines()[0].split()[1:9]
    except (OSError, ValueError):
        return None
    return sum(map(int, (user, nice, system, *others))) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    return sum(os.times()[:4])
