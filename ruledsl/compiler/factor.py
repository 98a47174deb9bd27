"""A rule's index form to its update: ΔW = (κ + Σ p qᵀ) ∘ W + Σ u vᵀ + dense rest, with as few pairs as
possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sympy as sp

from ruledsl.algebra import (
    POST_CELL,
    PRE_CELL,
    Contract,
    IndexForm,
    Theta,
    entry,
    factors_of,
    free_indices,
    product_of,
    summands_of,
)
from ruledsl.compiler.cover import minimum_cover
from ruledsl.compiler.lowering import Lowering
from ruledsl.compiler.nesting import first_steps
from ruledsl.ir import Slot, Update

WEIGHT = entry("W", POST_CELL, PRE_CELL)


@dataclass
class NormalForm:
    """κ, and the coefficients of each f_j g_i, each W_ji f_j g_i, and each other h_ji; all with θ in them."""

    kappa: sp.Expr = sp.S.Zero
    pairs: dict[tuple[sp.Expr, sp.Expr], sp.Expr] = field(default_factory=dict)
    gains: dict[tuple[sp.Expr, sp.Expr], sp.Expr] = field(default_factory=dict)
    dense: dict[sp.Expr, sp.Expr] = field(default_factory=dict)

    def text(self) -> str:
        """For people: `κ = …` and one line per factor."""
        lines = [f"kappa: {self.kappa}"]
        lines += [f"pair: ({c}) * ({f}) x ({g})" for (f, g), c in self.pairs.items()]
        lines += [f"gain: ({c}) * ({f}) x ({g})" for (f, g), c in self.gains.items()]
        lines += [f"dense: ({c}) * {h}" for h, c in self.dense.items()]
        return "\n".join(lines)

    @property
    def is_by_entries(self) -> bool:
        """Whether more than κ and outer products move W."""
        return bool(self.gains or self.dense)

    def gains_as_dense(self) -> NormalForm:
        """The same with nothing said of how W's entries grow."""
        grown = {product_of(WEIGHT, f, g): c for (f, g), c in self.gains.items()}
        return NormalForm(self.kappa, self.pairs, {}, self.dense | grown)


def normal_form(forms: Iterable[tuple[int, IndexForm]]) -> NormalForm:
    """Σ θ_r F^r sorted by factors, over the given (r, F^r)."""
    normal = NormalForm()
    for number, form in forms:
        for monomial in form.monomials:
            _add_monomial(normal, Theta(number), monomial)
    return normal


def _add_monomial(normal: NormalForm, theta: sp.Expr, monomial: sp.Expr) -> None:
    parts: dict[frozenset[sp.Symbol], list[sp.Expr]] = {}
    for factor in factors_of(monomial):
        parts.setdefault(free_indices(factor), []).append(factor)
    both = product_of(*parts.pop(frozenset({POST_CELL, PRE_CELL}), []))
    post = product_of(*parts.pop(frozenset({POST_CELL}), []))
    pre = product_of(*parts.pop(frozenset({PRE_CELL}), []))
    coefficient = theta * product_of(*parts.pop(frozenset(), []))
    if both == 1:
        normal.pairs[post, pre] = normal.pairs.get((post, pre), sp.S.Zero) + coefficient
    elif both == WEIGHT and post == 1 and pre == 1:
        normal.kappa += coefficient
    elif both == WEIGHT:
        normal.gains[post, pre] = normal.gains.get((post, pre), sp.S.Zero) + coefficient
    else:
        key = both * post * pre
        normal.dense[key] = normal.dense.get(key, sp.S.Zero) + coefficient


