"""Means over seeds with Student-t intervals: the only ones that cover 95 % at five to ten seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from functools import cache

import mpmath


@cache
def t_quantile(probability: float, degrees: float) -> float:
    """The Student-t quantile, by inverting its distribution function; probability in (0.5, 1)."""

    def excess(t: float) -> float:
        tail = mpmath.betainc(degrees / 2, 0.5, 0, degrees / (degrees + t * t), regularized=True) / 2
        return float(1 - tail - probability)

    low, high = 0.0, 1.0
    while excess(high) < 0:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return (low + high) / 2


def mean_and_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Mean and half-width of its interval; the half-width is NaN for a single value."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return math.nan, math.nan
    if len(finite) == 1:
        return finite[0], math.nan
    spread = statistics.stdev(finite) / math.sqrt(len(finite))
    return statistics.fmean(finite), t_quantile((1 + level) / 2, len(finite) - 1) * spread


def difference(
    scores: Mapping[int, float], reference: Mapping[int, float], paired: bool, level: float = 0.95
) -> tuple[float, float]:
    """Mean difference of two sets of scores by seed, and the half-width of its interval.

    Paired: over the differences of equal seeds. Else Welch's t with Satterthwaite's degrees of freedom.
    """
    if paired:
        return mean_and_interval([scores[seed] - reference[seed] for seed in sorted(scores)], level)
    a, b = ([v for v in s.values() if math.isfinite(v)] for s in (scores, reference))
    if not a or not b:
        return math.nan, math.nan
    mean = statistics.fmean(a) - statistics.fmean(b)
    if min(len(a), len(b)) < 2:
        return mean, math.nan
    parts = [statistics.variance(s) / len(s) for s in (a, b)]
    if sum(parts) == 0.0:
        return mean, 0.0
    degrees = sum(parts) ** 2 / sum(p**2 / (len(s) - 1) for p, s in zip(parts, (a, b), strict=True))
    return mean, t_quantile((1 + level) / 2, degrees) * math.sqrt(sum(parts))


def moving_average(values: Sequence[float], width: int = 11) -> list[float]:
    """Centred average over up to `width` neighbours (fewer at the ends); non-finite values are passed over."""
    half = width // 2
    smoothed = []
    for n in range(len(values)):
        window = [v for v in values[max(0, n - half) : n + half + 1] if math.isfinite(v)]
        smoothed.append(statistics.fmean(window) if window else math.nan)
    return smoothed
