"""The binary operators: how each is written, how tightly it binds, and how it is printed as LaTeX.

The rest of an operator is its terminal in the grammar, its shapes (`checks`) and its entries (`algebra`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SUM, PRODUCT, UNARY, POSTFIX, ATOM = range(5)
"""How tightly an expression holds together, from loose to tight:
what stands inside needs parentheses when it is looser than its place asks for."""


@dataclass(frozen=True)
class Operator:
    """A binary operator. `terminal` is its name in the grammar."""

    symbol: str
    terminal: str
    level: int
    right: int
    """The least level of its right side without parentheses; that of its left side is its own."""
    latex: str
    """With `{0}` and `{1}` for its sides."""
    latex_level: int
    latex_sides: tuple[int, int]


OPERATORS: Mapping[str, Operator] = {
    o.symbol: o
    for o in (
        Operator("+", "PLUS", SUM, PRODUCT, "{0} + {1}", SUM, (SUM, PRODUCT)),
        Operator("-", "MINUS", SUM, PRODUCT, "{0} - {1}", SUM, (SUM, PRODUCT)),
        Operator("*", "TIMES", PRODUCT, UNARY, r"{0}\,{1}", PRODUCT, (PRODUCT, UNARY)),
        Operator(".*", "HADAMARD", PRODUCT, UNARY, r"{0} \odot {1}", PRODUCT, (PRODUCT, UNARY)),
        Operator("/", "DIVIDE", PRODUCT, UNARY, r"\frac{{{0}}}{{{1}}}", POSTFIX, (SUM, SUM)),
    )
}
BY_TERMINAL: Mapping[str, Any] = {o.terminal: o.symbol for o in OPERATORS.values()}


def left_level(symbol: str, inner: str | None) -> int:
    """The least level of a left side, whose own operator is `inner`, without parentheses.

    The two products are kept apart: their order is not obvious to a reader.
    """
    mixed = {symbol, inner} == {"*", ".*"}
    return UNARY if mixed else OPERATORS[symbol].level
