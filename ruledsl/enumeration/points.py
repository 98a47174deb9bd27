"""Where expressions are evaluated to tell them apart: random networks of two sizes, over a little time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ruledsl.enumeration.productions import Array, Production
from ruledsl.ir import Shape
from ruledsl.language import is_count, shape_of_quantity

SIZES = ((3, 4), (4, 2))
"""(n_post, n_pre): two pairs, so that a mean is no multiple of a sum."""
TIMES = 3
CLOSE = 1e-9
NOTHING = 1e-11
"""Of values of order 1: what is no larger cancels."""
HUGE = 1e300
"""What a projection beyond floats is taken for."""
FINE = 1e8
"""Places that a projection is sorted into, by its logarithm; rounding reaches the next one at most."""

Value = tuple[Array, ...]
"""One array (T, rows, columns) for each pair of sizes."""


@dataclass
class Points:
    """Random values of every quantity, and the numbers that a value is projected on; from one seed."""

    seed: int = 0
    _random: np.random.Generator = field(init=False, repr=False)
    _directions: dict[Shape, list[Array]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def quantity(self, name: str) -> Value:
        shape = shape_of_quantity(name)
        if name.startswith("1_"):
            return tuple(np.ones(extent(shape, sizes)) for sizes in SIZES)
        if name.startswith("n_"):
            return tuple(np.full((TIMES, 1, 1), float(sizes[name == "n_pre"])) for sizes in SIZES)
        drawn = tuple(self._draw(extent(shape, sizes)) for sizes in SIZES)
        return tuple(np.abs(d) for d in drawn) if is_count(name) else drawn

    def _draw(self, size: tuple[int, ...]) -> Array:
        """Of either sign, and away from 0: a product of many must not vanish."""
        return self._random.uniform(0.3, 1.6, size) * self._random.choice((-1.0, 1.0), size)

    def projected(self, shape: Shape, value: Value) -> float:
        """One number that two different values do not share."""
        if shape not in self._directions:
            random = np.random.default_rng([self.seed, *map(ord, str(shape))])
            self._directions[shape] = [random.uniform(1.0, 2.0, extent(shape, s)).ravel() for s in SIZES]
        parts = zip(self._directions[shape], value, strict=True)
        total = sum(float(d @ np.nan_to_num(v.ravel(), nan=0.0)) for d, v in parts)
        return total if np.isfinite(total) else HUGE


def extent(shape: Shape, sizes: tuple[int, int]) -> tuple[int, int, int]:
    """The array of a shape."""
    cells = {"post": sizes[0], "pre": sizes[1], None: 1}
    return TIMES, cells[shape.rows], cells[shape.columns]


def evaluate(production: Production, *operands: Value) -> Value | None:
    """The value of a larger expression, NaN where it is not finite: beyond a root's domain, or floats.

    None for one that is nowhere finite, or vanishes where it is.
    """
    found = []
    for parts in zip(*operands, strict=True):
        result = production.value(*parts)
        found.append(result if np.isfinite(result).all() else np.where(np.isfinite(result), result, np.nan))
    return None if max(_largest(v) for v in found) < NOTHING else tuple(found)


def _largest(value: Array) -> float:
    """Of the numbers in it; 0 where there is none."""
    return float(np.nan_to_num(np.abs(value), nan=0.0).max())


class Seen:
    """Every value that was met, up to its sign, by shape."""

    def __init__(self, points: Points) -> None:
        self.points = points
        self._places: dict[tuple[Shape, int], list[tuple[Value, int]]] = {}

    def find(self, shape: Shape, value: Value) -> tuple[int | None, int]:
        """The number of an equal value or None, and the place to keep this one."""
        projection = abs(self.points.projected(shape, value))
        place = int(np.log(max(projection, 1e-300)) * FINE)
        for near in (place, place - 1, place + 1):
            for other, number in self._places.get((shape, near), ()):
                if _equal(value, other) or _equal(value, other, -1.0):
                    return number, place
        return None, place

    def keep(self, shape: Shape, place: int, value: Value, number: int) -> None:
        self._places.setdefault((shape, place), []).append((value, number))


def _equal(a: Value, b: Value, sign: float = 1.0) -> bool:
    """Whether both are numbers at the same places, and there the same ones."""
    for x, y in zip(a, b, strict=True):
        difference = np.abs(x - sign * y)
        if float(np.nan_to_num(difference, nan=0.0).max()) > CLOSE * _largest(x):
            return False
        if not np.array_equal(np.isnan(x), np.isnan(y)):
            return False
    return True
