"""A figure as data: panels of curves with bands, points with whiskers, bars or shares,
drawn alike by every renderer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ruledsl.statistics import AVERAGE, Interval, intervals, moving_average

BAND_FROM = 3
"""Runs from which on a band says more than the runs themselves."""
SMOOTHED = f"moving average over {AVERAGE} episodes"
NOTE = (
    "Lines: means over seeds; bands and whiskers: 95 % interval (Student's t); "
    "below three seeds, the runs themselves. Coefficients whose last interval holds 0 have no band."
)


@dataclass(frozen=True)
class Colour:
    """What a colour stands for: it keeps that meaning in every panel of a document."""

    of: Literal["rule", "layer", "term"] = "rule"
    number: int = 0
    count: int = 10
    """How many of a kind there are: layers share out a ramp."""

    @property
    def hex(self) -> str:
        if self.of == "layer":
            place = round(self.number * (len(LAYERS) - 1) / max(1, self.count - 1))
            return LAYERS[min(place, len(LAYERS) - 1)]
        palette = RULES if self.of == "rule" else TERMS
        return palette[self.number % len(palette)]


RULES = (
    "#4053d3",
    "#b5761d",
    "#b51d14",
    "#00a0c8",
    "#d6409f",
    "#00944a",
    "#6b6b6b",
    "#7a3b10",
    "#5d2e8c",
    "#111111",
)
"""Rules and groups of runs: ten colours that stay apart in the common forms of colour blindness."""
TERMS = (
    "#1f77b4",
    "#e07b00",
    "#2a9d3a",
    "#d62728",
    "#8a5fbf",
    "#8c564b",
    "#d45fa8",
    "#5f5f5f",
    "#9a9a00",
    "#0fa3b1",
)
LAYERS = ("#fdae61", "#e8743b", "#c83e4d", "#8e2f76", "#4c2a85", "#1c1c4f")
"""A ramp from the input to the output."""


@dataclass(frozen=True)
class Curve:
    """Means with half-widths of their intervals (NaN for none), over x."""

    label: str
    x: Sequence[float]
    mean: Sequence[float]
    half: Sequence[float]
    colour: Colour = Colour()
    runs: tuple[Sequence[float], ...] = ()
    """Single runs, drawn thin where they are too few for a band."""
    told: tuple[str, ...] = ()
    """What a page says of each point that one points at."""

    @classmethod
    def of(
        cls,
        label: str,
        rows: Sequence[Sequence[float]],
        colour: Colour,
        x: Sequence[float] | None = None,
        smooth: bool = False,
    ) -> Curve:
        """From one row of numbers for each seed."""
        lines = [moving_average(row) if smooth else list(row) for row in rows]
        points = intervals(lines)
        few = len(lines) < BAND_FROM
        half = [math.nan if few else p.half for p in points]
        thin = (
            tuple(lines) if 1 < len(lines) < BAND_FROM else tuple(rows) if smooth and len(rows) == 1 else ()
        )
        return cls(
            label, range(len(points)) if x is None else x, [p.mean for p in points], half, colour, thin
        )

    def without_band(self) -> Curve:
        return replace(self, half=[math.nan] * len(self.mean))

    @property
    def ends_near_zero(self) -> bool:
        """Whether the last interval holds 0. Without one, nothing can be said."""
        last = [h for h in self.half if math.isfinite(h)][-1:]
        return bool(last) and abs(self.end) <= last[0]

    @property
    def edges(self) -> tuple[list[float], list[float]]:
        """The lower and the upper border of the band."""
        points = [Interval(m, h) for m, h in zip(self.mean, self.half, strict=True)]
        return [p.low for p in points], [p.high for p in points]

    @property
    def has_band(self) -> bool:
        return any(math.isfinite(h) for h in self.half)

    @property
    def end(self) -> float:
        """The last finite mean."""
        return next((m for m in reversed(self.mean) if math.isfinite(m)), math.nan)


@dataclass(frozen=True)
class Mark:
    """A printed number: a dashed line between two x, a cross at one,
    or a line through all of the panel at an x."""

    y: float
    label: str
    x: tuple[float, float]
    colour: Colour = Colour()
    upright: bool = False


@dataclass(frozen=True)
class Guide:
    """A faint dotted line across the panel, such as chance."""

    y: float
    label: str = ""


@dataclass(frozen=True)
class Panel:
    """One set of axes.

    `kind`: `curves`; `points`, with each curve's values as points with whiskers at named places; `bars`,
    one for each name; `shares`, a table of numbers from 0 to 1 with `names` down and `columns` across.
    """

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...] = ()
    marks: tuple[Mark, ...] = ()
    limits: tuple[float, float] | None = None
    log_x: bool = False
    guides: tuple[Guide, ...] = ()
    kind: Literal["curves", "points", "bars", "shares"] = "curves"
    names: tuple[str, ...] = ()
    bars: tuple[Interval, ...] = ()
    columns: tuple[str, ...] = ()
    shares: tuple[tuple[float, ...], ...] = ()
    summary: str = ""
    """In words, what a reader would see."""
    group: str = field(default="", compare=False)
    """Which of several groups of runs it is about."""

    @property
    def extent(self) -> tuple[float, float]:
        """Where the y axis begins and ends: the limits, else what holds every mean, mark and guide,
        and most of the bands."""
        if self.limits:
            return self.limits
        values = [v for c in self.curves for v in c.mean]
        values += [v for c in self.curves if c.has_band for edge in c.edges for v in edge]
        values += [m.y for m in self.marks if not m.upright] + [g.y for g in self.guides]
        finite = [v for v in values if math.isfinite(v)]
        low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
        margin = 0.04 * (high - low) or 0.5
        return low - margin, high + margin


def clear_of_zero(curves: Iterable[Curve]) -> tuple[Curve, ...]:
    """Coefficients, with bands for those whose last interval leaves 0 out: ten bands around it are mud."""
    return tuple(c.without_band() if c.ends_near_zero else c for c in curves)


def clipped(values: Iterable[float], limits: tuple[float, float] | None) -> list[float]:
    """Borders of a band inside the range that its numbers can have."""
    if limits is None:
        return list(values)
    low, high = limits
    return [min(max(v, low), high) if math.isfinite(v) else v for v in values]


def spread_labels(panel: Panel, gap: float) -> list[tuple[Curve, float]]:
    """Where the labels of curves stand beside their ends, as fractions of the axis' height,
    at least `gap` apart."""
    low, high = panel.extent
    placed = [(c, (c.end - low) / (high - low)) for c in panel.curves if c.label and math.isfinite(c.end)]
    placed.sort(key=lambda p: p[1])
    places = [min(max(y, 0.0), 1.0) for _, y in placed]
    for n in range(1, len(places)):
        places[n] = max(places[n], places[n - 1] + gap)
    overflow = places[-1] - 1.02 if places else 0.0
    if overflow > 0:
        places[-1] -= overflow
        for n in range(len(places) - 2, -1, -1):
            places[n] = min(places[n], places[n + 1] - gap)
    return [(curve, place) for (curve, _), place in zip(placed, places, strict=True)]
