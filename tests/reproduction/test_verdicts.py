"""Verdicts from intervals, and what measures are taken from: pure, nothing is run."""

from __future__ import annotations

import math

import pytest

from ruledsl import RunError
from ruledsl.reproduction import episodes_of, settling_episode, verdict_of


@pytest.mark.parametrize(
    ("by_seed", "verdict"),
    [
        ((0.24, 0.25, 0.26), "agrees"),
        ((0.28, 0.29, 0.30), "open"),
        ((0.39, 0.40, 0.41), "disagrees"),
        ((0.0, 0.1, 0.4), "open"),
        ((0.25,), "open"),
    ],
)
def test_a_claim_agrees_when_the_whole_interval_is_accepted(by_seed: tuple[float, ...], verdict: str) -> None:
    assert verdict_of(by_seed, 0.2, 0.3) == verdict


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_seed_that_is_not_finite_leaves_a_claim_open(value: float) -> None:
    assert verdict_of([0.25, 0.26, value], 0.2, 0.3) == "open"


def test_a_claim_about_a_sign_is_open_where_nothing_happened() -> None:
    assert verdict_of([0.0, 0.0, 0.0], -math.inf, 0.0) == "open"
    assert verdict_of([0.3, 0.3, 0.3], 0.0, math.inf) == "agrees"


def test_a_coefficient_settles_where_it_stays_near_its_last_value() -> None:
    climb = [min(1.0, n / 50) for n in range(300)]
    assert 35 <= settling_episode(climb) <= 45
    assert settling_episode([(-1.0) ** (n // 50) for n in range(300)]) == 300
    assert math.isnan(settling_episode([(-1.0) ** (n // 7) for n in range(150)], share=0.3))
    assert settling_episode([2.0] * 50) == 0


def test_windows_shrink_with_the_budget_and_never_lie_past_the_end() -> None:
    assert episodes_of((100, 500), 500, 1.0) == (100, 500)
    assert episodes_of((100, 500), 150, 0.3) == (30, 150)
    with pytest.raises(RunError, match="only 60 were run"):
        episodes_of((300, 350), 60, 1.0)
    assert episodes_of(None, 7, 1.0) == (0, 7)
