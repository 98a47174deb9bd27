"""Sums over cells in canonical form: split, flattened, and with canonical names for bound indices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import permutations

import sympy as sp

from ruledsl.algebra.entries import (
    SIZE,
    Contract,
    bound_index,
    factors_of,
    free_indices,
    fresh_index,
    make_sum,
    product_of,
    renamed,
    side_of,
    summands_of,
)


def expand(expression: sp.Expr) -> sp.Expr:
    """Multiply out sums and integer powers, inside functions and sums over cells too; nothing else."""
    return sp.expand(expression, power_base=False, power_exp=False, log=False, basic=False)


def contract(expression: sp.Expr, over: Iterable[sp.Symbol]) -> sp.Expr:
    """Σ of an expression over cells, as a sum of products of irreducible `Contract` atoms.

    Nested sums are flattened, factors that do not depend on a summation index move out, and
    factors that share no summation index are summed apart. A Kronecker delta (from `diag`)
    replaces its index.
    """
    indices = list(over)
    terms = summands_of(expand(expression))
    return sp.Add(*(_contract_product(factors_of(t), indices) for t in terms))


def _contract_product(factors: Sequence[sp.Expr], over: list[sp.Symbol]) -> sp.Expr:
    flat, indices = _flatten(factors, over)
    flat, indices = _apply_deltas(flat, indices)
    free = {id(f): free_indices(f) for f in flat}
    outside = [f for f in flat if not free[id(f)] & set(indices)]
    pieces: list[sp.Expr] = list(outside)
    inside = [f for f in flat if free[id(f)] & set(indices)]
    while indices:
        component, linked = _component(inside, indices[0], set(indices), free)
        indices = [k for k in indices if k not in linked]
        inside = [f for f in inside if f not in component]
        if component:
            pieces.append(canonical_sum(product_of(*component), sorted(linked, key=lambda k: k.name)))
        else:
            pieces += [SIZE[side_of(k)] for k in linked]
    return product_of(*pieces)


def _flatten(factors: Sequence[sp.Expr], over: list[sp.Symbol]) -> tuple[list[sp.Expr], list[sp.Symbol]]:
    """Open up `Contract` factors that share a summed index: Σ_k a_k Σ_l b_kl = Σ_kl a_k b_kl."""
    flat: list[sp.Expr] = []
    indices = list(over)
    pending = [g for f in factors for g in _repeated(f)]
    while pending:
        factor = pending.pop(0)
        if isinstance(factor, Contract) and free_indices(factor) & set(indices):
            renaming = {k: fresh_index(side_of(k)) for k in factor.bound}
            indices += renaming.values()
            pending += [g for f in factors_of(renamed(factor.body, renaming)) for g in _repeated(f)]
        else:
            flat.append(factor)
    return _merge_powers(flat), indices


def _repeated(factor: sp.Expr) -> list[sp.Expr]:
    """A whole power of a sum over cells as that many factors, each with its own summation."""
    if (
        isinstance(factor, sp.Pow)
        and isinstance(factor.base, Contract)
        and factor.exp.is_Integer
        and factor.exp > 0
    ):
        return [factor.base] * int(factor.exp)
    return [factor]


def _merge_powers(factors: list[sp.Expr]) -> list[sp.Expr]:
    return list(factors_of(product_of(*factors)))


def _apply_deltas(factors: list[sp.Expr], over: list[sp.Symbol]) -> tuple[list[sp.Expr], list[sp.Symbol]]:
    indices = list(over)
    product = product_of(*factors)
    for delta in sorted(product.atoms(sp.KroneckerDelta), key=str):
        first, second = (k for k in delta.args if isinstance(k, sp.Symbol))
        gone = next((k for k in (second, first) if k in indices), None)
        if gone is not None and delta in factors_of(product):
            kept = first if gone == second else second
            product = renamed(product_of(*(f for f in factors_of(product) if f != delta)), {gone: kept})
            indices.remove(gone)
    return list(factors_of(product)), indices


def _component(
    factors: Sequence[sp.Expr],
    start: sp.Symbol,
    indices: set[sp.Symbol],
    free: dict[int, frozenset[sp.Symbol]],
) -> tuple[list[sp.Expr], set[sp.Symbol]]:
    """The factors linked to a summation index through shared indices, and all indices they link."""
    linked, component = {start}, []
    grew = True
    while grew:
        grew = False
        for factor in factors:
            known = free.get(id(factor)) or free_indices(factor)
            if factor not in component and known & linked:
                component.append(factor)
                linked |= known & indices
                grew = True
    return component, linked


class TooManySums(Exception):
    """A product sums over more populations at once than can be brought into canonical form."""


MAX_BOUND = 5


def canonical_sum(body: sp.Expr, bound: list[sp.Symbol]) -> Contract:
    """Bound indices renamed to j1, j2, … and i1, i2, …, choosing the order that sorts first.

    Names already bound inside the body (in sums under a function) are not used again.
    """
    if len(bound) > MAX_BOUND:
        raise TooManySums
    taken = {s for c in body.atoms(Contract) for s in c.bound}
    candidates = []
    for order in permutations(bound):
        counters = {"pre": 0, "post": 0}
        renaming: dict[sp.Symbol, sp.Symbol] = {}
        for index in order:
            side = side_of(index)
            counters[side] += 1
            while bound_index(side, counters[side]) in taken:
                counters[side] += 1
            renaming[index] = bound_index(side, counters[side])
        candidate = renamed(body, renaming)
        names = sorted(renaming.values(), key=lambda k: k.name)
        candidates.append((sp.default_sort_key(candidate), candidate, names))
    _, best, names = min(candidates, key=lambda c: c[0])
    return make_sum(best, *names)
