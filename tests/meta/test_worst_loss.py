"""The loss beyond which a stream counts as diverged: one rule, for the trainer and for selection."""

from __future__ import annotations

import math

import pytest

import ruledsl
from ruledsl import TrainSettings
from ruledsl.meta import naive_networks, worst_loss
from ruledsl.tasks import open_dataset
from tests import ROOT


def worst(**settings: object) -> tuple[float, float]:
    """The bound, and the mean squared target of the networks that it was taken from."""
    chosen = TrainSettings.of(labels=3, shots=4, queries=3, **settings)
    naive = naive_networks(ruledsl.load("bio").program, chosen, open_dataset("glyphs", ROOT / "data"))
    squares = float(naive.y.square().sum(-1).mean()) if naive.y.is_floating_point() else math.nan
    return worst_loss(chosen, naive), squares


def test_labels_cost_twice_what_knowing_nothing_costs() -> None:
    assert worst(sizes="49-10-47")[0] == pytest.approx(2 * math.log(47))


def test_weights_of_an_objective_count() -> None:
    assert worst(sizes="49-10-47", objective="3*query")[0] == pytest.approx(6 * math.log(47))


def test_linear_outputs_are_measured_against_their_targets() -> None:
    found, squares = worst(sizes="10-8-4", tasks="teacher_network", output="linear")
    assert found == pytest.approx(5 * squares)
    assert worst(sizes="49-10-47", output="linear")[0] == 5.0
