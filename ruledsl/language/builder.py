"""Parse-time callbacks: each grammar rule becomes its tree node as soon as it is complete.

Building bottom-up needs no recursion, so nesting depth is bounded by our own limit and its
message, never by Python's stack.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from lark import Token

from ruledsl.ir import (
    BY_TERMINAL,
    Atom,
    Attribute,
    Binary,
    Call,
    Expression,
    LetStatement,
    Name,
    Negate,
    Number,
    Power,
    RuleItem,
    RuleStatement,
    Span,
    TermStatement,
    Transpose,
)

MAX_DEPTH = 200
MAX_DIGITS = 400


class TooDeep(Exception):
    """An expression is nested beyond `MAX_DEPTH`; carries the span."""

    def __init__(self, span: Span) -> None:
        self.span = span


class BadNumber(Exception):
    """A literal that no floating-point number can hold; carries the span."""

    def __init__(self, span: Span) -> None:
        self.span = span


def token_span(token: Token) -> Span:
    start = token.start_pos or 0
    return Span(start, token.end_pos or start + len(token))


def read_number(token: Token) -> Fraction:
    """The exact value of a literal; raises `BadNumber` for one that overflows a float."""
    mantissa, _, exponent = str(token).lower().partition("e")
    if len(exponent) > 5 or len(mantissa) > MAX_DIGITS or abs(int(exponent or 0)) > MAX_DIGITS:
        raise BadNumber(token_span(token))
    value = Fraction(str(token))
    if value and not 1e-307 < value < Fraction(10) ** 308:
        raise BadNumber(token_span(token))
    return value


def _depth(span: Span, *children: Expression) -> int:
    depth = 1 + max(child.depth for child in children)
    if depth > MAX_DEPTH:
        raise TooDeep(span)
    return depth


class TreeBuilder:
    """One method per grammar rule, called by Lark with the children of that rule."""

    # expressions -------------------------------------------------------------

    def number(self, children: list[Any]) -> Number:
        (token,) = children
        return Number(read_number(token), token_span(token))

    def name(self, children: list[Any]) -> Name:
        (token,) = children
        text = str(token)
        return Name("1" + text[1:] if text[0] in "𝟏𝟙" else text, token_span(token))

    def binary(self, children: list[Any]) -> Binary:
        left, token, right = children
        span = left.span.to(right.span)
        return Binary(
            BY_TERMINAL[token.type], left, right, span, token_span(token), _depth(span, left, right)
        )

    def negate(self, children: list[Any]) -> Negate:
        token, operand = children
        span = token_span(token).to(operand.span)
        return Negate(operand, span, _depth(span, operand))

    def plus(self, children: list[Any]) -> Expression:
        (operand,) = children
        return operand

    def transpose(self, children: list[Any]) -> Transpose:
        operand, token = children
        span = operand.span.to(token_span(token))
        return Transpose(operand, span, _depth(span, operand))

    def power(self, children: list[Any]) -> Power:
        return self._power(children, elementwise=False)

    def elementwise_power(self, children: list[Any]) -> Power:
        return self._power(children, elementwise=True)

    def _power(self, children: list[Any], elementwise: bool) -> Power:
        base, _, exponent = children
        span = base.span.to(exponent.span)
        return Power(base, exponent, elementwise, span, _depth(span, base, exponent))

    def call(self, children: list[Any]) -> Call:
        token, *arguments = children
        name_span = token_span(token)
        span = name_span.to(arguments[-1].span)
        return Call(str(token), tuple(arguments), span, name_span, _depth(span, *arguments))

    def parenthesised(self, children: list[Any]) -> Expression:
        (inner,) = children
        return inner

    # attributes --------------------------------------------------------------

    def number_value(self, children: list[Any]) -> Atom:
        read_number(children[0])
        return Atom("number", str(children[0]), token_span(children[0]))

    def negative_value(self, children: list[Any]) -> Atom:
        minus, token = children
        read_number(token)
        return Atom("number", f"-{token}", token_span(minus).to(token_span(token)))

    def range_value(self, children: list[Any]) -> Atom:
        return Atom("range", "".join(str(children[0]).split()), token_span(children[0]))

    def name_value(self, children: list[Any]) -> Atom:
        return Atom("name", str(children[0]), token_span(children[0]))

    def string_value(self, children: list[Any]) -> Atom:
        return Atom("string", str(children[0])[1:-1], token_span(children[0]))

    def flag(self, children: list[Any]) -> Attribute:
        return Attribute(str(children[0]), (), token_span(children[0]), token_span(children[0]))

    def assignment(self, children: list[Any]) -> Attribute:
        token, *values = children
        return Attribute(str(token), tuple(values), token_span(token).to(values[-1].span), token_span(token))

    def attributes(self, children: list[Any]) -> tuple[Attribute, ...]:
        return tuple(children)

    # statements --------------------------------------------------------------

    def term(self, children: list[Any]) -> TermStatement:
        name, note, expression, attributes = children
        return TermStatement(
            str(name),
            _note(note),
            expression,
            attributes or (),
            "W",
            token_span(name).to(expression.span),
            token_span(name),
        )

    def feedback_term(self, children: list[Any]) -> TermStatement:
        name, target, note, expression, attributes = children
        span = token_span(name).to(expression.span)
        return TermStatement(
            str(name),
            _note(note),
            expression,
            attributes or (),
            str(target),
            span,
            token_span(name),
            token_span(target),
        )

    def let(self, children: list[Any]) -> LetStatement:
        name, _, expression = children
        return LetStatement(
            str(name), expression, False, token_span(name).to(expression.span), token_span(name)
        )

    def const(self, children: list[Any]) -> LetStatement:
        name, _, expression = children
        return LetStatement(
            str(name), expression, True, token_span(name).to(expression.span), token_span(name)
        )

    def positive(self, children: list[Any]) -> Fraction:
        return read_number(children[0])

    def negative(self, children: list[Any]) -> Fraction:
        return -read_number(children[1])

    def plain_item(self, children: list[Any]) -> RuleItem:
        name, attributes = children
        return RuleItem(str(name), None, attributes or (), token_span(name), token_span(name))

    def scaled_item(self, children: list[Any]) -> RuleItem:
        coefficient, _, name, attributes = children
        return RuleItem(str(name), coefficient, attributes or (), token_span(name), token_span(name))

    def rule(self, children: list[Any]) -> RuleStatement:
        name, note, attributes, *items = children
        return RuleStatement(
            str(name),
            _note(note),
            tuple(items),
            attributes or (),
            token_span(name).to(items[-1].span),
            token_span(name),
        )

    def start(self, children: list[Any]) -> Any:
        return children[0]


def _note(token: Token | None) -> str | None:
    return None if token is None else str(token)[1:-1]
