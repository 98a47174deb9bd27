"""Means with Student-t intervals, the only ones that cover 95 % at five to ten seeds,
and their one printed form."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

LEVEL = 0.95
AVERAGE = 11
"""Episodes of the moving average in figures, as in the paper's."""


@cache
def t_quantile(probability: float, degrees: float) -> float:
    """The Student-t quantile, by inverting its distribution function; probability in (0.5, 1)."""
    import mpmath

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


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and the half-width of its 95 % interval; NaN for a half-width that one number cannot
    give.

    >>> str(Interval.of([0.70, 0.71, 0.72]))
    '0.710 ± 0.025'
    """

    mean: float
    half: float = math.nan

    @classmethod
    def of(cls, values: Iterable[float], level: float = LEVEL) -> Interval:
        """Of numbers by seed; those that are not finite are left out."""
        finite = [v for v in values if math.isfinite(v)]
        if len(finite) < 2:
            return cls(finite[0] if finite else math.nan)
        spread = statistics.stdev(finite) / math.sqrt(len(finite))
        return cls(statistics.fmean(finite), t_quantile((1 + level) / 2, len(finite) - 1) * spread)

    @classmethod
    def minus(
        cls, scores: Mapping[int, float], reference: Mapping[int, float], paired: bool, level: float = LEVEL
    ) -> Interval:
        """The difference of two sets of scores by seed.

        Paired: over the differences of equal seeds. Else Welch's t with Satterthwaite's degrees of freedom.
        """
        if paired:
            return cls.of([scores[seed] - reference[seed] for seed in sorted(scores)], level)
        a, b = ([v for v in s.values() if math.isfinite(v)] for s in (scores, reference))
        if not a or not b:
            return cls(math.nan)
        mean = statistics.fmean(a) - statistics.fmean(b)
        if min(len(a), len(b)) < 2:
            return cls(mean)
        parts = [statistics.variance(s) / len(s) for s in (a, b)]
        if sum(parts) == 0.0:
            return cls(mean, 0.0)
        degrees = sum(parts) ** 2 / sum(p**2 / (len(s) - 1) for p, s in zip(parts, (a, b), strict=True))
        return cls(mean, t_quantile((1 + level) / 2, degrees) * math.sqrt(sum(parts)))

    @property
    def is_positive(self) -> bool:
        """Whether all of it lies above 0. One seed has no interval, and shows nothing.

        >>> Interval(0.2, 0.1).is_positive, Interval(0.2, 0.3).is_positive, Interval(0.2).is_positive
        (True, False, False)
        """
        return self.mean - self.half > 0

    @property
    def width(self) -> float:
        """The half-width, 0 where there is none: for drawing."""
        return self.half if math.isfinite(self.half) else 0.0

    @property
    def low(self) -> float:
        return self.mean - self.width

    @property
    def high(self) -> float:
        return self.mean + self.width

    def text(self, form: str = "") -> str:
        """`0.707 ± 0.005`. `form` is that of both numbers (`.3f`, `+.3f`, `.2e`); without one the half-width
        decides how many digits the mean is worth."""
        if math.isnan(self.mean):
            return "not finite"
        if not form:
            return self._digits()
        if math.isnan(self.half):
            return f"{self.mean:{form}}"
        return f"{self.mean:{form}} ± {self.half:{form.lstrip('+')}}"

    def _digits(self) -> str:
        if math.isnan(self.half):
            return f"{self.mean:.3g}"
        if self.half == 0.0:
            return f"{self.mean:g} ± 0"
        if abs(self.mean) + self.half < 1e-5:
            return f"{self.mean:.1e} ± {self.half:.0e}"
        digits = min(6, max(0, 1 - math.floor(math.log10(self.half))))
        return f"{self.mean:.{digits}f} ± {self.half:.{digits}f}"

    def __str__(self) -> str:
        return self.text()

    def json(self) -> dict[str, float]:
        """As it stands in documents; `read` takes it back."""
        return {"mean": self.mean, "half_width_95": self.half}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Interval:
        """An interval out of a document, where null stands for what is not finite."""
        mean, half = (
            math.nan if document[k] is None else float(document[k]) for k in ("mean", "half_width_95")
        )
        return cls(mean, half)


def intervals(rows: Sequence[Sequence[float]]) -> list[Interval]:
    """One interval for each place, over rows (one for each seed) of which the shortest decides."""
    return [Interval.of(values) for values in zip(*rows, strict=False)]


def moving_average(values: Sequence[float], width: int = AVERAGE) -> list[float]:
    """Centred average over up to `width` neighbours (fewer at the ends);
    non-finite values are passed over."""
    half = width // 2
    smoothed = []
    for n in range(len(values)):
        window = [v for v in values[max(0, n - half) : n + half + 1] if math.isfinite(v)]
        smoothed.append(statistics.fmean(window) if window else math.nan)
    return smoothed


def finite_mean(values: Sequence[float]) -> float:
    """The mean of what is finite; NaN when nothing is."""
    finite = [v for v in values if math.isfinite(v)]
    return statistics.fmean(finite) if finite else math.nan
