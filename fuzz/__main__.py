"""`python -m fuzz ATTACK`: try many cases of one seed; every finding is printed, and the exit code is 1 then.

Cases run in a worker process: one that ends the process is a finding like any other, and the rest goes on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from fuzz.attack import Attack, Finding
from fuzz.claims import Claims
from fuzz.data import Data
from fuzz.folders import Folders
from fuzz.kills import Kills
from fuzz.options import Options
from fuzz.studies import Studies
from fuzz.texts import Texts
from fuzz.workers import Workers

ATTACKS: dict[str, type[Attack]] = {
    a.name: a for a in (Texts, Claims, Folders, Data, Options, Studies, Kills, Workers)
}
EVERY = 5.0


@click.command()
@click.argument("attack", type=click.Choice(list(ATTACKS)))
@click.option("--count", default=1000, show_default=True, help="Cases.")
@click.option("--seconds", default=0.0, help="Stop after this long.  [default: never]")
@click.option("--seed", default=0, show_default=True)
@click.option("--first", default=0, show_default=True, help="Number of the first case.")
@click.option("--only", type=int, default=None, help="Try this case alone, in this process, and show it.")
@click.option("--worker", is_flag=True, hidden=True)
def main(
    attack: str, count: int, seconds: float, seed: int, first: int, only: int | None, worker: bool
) -> None:
    """Try many cases of ATTACK, and print what went wrong."""
    if worker:
        _work(attack, count, seed, first)
        return
    if only is not None:
        with tempfile.TemporaryDirectory() as folder:
            tried = ATTACKS[attack](Path(folder))
            click.echo(f"{tried.run(seed, only)}")
        return
    findings, ends = _watched(attack, count, seconds, seed, first)
    told = ", ".join(f"{n} {e}" for e, n in ends.most_common())
    click.echo(f"{attack}, seed {seed}: {sum(ends.values())} cases ({told}); {len(findings)} wrong")
    sys.exit(int(bool(findings)))


def _work(attack: str, count: int, seed: int, first: int) -> None:
    """Try cases and tell of each on a line of its own: its number before, how it ended after."""
    with tempfile.TemporaryDirectory() as folder:
        tried = ATTACKS[attack](Path(folder))
        for number in range(first, first + count):
            sys.__stdout__.write(f"> {number}\n")  # type: ignore[union-attr]
            sys.__stdout__.flush()  # type: ignore[union-attr]
            ended, finding = tried.run(seed, number)
            told = {"ended": ended, "finding": asdict(finding) if finding else None}
            sys.__stdout__.write(f"< {json.dumps(told)}\n")  # type: ignore[union-attr]
            sys.__stdout__.flush()  # type: ignore[union-attr]


def _watched(
    attack: str, count: int, seconds: float, seed: int, first: int
) -> tuple[list[Finding], Counter[str]]:
    findings: list[Finding] = []
    ends: Counter[str] = Counter()
    started = told = time.monotonic()
    number = at = first - 1
    while number + 1 < first + count and not (seconds and time.monotonic() - started > seconds):
        left = first + count - number - 1
        command = [sys.executable, "-m", "fuzz", attack, "--worker", f"--count={left}", f"--seed={seed}",
                   f"--first={number + 1}"]  # fmt: skip
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("> "):
                    at = int(line[2:])
                elif line.startswith("< "):
                    number, said = at, json.loads(line[2:])
                    ends[said["ended"]] += 1
                    if said["finding"]:
                        findings.append(Finding(**said["finding"]))
                        click.echo(str(findings[-1]))
                if time.monotonic() - told > EVERY:
                    told = time.monotonic()
                    click.echo(f"{sum(ends.values())} of {count}, {len(findings)} wrong", err=True)
                if seconds and time.monotonic() - started > seconds:
                    process.kill()
                    break
        if process.returncode > 0 or (process.returncode < 0 and at > number and process.returncode != -9):
            ends["died"] += 1
            findings.append(
                Finding(attack, seed, at, f"ended the process: {process.returncode}", "see --only")
            )
            number = at
    return findings, ends


if __name__ == "__main__":
    main()
