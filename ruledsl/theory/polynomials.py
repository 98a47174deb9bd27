"""Terms as polynomials: an index form as a sum of products of entries, each with the cells it sums over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import sympy as sp

from ruledsl.algebra import (
    POST_CELL,
    PRE_CELL,
    SIZE,
    Contract,
    Elementwise,
    Entry,
    expand,
    factors_of,
    fresh_index,
    index_text,
    renamed,
    side_of,
    summands_of,
)

MOST = 8
"""Factors of one random vector in a product: there are 105 ways to pair eight."""


class NotPolynomial(Exception):
    """What in a term is no product of entries, in words."""


@dataclass(frozen=True)
class Monomial:
    """coefficient · Σ over `bound` of a product of entries; numbers, sizes and moments are in the former."""

    coefficient: sp.Expr
    entries: tuple[Entry, ...]
    bound: tuple[sp.Symbol, ...] = ()

    def degree(self, letter: str) -> int:
        """How many entries are of a quantity: `y`, `e`, `z`, `W` or `B`."""
        return sum(e.quantity.partition("_")[0] == letter for e in self.entries)


def monomials(expression: sp.Expr) -> list[Monomial]:
    """An index form, multiplied out. Raises `NotPolynomial`."""
    return [m for term in summands_of(expand(expression)) for m in _flat(term)]


def _flat(term: sp.Expr) -> list[Monomial]:
    parts = [_factor(factor) for factor in factors_of(term)]
    return [_joined(choice) for choice in product(*parts)]


def _joined(parts: Sequence[Monomial]) -> Monomial:
    return Monomial(
        sp.Mul(*(p.coefficient for p in parts)),
        tuple(e for p in parts for e in p.entries),
        tuple(k for p in parts for k in p.bound),
    )


def _factor(factor: sp.Expr) -> list[Monomial]:
    if not factor.atoms(Entry, Contract, Elementwise):
        return [Monomial(factor, ())]  # numbers, sizes, variances
    if isinstance(factor, Entry):
        return [Monomial(sp.S.One, (factor,))]
    if isinstance(factor, Contract):
        names = {k: fresh_index(side_of(k)) for k in factor.bound}
        inner = monomials(renamed(factor.body, names))
        return [Monomial(m.coefficient, m.entries, (*m.bound, *names.values())) for m in inner]
    if isinstance(factor, sp.Pow) and factor.exp.is_Integer and int(factor.exp) > 0:
        if int(factor.exp) > MOST:
            raise NotPolynomial(f"`{index_text(factor)}` is a power above {MOST}")
        # Each factor of a power of a sum has cells of its own.
        return [_joined(c) for c in product(*(_factor(factor.base) for _ in range(int(factor.exp))))]  # type: ignore[arg-type]
    raise NotPolynomial(f"`{index_text(factor)}` is no product of quantities")


def degrees(expression: sp.Expr) -> dict[str, int | None]:
    """By how much a term grows with each quantity: `{"y": 1}` for what doubles with y; None where summands
    differ. Raises `NotPolynomial`."""
    found = monomials(expression)
    letters = sorted({e.quantity.partition("_")[0] for m in found for e in m.entries})
    counted = {letter: Counter(m.degree(letter) for m in found) for letter in letters}
    return {letter: next(iter(c)) if len(c) == 1 else None for letter, c in counted.items()}


@dataclass(frozen=True)
class _Product:
    coefficient: float
    text: str
    """Of einsum."""
    names: tuple[str, ...]
    ones: tuple[np.ndarray, ...]


class Function:
    """The value of an index form, (n_post, n_pre), from matrices such as W and B, by plain sums.

    Raises `NotPolynomial` when it is made.
    """

    def __init__(self, expression: sp.Expr, numbers: Mapping[sp.Symbol, float]) -> None:
        self.shape = (int(numbers[SIZE["post"]]), int(numbers[SIZE["pre"]]))
        self._products = [self._product(m, numbers) for m in monomials(expression)]

    def _product(self, m: Monomial, numbers: Mapping[sp.Symbol, float]) -> _Product:
        letters = dict(zip([POST_CELL, PRE_CELL, *m.bound], "jiabcdfghklmnopqrstuvwxyz", strict=False))
        given = ["".join(letters[k] for k in e.indices) for e in m.entries]
        lengths = {letters[k]: self.shape[side_of(k) == "pre"] for k in letters}
        # What no entry reads is summed, or spread, by ones.
        missing = [c for c in lengths if not any(c in g for g in given)]
        text = ",".join([*given, *missing]) + "->" + letters[POST_CELL] + letters[PRE_CELL]
        coefficient = float(m.coefficient.xreplace(dict(numbers)))  # type: ignore[arg-type]
        ones = tuple(np.ones(lengths[c]) for c in missing)
        return _Product(coefficient, text, tuple(e.quantity for e in m.entries), ones)

    def __call__(self, **named: np.ndarray) -> np.ndarray:
        total = np.zeros(self.shape)
        for p in self._products:
            total += p.coefficient * np.einsum(p.text, *(named[n] for n in p.names), *p.ones, optimize=True)
        return total
