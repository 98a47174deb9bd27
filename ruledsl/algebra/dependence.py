"""Terms whose coefficients cannot be told apart: linear relations between index forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy.polys.matrices import DomainMatrix

from ruledsl.algebra.index_form import IndexForm


def linear_relations(forms: Sequence[IndexForm]) -> list[dict[int, Fraction]]:
    """A basis of the coefficients c with Σ_r c_r F^r = 0 identically, by r, zeros left out; empty when
    independent."""
    rows = [dict(_coefficients(form)) for form in forms]
    monomials = sorted({m for row in rows for m in row}, key=sp.default_sort_key)
    if not monomials or not all(value.is_Rational for row in rows for value in row.values()):
        return []
    place = {m: n for n, m in enumerate(monomials)}
    table: dict[int, dict[int, Any]] = {}
    for r, row in enumerate(rows):
        for monomial, value in row.items():
            table.setdefault(place[monomial], {})[r] = sp.QQ.from_sympy(value)
    # Most terms share no monomial: sparse matrices stay small where dense ones grow with their square.
    basis = DomainMatrix(table, (len(monomials), len(rows)), sp.QQ).to_sparse().nullspace(divide_last=True)
    return [_normalised(row) for _, row in sorted(basis.rep.to_sdm().items())]  # type: ignore[union-attr]


def direction(form: IndexForm) -> frozenset[tuple[sp.Expr, sp.Expr]]:
    """What a form has in common with all its multiples: two forms are proportional when theirs are equal."""
    pairs = _coefficients(form)
    leading = min(pairs, key=lambda pair: sp.default_sort_key(pair[0]))[1] if len(pairs) > 1 else pairs[0][1]
    return frozenset((monomial, value / leading) for monomial, value in pairs)


class Independent:
    """Forms of which none is a sum of multiples of the others, one added after the other."""

    def __init__(self) -> None:
        self._rows: dict[sp.Expr, dict[sp.Expr, sp.Expr]] = {}
        """By one monomial of its own: a row in which that stands with 1, cleared of all earlier ones'."""

    def add(self, form: IndexForm) -> bool:
        """Whether a form says something that the ones before it do not; then it is one of them."""
        row = dict(_coefficients(form))
        while own := next((m for m in row if m in self._rows), None):
            factor = row[own]
            for monomial, value in self._rows[own].items():
                left = row.get(monomial, sp.S.Zero) - factor * value
                if left == 0:
                    row.pop(monomial, None)
                else:
                    row[monomial] = left
        if not row:
            return False
        monomial, leading = next(iter(row.items()))
        self._rows[monomial] = {m: value / leading for m, value in row.items()}
        return True


def _coefficients(form: IndexForm) -> list[tuple[sp.Expr, sp.Expr]]:
    pairs = []
    for monomial in form.monomials:
        coefficient, rest = monomial.as_coeff_Mul(rational=True)
        pairs.append((rest, coefficient))
    return pairs


def _normalised(row: Mapping[int, Any]) -> dict[int, Fraction]:
    exact = {r: Fraction(int(v.numerator), int(v.denominator)) for r, v in sorted(row.items()) if v}
    leading = next(iter(exact.values()))
    return {r: value / leading for r, value in exact.items()}
