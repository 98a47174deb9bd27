"""Terms whose coefficients cannot be told apart: linear relations between index forms."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy as sp

from ruledsl.algebra.index_form import IndexForm


def linear_relations(forms: Sequence[IndexForm]) -> list[list[Fraction]]:
    """A basis of the coefficient vectors c with Σ_r c_r F^r = 0 identically; empty when independent."""
    rows = [dict(_coefficients(form)) for form in forms]
    monomials = sorted({m for row in rows for m in row}, key=sp.default_sort_key)
    if not monomials:
        return []
    table = [[row.get(m, sp.S.Zero) for row in rows] for m in monomials]
    if not all(value.is_Rational for line in table for value in line):
        return []
    return [_normalised([_fraction(value) for value in vector]) for vector in sp.Matrix(table).nullspace()]


def _coefficients(form: IndexForm) -> list[tuple[sp.Expr, sp.Expr]]:
    pairs = []
    for monomial in form.monomials:
        coefficient, rest = monomial.as_coeff_Mul(rational=True)
        pairs.append((rest, coefficient))
    return pairs


def _normalised(vector: list[Fraction]) -> list[Fraction]:
    leading = next(value for value in vector if value)
    return [value / leading for value in vector]


def _fraction(value: Any) -> Fraction:
    return Fraction(int(value.p), int(value.q))
