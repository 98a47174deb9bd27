"""The worked examples run, each way to learn through every kind of model, at toy size."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import ROOT

WAYS = {"mlp": 7, "convnet": 7, "rnn": 6}


@pytest.mark.parametrize("name", WAYS)
def test_an_example_compares_every_way_to_learn(name: str) -> None:
    command = [sys.executable, f"examples/{name}.py", "--train", "256", "--held-out", "64", "--seeds", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    table = done.stdout[done.stdout.index("| step |") :]
    rows = [line.split("|")[1:-1] for line in table.splitlines()[2:]]
    assert len(rows) == WAYS[name]
    assert all(0.0 <= float(row[2].split("±")[0]) <= 1.0 for row in rows)
