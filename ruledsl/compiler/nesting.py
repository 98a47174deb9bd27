"""Orders multiple sums so that each step is a product of two things: Σ_kp u_k W_kp v_p = Σ_k u_k (W v)_k."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import sympy as sp

from ruledsl.algebra import (
    COLUMN,
    ROW,
    Contract,
    canonical_sum,
    factors_of,
    free_indices,
    product_of,
    renamed,
    side_of,
)


def nested_sum(total: Contract, available: set[sp.Expr], demand: Counter[sp.Expr]) -> sp.Expr:
    """The same sum with one bound index per `Contract`, cheapest step first.

    Between steps of equal cost, one whose value is `available` already is taken, then the one
    that most other sums could share (`demand`), then a product W v rather than Wᵀ u.
    """
    factors = list(factors_of(total.body))
    pending = list(total.bound)
    while len(pending) > 1:
        index = min(pending, key=lambda k: _preference(factors, k, available, demand))
        touching, rest = _split(factors, index)
        factors = [*rest, canonical_sum(product_of(*touching), [index])]
        pending.remove(index)
    return canonical_sum(product_of(*factors), pending)


def first_steps(total: Contract) -> Iterable[sp.Expr]:
    """Every value that a nesting of this sum could begin with, in the form `demand` counts."""
    factors = list(factors_of(total.body))
    for index in total.bound:
        yield _inner(factors, index)


def _split(factors: list[sp.Expr], index: sp.Symbol) -> tuple[list[sp.Expr], list[sp.Expr]]:
    touching = [f for f in factors if index in free_indices(f)]
    return touching, [f for f in factors if f not in touching]


def _inner(factors: list[sp.Expr], index: sp.Symbol) -> sp.Expr:
    touching, _ = _split(factors, index)
    return normal_indices(canonical_sum(product_of(*touching), [index]))


def _preference(
    factors: list[sp.Expr], index: sp.Symbol, available: set[sp.Expr], demand: Counter[sp.Expr]
) -> tuple[int, bool, int, bool, str]:
    touching, _ = _split(factors, index)
    width = len({i for f in touching for i in free_indices(f)})
    inner = _inner(factors, index)
    return width, inner not in available, -demand[inner], side_of(index) == "post", index.name


def normal_indices(expression: sp.Expr) -> sp.Expr:
    """Free indices renamed to the standard ones, so that equal values under other names compare equal."""
    renaming: dict[sp.Symbol, sp.Symbol] = {}
    for index in sorted(free_indices(expression), key=lambda k: k.name):
        side = side_of(index)
        renaming[index] = COLUMN[side] if ROW[side] in renaming.values() else ROW[side]
    return renamed(expression, renaming)
