"""Elementwise functions from plugins: a Python function becomes the expression it would have been written
as."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from ruledsl.ir import Binary, BinaryOperator, Call, Expression, Negate, Number, Power, Span
from ruledsl.language.vocabulary import FUNCTIONS


@dataclass(frozen=True, eq=False)
class Formula:
    """An expression that grows by operators, all entry by entry. Errors point at the call it stands for."""

    expression: Expression
    span: Span

    def apply(self, function: str) -> Formula:
        if function not in FUNCTIONS or FUNCTIONS[function].kind != "elementwise":
            raise TypeError(f"the rule language has no elementwise function `{function}`")
        depth = self.expression.depth + 1
        return self._new(Call(function, (self.expression,), self.span, self.span, depth))

    def _new(self, expression: Expression) -> Formula:
        return Formula(expression, self.span)

    def _binary(self, operator: BinaryOperator, left: Expression, right: Expression) -> Formula:
        depth = 1 + max(left.depth, right.depth)
        return self._new(Binary(operator, left, right, self.span, self.span, depth))

    def _spread(self, other: Formula | float) -> Expression:
        """A number as an expression of this one's shape: c · x⁰, which the algebra reads as c."""
        if isinstance(other, Formula):
            return other.expression
        ones = Power(
            self.expression, Number(Fraction(0), self.span), True, self.span, self.expression.depth + 1
        )
        return Binary("*", number(other, self.span), ones, self.span, self.span, ones.depth + 1)

    def __add__(self, other: Formula | float) -> Formula:
        return self._binary("+", self.expression, self._spread(other))

    def __radd__(self, other: float) -> Formula:
        return self + other

    def __sub__(self, other: Formula | float) -> Formula:
        return self._binary("-", self.expression, self._spread(other))

    def __rsub__(self, other: float) -> Formula:
        return self._binary("-", self._spread(other), self.expression)

    def __mul__(self, other: Formula | float) -> Formula:
        if isinstance(other, Formula):
            return self._binary(".*", self.expression, other.expression)
        return self._binary("*", number(other, self.span), self.expression)

    def __rmul__(self, other: float) -> Formula:
        return self * other

    def __truediv__(self, other: Formula | float) -> Formula:
        return self * (other**-1 if isinstance(other, Formula) else 1.0 / other)

    def __rtruediv__(self, other: float) -> Formula:
        return other * self**-1

    def __neg__(self) -> Formula:
        return self._new(Negate(self.expression, self.span, self.expression.depth + 1))

    def __pow__(self, exponent: float) -> Formula:
        power = number(exponent, self.span)
        return self._new(Power(self.expression, power, True, self.span, self.expression.depth + 1))


def number(value: float, span: Span) -> Number:
    """The exact decimal a plugin wrote, not the nearest binary fraction."""
    return replace(Number(Fraction(str(value))), span=span)
