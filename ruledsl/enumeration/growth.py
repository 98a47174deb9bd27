"""Expressions by growing size. Of all that are equal (in what they compute, up to sign) the first stands.

An expression of size n is put together from smaller ones, and equals the one in which each part is replaced
by its representative: so nothing distinct is missed, though far fewer are built than can be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from ruledsl.enumeration.alphabet import Alphabet
from ruledsl.enumeration.points import Points, Seen, Value, evaluate
from ruledsl.enumeration.productions import SHAPES, Production, productions
from ruledsl.ir import Expression, Name, Shape
from ruledsl.language import shape_of_quantity


@dataclass(frozen=True, slots=True)
class Form:
    """The representative of a class of equal expressions."""

    number: int
    size: int
    shape: Shape
    value: Value
    tree: Expression


Keep = Callable[[Expression, Shape], bool]


class Growth:
    """Every distinct expression of an alphabet up to a size, in a fixed order."""

    def __init__(
        self, alphabet: Alphabet, keep: Keep = lambda tree, shape: True, points: Points | None = None
    ) -> None:
        """`keep` says of a new expression whether larger ones may be made from it."""
        self.alphabet, self.keep = alphabet, keep
        self.table = productions(alphabet)
        self.points = points or Points()
        self.seen = Seen(self.points)
        self.forms: dict[tuple[int, Shape], list[Form]] = {}
        self.built = 0
        """Expressions that were put together and evaluated."""
        self.planned = 0
        """Those that will have been, when the size at hand is done."""
        self._count = 0

    def terms(self, size: int) -> Iterator[Form]:
        """The representatives that a term may be, by size; those of the last size are made on the way."""
        for now in range(1, size + 1):
            yield from self._grown(now, last=now == size)

    def _grown(self, size: int, last: bool) -> Iterator[Form]:
        if size == 1:
            for name in self.alphabet.seen:
                shape = shape_of_quantity(name)
                yield from self._new(size, shape, self.points.quantity(name), Name(name))
            return
        # Nothing is made from those of the last size.
        table = [p for p in self.table if not last or p.result == self.alphabet.shape]
        self.planned += sum(self._combinations(p, size - 1) for p in table)
        with np.errstate(all="ignore"):
            for production in table:
                for parts in self._operands(production, size - 1):
                    yield from self._made(production, size, parts)

    def _combinations(self, production: Production, size: int) -> int:
        """How many operands there are of this size together."""
        counts = [
            {n: len(self.forms.get((n, shape), ())) for n in range(1, size + 1)}
            for shape in production.operands
        ]
        if len(counts) == 1:
            return counts[0][size]
        all_pairs = sum(counts[0][n] * counts[1][size - n] for n in range(1, size))
        same = counts[0].get(size // 2, 0) if size % 2 == 0 else 0
        return (all_pairs + same) // 2 if production.commutes else all_pairs

    def _operands(self, production: Production, size: int) -> Iterator[tuple[Form, ...]]:
        """Operands that have this size together."""
        if len(production.operands) == 1:
            for form in self.forms.get((size, production.operands[0]), ()):
                yield (form,)
            return
        left, right = production.operands
        for first in range(1, size):
            second = size - first
            if production.commutes and first > second:
                return
            ordered = production.commutes and first == second
            pairs = product(self.forms.get((first, left), ()), self.forms.get((second, right), ()))
            yield from ((a, b) for a, b in pairs if not ordered or a.number <= b.number)

    def _made(self, production: Production, size: int, parts: tuple[Form, ...]) -> Iterator[Form]:
        self.built += 1
        value = evaluate(production, *(part.value for part in parts))
        if value is not None:
            tree = production.tree(*(part.tree for part in parts))
            yield from self._new(size, production.result, value, tree)

    def _new(self, size: int, shape: Shape, value: Value, tree: Expression) -> Iterator[Form]:
        known, place = self.seen.find(shape, value)
        if known is not None:
            return
        form = Form(self._count, size, shape, value, tree)
        self.seen.keep(shape, place, value, form.number)
        self._count += 1
        if not self.keep(tree, shape):
            return
        self.forms.setdefault((size, shape), []).append(form)
        if shape == self.alphabet.shape:
            yield form


def written(alphabet: Alphabet, size: int) -> list[int]:
    """How many expressions of the target's shape can be written with each size up to this: both orders of a
    sum or product count, signs and transpositions do not."""
    table = productions(alphabet)
    leaves = [shape_of_quantity(name) for name in alphabet.seen]
    count: dict[tuple[int, Shape], int] = {(1, shape): leaves.count(shape) for shape in SHAPES}
    for now in range(2, size + 1):
        for p in table:
            if len(p.operands) == 1:
                more = count.get((now - 1, p.operands[0]), 0)
            else:
                left, right = p.operands
                more = sum(
                    count.get((n, left), 0) * count.get((now - 1 - n, right), 0) for n in range(1, now - 1)
                )
            count[now, p.result] = count.get((now, p.result), 0) + more
    return [count.get((n, alphabet.shape), 0) for n in range(1, size + 1)]
