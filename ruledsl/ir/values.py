"""Values of a program under construction, written with operators: what plugins are written in.

`W @ y`, `W.T @ e`, `a * b`, `1 - y`, `tanh(z)` and so on append instructions. The adjoint, the torch form
and, where there is one, the C++ form follow from the op table, so whatever is written this way is
differentiated exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ruledsl.ir.ops import ENTRYWISE, LOADS, OPS
from ruledsl.ir.program import Builder, Dims, is_grid


@dataclass(frozen=True, eq=False)
class Value:
    """A scalar, vector or matrix of a program. Operators act entry by entry; a scalar joins any shape.

    Raises:
        TypeError: shapes do not fit.
    """

    builder: Builder
    number: int

    @property
    def dims(self) -> Dims:
        """Symbolic sizes: `()` for a scalar, `("n1",)` for a vector, `("n1", "n0")` for a matrix."""
        return self.builder.shape(self.number)

    def apply(self, function: str) -> Value:
        """An elementwise function of the op table."""
        return self._new(self.builder.unary(function, self.number))

    def _new(self, number: int) -> Value:
        return Value(self.builder, number)

    def _other(self, other: Value | float) -> int:
        if isinstance(other, int | float):
            return self.builder.const(float(other))
        if other.dims and self.dims and other.dims != self.dims:
            raise TypeError(
                f"values of shapes {_shown(self.dims)} and {_shown(other.dims)} do not go together"
            )
        return other.number

    def __add__(self, other: Value | float) -> Value:
        return self._new(self.builder.add(self.number, self._other(other)))

    def __sub__(self, other: Value | float) -> Value:
        return self._new(self.builder.sub(self.number, self._other(other)))

    def __mul__(self, other: Value | float) -> Value:
        return self._new(self.builder.mul(self.number, self._other(other)))

    def __truediv__(self, other: Value | float) -> Value:
        return self * (1.0 / other if isinstance(other, int | float) else other**-1.0)

    def __radd__(self, other: float) -> Value:
        return self + other

    def __rsub__(self, other: float) -> Value:
        return self._new(self.builder.sub(self._other(other), self.number))

    def __rmul__(self, other: float) -> Value:
        return self * other

    def __rtruediv__(self, other: float) -> Value:
        return other * self**-1.0

    def __neg__(self) -> Value:
        return self._new(self.builder.neg(self.number))

    def __pow__(self, exponent: float) -> Value:
        return self._new(self.builder.pow(self.number, float(exponent)))

    def __matmul__(self, vector: Value) -> Value:
        """Matrix · vector, at every position where the vector is a grid."""
        if len(self.dims) != 2 or vector.dims[-1:] != self.dims[1:] or not vector._at_each:
            raise TypeError(f"a {_shown(self.dims)} cannot be applied to a {_shown(vector.dims)}")
        source = self.builder.instructions[self.number]
        if source.op == "transpose":  # no copy of the matrix
            return self._new(self.builder.rmatvec(source.arguments[0], vector.number))
        return self._new(self.builder.matvec(self.number, vector.number))

    @property
    def T(self) -> Value:
        """The transposed matrix."""
        if len(self.dims) != 2:
            raise TypeError(f"a {_shown(self.dims)} has no transpose")
        return self._new(self.builder.transpose(self.number))

    def sum(self) -> Value:
        """The sum of all entries."""
        return self._new(self.builder.sum(self.number))

    def dot(self, other: Value) -> Value:
        """Σ of the entrywise product."""
        return self._new(self.builder.dot(self.number, self._other(other)))

    @property
    def is_grid(self) -> bool:
        """Whether this is a vector at every position of a convolution; outer products sum over them."""
        return is_grid(self.dims)

    @property
    def _at_each(self) -> bool:
        return len(self.dims) == 1 or self.is_grid

    def outer(self, other: Value) -> Value:
        """self otherᵀ of two vectors, summed over positions where they are grids."""
        if not (self._at_each and other._at_each and self.dims[:-1] == other.dims[:-1]):
            raise TypeError(
                f"an outer product needs two vectors, not {_shown(self.dims)} and {_shown(other.dims)}"
            )
        return self._new(self.builder.outer(self.number, other.number))

    def size(self) -> Value:
        """The number of entries."""
        total = self.builder.const(1.0)
        for dim in self.dims:
            total = self.builder.mul(total, self.builder.size(dim))
        return self._new(total)

    def mean(self) -> Value:
        """The mean of all entries."""
        return self.sum() * self.size() ** -1.0

    def over_rows(self, rows: str) -> Value:
        """A matrix with `rows` rows that all equal this vector."""
        return self._new(self.builder.columns(self.number, rows))


def slope_of(function: Callable[[Value], Value], at: Value, result: Value) -> Value:
    """dresult/dat, entry by entry, for a `result` that was built from `at` by elementwise ops alone.

    Derived from the op table, like every adjoint. Raises `TypeError` when an op mixes entries.
    """
    builder = at.builder
    ones = builder.const(1.0)
    cotangents: dict[int, int] = {result.number: ones}
    for number in range(result.number, at.number, -1):
        if number not in cotangents:
            continue
        instruction = builder.instructions[number]
        if instruction.op in LOADS:
            continue
        if instruction.op not in ENTRYWISE:
            raise TypeError(f"`{_name(function)}` uses `{instruction.op}`, which is not entry by entry")
        pulled = OPS[instruction.op].adjoint(
            builder, instruction.parameter, instruction.arguments, number, cotangents.pop(number)
        )
        for argument, cotangent in zip(instruction.arguments, pulled, strict=True):
            if cotangent is None or not builder.shape(argument):
                continue
            known = cotangents.get(argument)
            cotangents[argument] = cotangent if known is None else builder.add(known, cotangent)
    slope = cotangents.get(at.number)
    return Value(builder, builder.const(0.0) if slope is None else slope)


def _name(function: Callable[[Value], Value]) -> str:
    return getattr(function, "__name__", "the function")


def _shown(dims: Dims) -> str:
    return "scalar" if not dims else " × ".join(dims) + (" matrix" if len(dims) == 2 else " vector")


class Applicable(Protocol):
    """Whatever knows the elementwise functions: a `Value`, or an expression of the language."""

    def apply(self, function: str) -> Applicable: ...
