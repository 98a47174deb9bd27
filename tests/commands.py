"""The command line, called in this process, and the toy training that most tests share."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from ruledsl.cli import main

TOY = ["--sizes", "196-12-8-47", "--labels", "3", "--shots", "4", "--queries", "3", "--threads", "1"]
SMALL = {"sizes": "49-10-47", "labels": 3, "shots": 4, "queries": 3, "episodes": 3, "threads": 1}
"""The same idea as keywords of `ruledsl.train`."""


def run(*arguments: object) -> Result:
    """`ruledsl ARGUMENTS`."""
    return CliRunner().invoke(main, [str(a) for a in arguments])


def train(out: Path, *more: object, rule: str = "bio", episodes: int = 6) -> Result:
    """`ruledsl train RULE` at toy size."""
    return run("train", rule, *TOY, "--episodes", episodes, "--out", out, *more)
