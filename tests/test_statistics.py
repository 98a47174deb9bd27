"""Intervals against tables, coverage and closed forms; their one printed form."""

from __future__ import annotations

import math

import pytest
import torch

from ruledsl.statistics import Interval, intervals, moving_average, t_quantile


@pytest.mark.parametrize(
    ("degrees", "expected"), [(1, 12.706205), (2, 4.302653), (4, 2.776445), (9, 2.262157), (30, 2.042272)]
)
def test_t_quantiles_are_the_tables(degrees: int, expected: float) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(expected, abs=1e-6)


def test_intervals_cover_the_mean_as_often_as_they_say() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(2000, 5, dtype=torch.float64, generator=generator)
    found = [Interval.of(row.tolist()) for row in samples]
    hits = sum(i.low <= 0 <= i.high for i in found)
    assert 0.935 < hits / 2000 < 0.965


def test_moving_averages_pass_over_what_is_not_finite() -> None:
    assert moving_average([1.0, math.nan, 3.0], 3) == [1.0, 2.0, 3.0]
    assert moving_average([0.0, 3.0, 6.0, 9.0], 3) == [1.5, 3.0, 6.0, 7.5]


def test_differences_are_paired_where_seeds_saw_the_same_tasks() -> None:
    a, b = {0: 0.5, 1: 0.7, 2: 0.9}, {0: 0.4, 1: 0.61, 2: 0.79}
    paired = Interval.minus(a, b, paired=True)
    assert paired.mean == pytest.approx(0.1)
    assert paired.half == pytest.approx(4.302653 * 0.01 / 3**0.5, rel=1e-5)
    apart = Interval.minus(a, b, paired=False)
    assert apart.mean == pytest.approx(0.1)
    assert apart.half == pytest.approx(0.4471, abs=2e-3)  # Welch by scipy.stats: df 3.98, se 0.1609


@pytest.mark.parametrize(
    ("interval", "form", "text"),
    [
        (Interval(0.7071, 0.0052), "", "0.7071 ± 0.0052"),
        (Interval(0.7071, 0.0052), ".3f", "0.707 ± 0.005"),
        (Interval(0.1, 0.02), "+.3f", "+0.100 ± 0.020"),
        (Interval(0.7071), ".3f", "0.707"),
        (Interval(math.nan), ".3f", "not finite"),
        (Interval(2.0, 0.0), "", "2 ± 0"),
        (Interval(1e-7, 2e-8), "", "1.0e-07 ± 2e-08"),
    ],
)
def test_an_interval_has_one_printed_form(interval: Interval, form: str, text: str) -> None:
    assert interval.text(form) == text


def test_an_interval_survives_its_document() -> None:
    assert Interval.read(Interval(0.5, 0.1).json()) == Interval(0.5, 0.1)
    assert math.isnan(Interval.read({"mean": 0.5, "half_width_95": None}).half)
    assert [i.mean for i in intervals([[1.0, 2.0], [3.0, 4.0]])] == [2.0, 3.0]
    assert Interval.of([0.5, math.nan]).text(".1f") == "0.5"
