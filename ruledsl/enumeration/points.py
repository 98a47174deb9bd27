"""Where expressions are evaluated to tell them apart: random networks of two sizes, over a little time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ruledsl.enumeration.productions import Array, Production
from ruledsl.ir import Shape
from ruledsl.language import shape_of_quantity

SIZES = ((3, 4), (4, 2))
"""(n_post, n_pre): two pairs, so that a mean is no multiple of a sum."""
TIMES = 3
CLOSE = 1e-9
NOTHING = 1e-11
"""Of values of order 1: what is no larger cancels."""
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
        return tuple(self._draw(extent(shape, sizes)) for sizes in SIZES)

    def _draw(self, size: tuple[int, ...]) -> Array:
        """Of either sign, and away from 0: a product of many must not vanish."""
        return self._random.uniform(0.3, 1.6, size) * self._random.choice((-1.0, 1.0), size)

    def projected(self, shape: Shape, value: Value) -> float:
        """One number that two different values do not share."""
        if shape not in self._directions:
            random = np.random.default_rng([self.seed, *map(ord, str(shape))])
            self._directions[shape] = [random.uniform(1.0, 2.0, extent(shape, s)).ravel() for s in SIZES]
        return sum(float(d @ v.ravel()) for d, v in zip(self._directions[shape], value, strict=True))


def extent(shape: Shape, sizes: tuple[int, int]) -> tuple[int, int, int]:
    """The array of a shape."""
    cells = {"post": sizes[0], "pre": sizes[1], None: 1}
    return TIMES, cells[shape.rows], cells[shape.columns]


def evaluate(production: Production, *operands: Value) -> Value | None:
    """The value of a larger expression; None where it is nowhere finite, or vanishes."""
    found = []
    for parts in zip(*operands, strict=True):
        result = production.value(*parts)
        if not np.isfinite(result).all():
            # Beyond the domain of a logarithm or a root: compared where it is a number.
            result = np.where(np.isfinite(result), result, 0.0)
        found.append(result)
    return None if max(float(np.abs(v).max()) for v in found) < NOTHING else tuple(found)


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
    return all(
        float(np.abs(x - sign * y).max()) <= CLOSE * float(np.abs(x).max()) for x, y in zip(a, b, strict=True)
    )
