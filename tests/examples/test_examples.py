"""The worked examples run, each way to learn through every kind of model, at toy size."""

from __future__ import annotations

import runpy
import sys

import pytest

from tests import ROOT

SOME = "SGD,feedback alignment,balanced"
WAYS = {"mlp": ("", 7), "convnet": (SOME + ",direct feedback alignment", 4), "rnn": (SOME, 3)}


@pytest.mark.parametrize("name", WAYS)
def test_an_example_compares_every_way_to_learn(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ways, count = WAYS[name]
    sizes = ["--train", "64", "--held-out", "32", "--seeds", "2", "--ways", ways]
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *sizes])
    monkeypatch.syspath_prepend(ROOT / "examples")  # where Python looks first, for a script that is run
    runpy.run_path(f"examples/{name}.py", run_name="__main__")
    said = capsys.readouterr().out
    table = said[said.index("| step |") :]
    rows = [line.split("|")[1:-1] for line in table.splitlines()[2:]]
    assert len(rows) == count
    assert all("diverges" in row[2] or 0.0 <= float(row[2].split("±")[0]) <= 1.0 for row in rows)
