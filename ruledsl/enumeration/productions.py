"""The ways to put two expressions, or one, together: shapes, trees and values of each, as one table.

Values are arrays (T, rows, columns): a vector has one column, a number one row and one column, and T is time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruledsl.enumeration.alphabet import REDUCTIONS, Alphabet
from ruledsl.ir import (
    ELEMENTWISE,
    SCALAR,
    WEIGHTS,
    Binary,
    Call,
    Expression,
    Negate,
    Number,
    Shape,
    Transpose,
)

Array = NDArray[np.float64]
POST, PRE = Shape("post"), Shape("pre")
SHAPES = (SCALAR, POST, PRE, WEIGHTS, Shape("post", "post"), Shape("pre", "pre"))
"""Every expression in one orientation: whatever else the language has is the transpose of one of these."""


@dataclass(frozen=True)
class Production:
    """One way to write a larger expression. Values of both signs of an operand count as one."""

    operands: tuple[Shape, ...]
    result: Shape
    value: Callable[..., Array]
    tree: Callable[..., Expression]
    commutes: bool = False
    """Whether exchanging the operands changes the sign at most."""


def productions(alphabet: Alphabet) -> list[Production]:
    """All of an alphabet, in a fixed order. Signs are free: a sum brings the difference, and the reverse."""
    operators = set(alphabet.operators)
    operators |= {"+", "-"} if operators & {"+", "-"} else set()
    return [
        *(made for operator, made in _binary() if operator in operators),
        *_functions(alphabet),
        *_traces(alphabet),
    ]


def _binary() -> Iterator[tuple[str, Production]]:
    for shape in SHAPES:
        yield "+", _pair("+", shape, shape, shape, np.add, commutes=True)
        yield "-", _pair("-", shape, shape, shape, np.subtract, commutes=True)
        if shape == SCALAR:
            yield "*", _pair("*", shape, shape, shape, np.multiply, commutes=True)
        else:
            yield ".*", _pair(".*", shape, shape, shape, np.multiply, commutes=True)
            yield "*", _pair("*", SCALAR, shape, shape, np.multiply)
        yield "/", _pair("/", shape, SCALAR, shape, _quotient)
    for left in SHAPES:
        for right in SHAPES:
            yield from (("*", p) for p in _products(left, right))


def _pair(
    operator: Any,
    left: Shape,
    right: Shape,
    result: Shape,
    value: Callable[..., Array],
    commutes: bool = False,
) -> Production:
    def tree(a: Expression, b: Expression) -> Expression:
        return Binary(operator, a, b)

    return Production((left, right), result, value, tree, commutes)


def _quotient(a: Array, b: Array) -> Array:
    return a / b


def _products(left: Shape, right: Shape) -> Iterator[Production]:
    """Matrix products of two expressions, each as it is or transposed, that end in a shape of the table."""
    for turned_left in _orientations(left):
        for turned_right in _orientations(right):
            a = left.transposed if turned_left else left
            b = right.transposed if turned_right else right
            if a.columns != b.rows or Shape(a.rows, b.columns) not in SHAPES or SCALAR in (left, right):
                continue
            yield Production(
                (left, right),
                Shape(a.rows, b.columns),
                _product_of(turned_left, turned_right),
                _product_tree(turned_left, turned_right),
                commutes=left == right and Shape(a.rows, b.columns) == SCALAR,
            )


def _orientations(shape: Shape) -> tuple[bool, ...]:
    """A square matrix is not turned: its transpose has a form of the same size."""
    return (False,) if shape == shape.transposed else (False, True)


def _product_of(turned_left: bool, turned_right: bool) -> Callable[..., Array]:
    def value(a: Array, b: Array) -> Array:
        return np.matmul(a.swapaxes(1, 2) if turned_left else a, b.swapaxes(1, 2) if turned_right else b)

    return value


def _product_tree(turned_left: bool, turned_right: bool) -> Callable[..., Expression]:
    def tree(a: Expression, b: Expression) -> Expression:
        return Binary("*", Transpose(a) if turned_left else a, Transpose(b) if turned_right else b)

    return tree


def _functions(alphabet: Alphabet) -> Iterator[Production]:
    for name in alphabet.functions:
        for shape in SHAPES:
            if name in REDUCTIONS:
                if shape != SCALAR:
                    yield Production((shape,), SCALAR, _REDUCED[name], _call(name))
                continue
            yield Production((shape,), shape, _elementwise(name), _call(name))
            if name not in ("square", "abs"):
                yield Production((shape,), shape, _elementwise(name, -1.0), _call(name, negated=True))


def _norm(a: Array) -> Array:
    return np.sqrt(np.sum(a * a, axis=(1, 2), keepdims=True))


_REDUCED: dict[str, Callable[..., Array]] = {
    "mean": lambda a: np.mean(a, axis=(1, 2), keepdims=True),
    "sum": lambda a: np.sum(a, axis=(1, 2), keepdims=True),
    "norm": _norm,
}


def _elementwise(name: str, sign: float = 1.0) -> Callable[..., Array]:
    row = ELEMENTWISE[name]
    if row.numpy is None:  # powers are another op
        return {"square": np.square, "sqrt": lambda a: np.sqrt(sign * a)}[name]  # type: ignore[return-value]
    compute = row.numpy
    return lambda a: compute(np, sign * a, 1.0)


def _call(name: str, negated: bool = False) -> Callable[..., Expression]:
    return lambda a: Call(name, (Negate(a) if negated else a,))


def _traces(alphabet: Alphabet) -> Iterator[Production]:
    for tau in alphabet.traces:
        for shape in (POST, PRE, WEIGHTS):
            yield Production((shape,), shape, _trace(tau), _trace_tree(tau))


def _trace(tau: float) -> Callable[..., Array]:
    """x̄_t = x̄_{t−1} + (x_t − x̄_{t−1}) / τ from x̄ = 0, along the first axis."""

    def value(a: Array) -> Array:
        kept, now = np.empty_like(a), np.zeros_like(a[0])
        for time, x in enumerate(a):
            now = now + (x - now) / tau
            kept[time] = now
        return kept

    return value


def _trace_tree(tau: float) -> Callable[..., Expression]:
    return lambda a: Call("trace", (a, Number(Fraction(tau))))
