"""The worked examples run, each way to learn through every kind of model, at toy size."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import ROOT

SOME = "SGD,feedback alignment,balanced"
WAYS = {"mlp": ("", 7), "convnet": (SOME + ",direct feedback alignment", 4), "rnn": (SOME, 3)}


@pytest.mark.parametrize("name", WAYS)
def test_an_example_compares_every_way_to_learn(name: str) -> None:
    ways, count = WAYS[name]
    sizes = ["--train", "64", "--held-out", "32", "--seeds", "2", "--ways", ways]
    command = [sys.executable, f"examples/{name}.py", *sizes]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    table = done.stdout[done.stdout.index("| step |") :]
    rows = [line.split("|")[1:-1] for line in table.splitlines()[2:]]
    assert len(rows) == count
    assert all("diverges" in row[2] or 0.0 <= float(row[2].split("±")[0]) <= 1.0 for row in rows)
