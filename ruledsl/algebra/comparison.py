"""How the terms of two rules relate: equal, equal up to a factor, or sums of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ruledsl.algebra.dependence import linear_relations
from ruledsl.algebra.index_form import IndexForm


@dataclass(frozen=True)
class TermRelation:
    """F^name = Σ factor · F^other over the other rule's terms; empty when no such sum exists."""

    name: str
    sum: Mapping[str, Fraction]


def express(form: IndexForm, name: str, others: Mapping[str, IndexForm]) -> TermRelation:
    """One term as a combination of another rule's; a single other term where there is one."""
    for other, candidate in others.items():
        found = _combination(form, [candidate])
        if found:
            return TermRelation(name, {other: found[0]})
    found = _combination(form, list(others.values()))
    return TermRelation(name, {o: c for o, c in zip(others, found or (), strict=False) if c})


def _combination(form: IndexForm, others: Sequence[IndexForm]) -> list[Fraction] | None:
    """Factors c with form = Σ c_k others_k identically, or None."""
    for relation in linear_relations([form, *others]):
        if 0 in relation:
            return [-relation.get(n, Fraction(0)) / relation[0] for n in range(1, len(others) + 1)]
    return None
