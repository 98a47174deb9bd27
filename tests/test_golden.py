"""Metrics recorded by earlier code: the same, bit for bit. With the recipe `paper` by that before the upper
house was rebuilt (commit 06542fe), with `robust` since it feels how far a coefficient may be moved; `pool`
and `compiled` since compiled steps round a weight once a sample, rows six at a time.

Where the processor or torch is not that of tests/golden/machine-RECIPE.txt, sums come in another order; there
the numbers must agree to float32's accuracy over so few episodes.
"""

from __future__ import annotations

import csv
import hashlib
import math
import shutil
from pathlib import Path

import pytest
import torch

import ruledsl
from tests import ROOT

GOLDEN = ROOT / "tests" / "golden"
TRAININGS = {
    "pool": ("pool", {"l1": (0.0, 0.5)}),
    "bio": ("bio", {}),
    "kolen_pollack": ("kolen_pollack", {}),
    "three_factor": ("three_factor", {}),
    "per_layer": ("bio", {"theta_per": "layer"}),
    "symmetric": ("bio", {"feedback": "symmetric"}),
    "direct": ("bio", {"feedback": "direct"}),
    "compiled": ("bio", {"backend": "compiled"}),
}
NETWORK = {
    "sizes": "49-20-12-10", "episodes": 6, "labels": 3, "shots": 5, "queries": 3, "threads": 1, "seeds": 2,
}  # fmt: skip


def machine() -> str:
    """What decides the order of floating-point sums: the processor's abilities and torch."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    flags = sorted(set(next((line for line in lines if line.startswith("flags")), "").split()))
    model = next((line for line in lines if line.startswith("model name")), "")
    return f"{hashlib.sha256(' '.join([model, *flags]).encode()).hexdigest()[:16]} torch {torch.__version__}"


@pytest.mark.parametrize("recipe", ["robust", "paper"])
@pytest.mark.parametrize("name", TRAININGS)
def test_trainings_give_the_recorded_numbers(name: str, recipe: str, tmp_path: Path) -> None:
    rule, more = TRAININGS[name]
    ruledsl.train(rule, out=tmp_path / "run", progress=False, recipe=recipe, **NETWORK, **more)
    found, golden = tmp_path / "run" / "metrics.csv", GOLDEN / f"{name}-{recipe}.csv"
    if (GOLDEN / f"machine-{recipe}.txt").read_text(encoding="utf-8").strip() == machine():
        assert found.read_bytes() == golden.read_bytes()
    else:
        assert_close(found, golden)


def assert_close(found: Path, golden: Path) -> None:
    with found.open() as ours, golden.open() as theirs:
        for row, expected in zip(csv.reader(ours), csv.reader(theirs), strict=True):
            for value, number in zip(row, expected, strict=True):
                if value != number:
                    assert math.isclose(float(value), float(number), rel_tol=1e-2, abs_tol=1e-5)


def test_a_run_folder_of_the_code_before_opens_goes_on_and_reports(tmp_path: Path) -> None:
    """tests/golden/old_run: `bio`, six episodes, made by commit 06542fe."""
    folder = tmp_path / "run"
    shutil.copytree(GOLDEN / "old_run", folder)
    run = ruledsl.open_run(folder)
    assert run.state == "finished"
    assert list(run.theta) == ["pseudo_gradient", "error_hebb", "oja_subspace"]
    run.resume(episodes=8)
    again = ruledsl.open_run(folder)
    assert again.metrics.column(0, "episode") == [float(n) for n in range(8)]
    recorded = (GOLDEN / "old_run" / "metrics.csv").read_bytes()
    assert (folder / "metrics.csv").read_bytes().startswith(recorded)
    assert ruledsl.report(again).exists()
