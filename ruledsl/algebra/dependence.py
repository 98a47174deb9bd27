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
