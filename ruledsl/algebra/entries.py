"""The alphabet of the index form: SymPy atoms for entries of quantities and for sums over cells.

A term is written entry by entry, ΔW[j, i] = …, as a *commutative* SymPy expression: `y_post[j]`,
`W[j, i]`, numbers, sizes, and `Contract(body, k…)` for a sum of `body` over the cells k. Products
of matrices become such sums, so canonical form, equality, locality and the factored update are
all read off one expression, and SymPy's ordinary expansion does the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from ruledsl.ir import Side
from ruledsl.language import is_count

ROW: dict[Side, sp.Symbol] = {"post": sp.Symbol("j", integer=True), "pre": sp.Symbol("i", integer=True)}
"""The index of a cell on its own side: row index of a column vector, of either side."""
COLUMN: dict[Side, sp.Symbol] = {"post": sp.Symbol("j_", integer=True), "pre": sp.Symbol("i_", integer=True)}
"""Second index of a square matrix's side; in a finished term only `W`'s own (j, i) are left."""
POST_CELL, PRE_CELL = ROW["post"], ROW["pre"]

SIZE: dict[Side, sp.Symbol] = {
    "pre": sp.Symbol("n_pre", positive=True, integer=True),
    "post": sp.Symbol("n_post", positive=True, integer=True),
}


class Entry(sp.Function):
    """`Entry(name, index…)`: one entry of a named quantity. Real, and never evaluated."""

    is_real = True
    is_commutative = True

    @classmethod
    def eval(cls, *args: Any) -> None:
        return None

    @property
    def quantity(self) -> str:
        return str(self.args[0])

    @property
    def indices(self) -> tuple[sp.Symbol, ...]:
        return self.args[1:]  # type: ignore[return-value]

    def _eval_is_positive(self) -> bool | None:
        return True if is_count(self.quantity) else None  # its roots and absolute value are what they seem

    def _sympystr(self, printer: Any) -> str:
        return f"{self.quantity}[{', '.join(printer._print(i) for i in self.indices)}]"


class Contract(sp.Function):
    """`Contract(body, k…)`: Σ over cells k of body. Bound indices have canonical names."""

    is_real = True
    is_commutative = True

    @classmethod
    def eval(cls, *args: Any) -> None:
        return None

    @property
    def body(self) -> sp.Expr:
        return self.args[0]  # type: ignore[return-value]

    @property
    def bound(self) -> tuple[sp.Symbol, ...]:
        return self.args[1:]  # type: ignore[return-value]

    def _sympystr(self, printer: Any) -> str:
        return f"Sum({printer._print(self.body)}, {', '.join(printer._print(k) for k in self.bound)})"


class Elementwise(sp.Function):
    """A function of one number, kept as written: SymPy must not rewrite what we compute."""

    is_real = True
    is_commutative = True

    @classmethod
    def eval(cls, *args: Any) -> None:
        return None

    @property
    def function(self) -> str:
        return str(self.args[0])

    def _sympystr(self, printer: Any) -> str:
        return f"{self.function}({printer._print(self.args[1])})"


class Theta(sp.Symbol):
    """The coefficient of term r in a rule."""

    __slots__ = ("number",)
    number: int

    def __new__(cls, number: int) -> Theta:
        symbol = sp.Symbol.__new__(cls, f"theta_{number}", real=True)
        symbol.number = number
        return symbol


def make_sum(body: sp.Expr, *bound: sp.Symbol) -> Contract:
    """Σ over bound of body, taken as it is; `contract` brings a sum into canonical form."""
    return Contract(body, *bound)  # type: ignore[return-value]  # SymPy types a call of a Function as its class


def make_function(name: str, argument: sp.Expr) -> sp.Expr:
    """An elementwise function of one entry."""
    return Elementwise(sp.Symbol(name), argument)  # type: ignore[return-value]


def make_trace(tau: sp.Expr, argument: sp.Expr) -> sp.Expr:
    """The leaky average over the stream of one entry: for the algebra a function like any other."""
    return make_function(f"trace@{tau}", argument)


def trace_time(expression: sp.Expr) -> float | None:
    """τ of a trace, in samples; None for anything else."""
    name = expression.function if isinstance(expression, Elementwise) else ""
    return float(sp.Rational(name.removeprefix("trace@"))) if name.startswith("trace@") else None


def entry(name: str, *indices: sp.Symbol) -> sp.Expr:
    """The entry of a quantity at given indices; ones are the number 1 everywhere."""
    return sp.Integer(1) if name.startswith("1_") else Entry(sp.Symbol(name), *indices)  # type: ignore[return-value]


def factors_of(expression: sp.Expr) -> list[sp.Expr]:
    """The factors of a product, or the expression alone.
    (SymPy's own call forgets that they are expressions.)"""
    return list(sp.Mul.make_args(expression))  # type: ignore[arg-type]


def summands_of(expression: sp.Expr) -> list[sp.Expr]:
    """The summands of a sum, or the expression alone."""
    return list(sp.Add.make_args(expression))  # type: ignore[arg-type]


def product_of(*factors: sp.Expr, evaluate: bool = True) -> sp.Expr:
    """The product of any number of expressions."""
    return sp.Mul(*factors, evaluate=evaluate)  # type: ignore[return-value]


def renamed(expression: sp.Expr, names: Mapping[sp.Symbol, sp.Symbol]) -> sp.Expr:
    """Every index replaced at once by its new name."""
    return expression.xreplace(names)  # type: ignore[return-value]


def children_of(expression: sp.Expr) -> tuple[sp.Expr, ...]:
    """The direct arguments of an expression."""
    return expression.args  # type: ignore[return-value]


def side_of(index: sp.Symbol) -> Side:
    """The population an index runs over, read from its name: j… is post, i… is pre."""
    return "post" if index.name.startswith("j") else "pre"


_fresh = 0


def fresh_index(side: Side) -> sp.Symbol:
    """An index that occurs nowhere else, to be bound at once by a contraction."""
    global _fresh
    _fresh += 1
    return sp.Symbol(f"{'j' if side == 'post' else 'i'}_fresh{_fresh}", integer=True)


def bound_index(side: Side, number: int) -> sp.Symbol:
    """The canonical name of a bound index: j1, j2, … on the post side, i1, i2, … on the pre side."""
    return sp.Symbol(f"{'j' if side == 'post' else 'i'}{number}", integer=True)


def free_indices(expression: sp.Expr) -> frozenset[sp.Symbol]:
    """The indices an expression depends on, bound ones left out."""
    if isinstance(expression, Contract):
        return free_indices(expression.body) - frozenset(expression.bound)
    if isinstance(expression, Entry):
        return frozenset(expression.indices)
    if isinstance(expression, sp.KroneckerDelta):
        return frozenset(expression.args)  # type: ignore[arg-type]
    found: frozenset[sp.Symbol] = frozenset()
    for argument in children_of(expression):
        found |= free_indices(argument)
    return found