def lower_update(normal: NormalForm, lowering: Lowering, target: Slot) -> Update:
    """Instructions for κ, the pairs, gains and the dense rest.

    Vectors are lowered before scalars, so that a scalar such as y_postᵀ W e_pre is built from a
    product Wᵀ y_post that is there anyway.
    """
    lowering.demand.update(_demand(normal))
    for expression in _vector_sums(normal):
        lowering.lower(expression)
    pairs, gains = (
        tuple(_lower_pair(lowering, f, g) for f, g in rank_one_pairs(products))
        for products in (normal.pairs, normal.gains)
    )
    kappa = None if normal.kappa == 0 else lowering.scalar(_grouped(normal.kappa))
    dense = None
    for key, coefficient in normal.dense.items():
        part = lowering.builder.mul(lowering.scalar(_grouped(coefficient)), lowering.matrix(key))
        dense = part if dense is None else lowering.builder.add(dense, part)
    return Update(target, kappa, pairs, dense, gains=gains)


Side = list[tuple[sp.Expr, sp.Expr]]
"""A vector as a sum of (coefficient, factor)."""


def rank_one_pairs(pairs: Mapping[tuple[sp.Expr, sp.Expr], sp.Expr]) -> list[tuple[Side, Side]]:
    """The sum Σ c_fg f gᵀ as the fewest products of two sums of vectors (see `cover`)."""
    _left, right = minimum_cover(pairs)
    by_post: dict[sp.Expr, Side] = {}
    by_pre: dict[sp.Expr, Side] = {}
    for (f, g), coefficient in pairs.items():
        if g in right:
            by_pre.setdefault(g, []).append((coefficient, f))
        else:
            by_post.setdefault(f, []).append((coefficient, g))
    one: sp.Expr = sp.Integer(1)
    from_post: list[tuple[Side, Side]] = [([(one, f)], gs) for f, gs in by_post.items()]
    return from_post + [(fs, [(one, g)]) for g, fs in by_pre.items()]


def _lower_pair(lowering: Lowering, post: Side, pre: Side) -> tuple[int, int]:
    b = lowering.builder

    def vector(side: Side, lower_factor: object, dim: str) -> int:
        total: int | None = None
        for coefficient, factor in side:
            lowered = lowering.scalar(factor) if not free_indices(factor) else lower_factor(factor)  # type: ignore[operator]
            part = b.mul(lowering.scalar(_grouped(coefficient)), lowered)
            total = part if total is None else b.add(total, part)
        assert total is not None
        return total if b.shape(total) else b.fill(total, (dim,))

    u = vector(post, lowering.post_vector, lowering.dims["post"])
    v = vector(pre, lowering.pre_vector, lowering.dims["pre"])
    return u, v


def _grouped(coefficient: sp.Expr) -> sp.Expr:
    """θ's that share a scalar factor are added first: θ_0 + (θ_6 + θ_7) s instead of two products."""
    groups: dict[sp.Expr, sp.Expr] = {}
    for term in summands_of(coefficient):
        thetas = [f for f in factors_of(term) if isinstance(f, Theta) or f.is_number]
        rest = product_of(*(f for f in factors_of(term) if f not in thetas))
        groups[rest] = groups.get(rest, sp.S.Zero) + product_of(*thetas)
    return sp.Add(
        *(sp.Mul(total, rest, evaluate=False) if rest != 1 else total for rest, total in groups.items())
    )


def _all_sums(normal: NormalForm) -> list[Contract]:
    expressions = [normal.kappa, *normal.dense, *normal.dense.values()]
    for products in (normal.pairs, normal.gains):
        expressions += [*products.values(), *(factor for pair in products for factor in pair)]
    found = {s for e in expressions for s in e.atoms(Contract)}
    return sorted(found, key=sp.default_sort_key)


def _vector_sums(normal: NormalForm) -> list[Contract]:
    """Sums with a free index and one bound one: products that must be computed whatever the order."""
    return [
        s
        for s in _all_sums(normal)
        if free_indices(s) <= {POST_CELL, PRE_CELL} and free_indices(s) and len(s.bound) == 1
    ]


def _demand(normal: NormalForm) -> Counter[sp.Expr]:
    """How many multiple sums could begin with each product."""
    return Counter(step for s in _all_sums(normal) if len(s.bound) > 1 for step in set(first_steps(s)))
