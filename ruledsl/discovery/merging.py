"""Outer products that are one idea, put together: coefficients that come out alike belong together.

Two kinds. Products that share a factor and whose coefficients agree in size within their spread become one
term with one coefficient, (a ± b) cᵀ. And a block of products a cᵀ, a dᵀ, b cᵀ, b dᵀ, of which one may be
missing, becomes the nearest single product (a + p b)(c + q d)ᵀ: fewer products make a smaller rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np

from ruledsl.discovery.factoring import Outer, weighted_sum
from ruledsl.ir import Binary, Expression, Transpose
from ruledsl.language import RuleTerm, Term
from ruledsl.statistics import Interval

Merged = tuple[tuple[str, ...], RuleTerm]
"""(names of the terms that go, the term that stands for them)"""


def merged(theta: Mapping[str, Interval], items: Mapping[str, RuleTerm]) -> Iterator[Merged]:
    """Every way to put some of the outer products among terms together into one; its θ is theirs."""
    outer = {n: found for n, item in items.items() if (found := Outer.of(item.term.expression))}
    signed = {n: o.sign * theta[n].mean for n, o in outer.items()}
    trees: dict[str, Expression] = {}
    for each in outer.values():
        trees |= each.trees
    for first, second in combinations(outer, 2):
        same = [k for k in (0, 1) if outer[first].pair[k] == outer[second].pair[k]]
        if len(same) == 1 and _agree(theta[first], theta[second]):
            size = (abs(theta[first].mean) + abs(theta[second].mean)) / 2
            weights = {outer[n].pair[1 - same[0]]: float(np.sign(signed[n])) * size for n in (first, second)}
            value, total = weighted_sum(weights, trees)
            shared = trees[outer[first].pair[same[0]]]
            sides = (shared, total) if same[0] == 0 else (total, shared)
            yield _term((first, second), items[first], value, *sides)
    yield from _blocks({o.pair: (n, signed[n]) for n, o in outer.items()}, items, trees)


def _agree(a: Interval, b: Interval) -> bool:
    """Whether two coefficients have one size, as far as their seeds can say."""
    return a.mean * b.mean != 0 and abs(abs(a.mean) - abs(b.mean)) <= a.width + b.width


def _blocks(
    known: Mapping[tuple[str, str], tuple[str, float]],
    items: Mapping[str, RuleTerm],
    trees: Mapping[str, Expression],
) -> Iterator[Merged]:
    """Two by two products, three of them there at least, as the nearest matrix of rank one has them."""
    lefts, rights = (list(dict.fromkeys(pair[k] for pair in known)) for k in (0, 1))
    for rows in combinations(lefts, 2):
        for columns in combinations(rights, 2):
            block = [[known.get((a, b), ("", 0.0)) for b in columns] for a in rows]
            gone = tuple(name for line in block for name, _ in line if name)
            values = np.array([[value for _, value in line] for line in block])
            if len(gone) < 3 or not values.any():
                continue
            left, sizes, right = np.linalg.svd(values)
            first, a = weighted_sum(dict(zip(rows, left[:, 0].tolist(), strict=True)), trees)
            second, b = weighted_sum(dict(zip(columns, right[0].tolist(), strict=True)), trees)
            yield _term(gone, items[gone[0]], float(sizes[0]) * first * second, a, b)


def _term(gone: tuple[str, ...], item: RuleTerm, value: float, left: Expression, right: Expression) -> Merged:
    name = "_".join(gone)
    term = Term(name, Binary("*", left, Transpose(right)))
    return gone, replace(item, name=name, term=term, options=replace(item.options, init=value))
