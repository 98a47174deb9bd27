"""Index expressions to instructions: entries become vectors and matrices, sums become products."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import sympy as sp

from ruledsl.algebra import (
    COLUMN,
    ROW,
    SIZE,
    Contract,
    Elementwise,
    Entry,
    Theta,
    children_of,
    entry,
    factors_of,
    free_indices,
    make_sum,
    side_of,
    trace_time,
)
from ruledsl.compiler.nesting import nested_sum, normal_indices
from ruledsl.ir import ELEMENTWISE, Builder, Diagnostic, InternalError, RuleError, Slot, Update

Indices = tuple[sp.Symbol, ...]


@dataclass(frozen=True)
class Operand:
    """An instruction and the index each of its axes runs over."""

    number: int
    indices: Indices


@dataclass
class Lowering:
    """Lowers any expression of the index form; equal expressions are computed once.

    `dims` names the sizes of the two sides in the program. `inputs` gives instructions for
    quantities; one that is missing is loaded as an input of its own name. With
    `z_post_is_product`, W y_pre is read as z_post: true in a network without biases.

    Traces become states of the slot `traces`, counted, whose updates are left in `carried`. Without it every
    trace is taken to have settled on what it follows.
    """

    builder: Builder
    dims: dict[str, str] = field(default_factory=lambda: {"post": "post", "pre": "pre"})
    inputs: dict[str, int] = field(default_factory=dict)
    z_post_is_product: bool = False
    traces: Slot | None = None
    demand: Counter[sp.Expr] = field(default_factory=Counter)
    carried: list[Update] = field(default_factory=list)
    _memo: dict[sp.Expr, Operand] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.z_post_is_product:
            cell = sp.Symbol("i1", integer=True)
            product = make_sum(entry("W", ROW["post"], cell) * entry("y_pre", cell), cell)
            self._memo[product] = Operand(self._input("z_post", ("post",)), (ROW["post"],))

    # -------------------------------------------------------------------------

    def scalar(self, expression: sp.Expr) -> int:
        return self._shaped(expression, ())

    def post_vector(self, expression: sp.Expr) -> int:
        return self._shaped(expression, (ROW["post"],))

    def pre_vector(self, expression: sp.Expr) -> int:
        return self._shaped(expression, (ROW["pre"],))

    def matrix(self, expression: sp.Expr) -> int:
        return self._shaped(expression, (ROW["post"], ROW["pre"]))

    def _shaped(self, expression: sp.Expr, indices: Indices) -> int:
        return self._spread(self.lower(expression), indices)

    def lower(self, expression: sp.Expr) -> Operand:
        """The value of an expression, axes in the order of the operand's indices."""
        normal = normal_indices(expression)
        if normal not in self._memo:
            self._memo[normal] = self._lower(normal)
        found = self._memo[normal]
        if normal == expression:
            return found
        own = sorted(free_indices(expression), key=lambda k: k.name)
        standard = _standard_names(own)
        back = {standard[k]: k for k in own}
        return Operand(found.number, tuple(back[k] for k in found.indices))

    def _lower(self, expression: sp.Expr) -> Operand:
        b = self.builder
        if isinstance(expression, Theta):
            return Operand(b.theta(expression.number), ())
        if expression.is_number:
            return Operand(b.const(float(expression)), ())
        if isinstance(expression, sp.Symbol):
            side = next(s for s, symbol in SIZE.items() if symbol == expression)
            return Operand(b.size(self.dims[side]), ())
        if isinstance(expression, Entry):
            sides = tuple(side_of(i) for i in expression.indices)
            return Operand(self._input(expression.quantity, sides), expression.indices)
        if isinstance(expression, sp.Add):
            return self._sum(expression)
        if isinstance(expression, sp.Mul):
            return self._product([self.lower(f) for f in _by_width(expression)])  # type: ignore[arg-type]
        if isinstance(expression, sp.Pow) and expression.exp.is_number:
            base = self.lower(expression.base)
            return Operand(b.pow(base.number, float(expression.exp)), base.indices)
        if isinstance(expression, Contract):
            return self._contract(expression)
        function = _function_name(expression)
        argument = self.lower(expression.args[-1])  # type: ignore[arg-type]
        if (tau := trace_time(expression)) is not None:
            return self._trace(argument, tau)
        beta = 1.0 if ELEMENTWISE[function].has_beta else None
        return Operand(b.unary(function, argument.number, beta), argument.indices)

    def _input(self, name: str, sides: tuple[str, ...]) -> int:
        if name not in self.inputs:
            self.inputs[name] = self.builder.input(name, tuple(self.dims[s] for s in sides))
        return self.inputs[name]

    def _trace(self, argument: Operand, tau: float) -> Operand:
        """x̄ ← x̄ + (x − x̄)/τ, from zero; the value is the one that includes this sample."""
        if self.traces is None or tau == 1.0:
            return argument
        b, name = self.builder, Slot(self.traces.kind, self.traces.layer, len(self.carried))
        old, rate = b.input(name, b.shape(argument.number)), b.const(1.0 / tau)
        value = b.add(old, b.mul(rate, b.sub(argument.number, old)))
        source = b.instructions[argument.number]
        if source.op == "outer":
            pairs, dense = ((b.mul(rate, source.arguments[0]), source.arguments[1]),), None
        else:
            pairs, dense = (), b.mul(rate, argument.number)
        self.carried.append(Update(name, b.const(-1.0 / tau), pairs, dense, len(argument.indices)))
        return Operand(value, argument.indices)

    # sums and products -------------------------------------------------------

    def _sum(self, expression: sp.Expr) -> Operand:
        operands = [self.lower(a) for a in expression.args]  # type: ignore[arg-type]
        indices = max((o.indices for o in operands), key=len)
        missing = {i for o in operands for i in o.indices} - set(indices)
        indices = (
            tuple(sorted({*indices, *missing}, key=lambda k: (side_of(k) == "pre", k.name)))
            if missing
            else indices
        )
        numbers = [self._spread(o, indices if o.indices else ()) for o in operands]
        # A scalar summand needs no spreading unless everything else is scalar too.
        total = numbers[0]
        for number in numbers[1:]:
            total = self.builder.add(total, number)
        return Operand(total, indices)

    def _product(self, operands: list[Operand]) -> Operand:
        """Entrywise product over the union of indices; narrow factors are combined first."""
        result = operands[0]
        for operand in operands[1:]:
            indices = result.indices if len(result.indices) >= len(operand.indices) else operand.indices
            union = {*result.indices, *operand.indices}
            if union != set(indices):
                indices = tuple(sorted(union, key=lambda k: (side_of(k) == "pre", k.name)))
            if len(indices) > 2:
                raise _too_complex()
            if len(indices) == 2 and len(result.indices) == len(operand.indices) == 1:
                pair = (result, operand) if result.indices[0] == indices[0] else (operand, result)
                result = Operand(self.builder.outer(pair[0].number, pair[1].number), indices)
                continue
            left = self._spread(result, indices if result.indices else ())
            right = self._spread(operand, indices if operand.indices else ())
            result = Operand(self.builder.mul(left, right), indices)
        return result

    def _spread(self, operand: Operand, indices: Indices) -> int:
        """The operand with exactly these axes: transposed or repeated as needed."""
        if operand.indices == indices:
            return operand.number
        b = self.builder
        if len(operand.indices) == 2 and operand.indices == indices[::-1]:
            return b.transpose(operand.number)
        if len(indices) == 2 and len(operand.indices) == 1:
            other = indices[1] if operand.indices[0] == indices[0] else indices[0]
            dim = self.dims[side_of(other)]
            return (
                b.rows(operand.number, dim)
                if operand.indices[0] == indices[0]
                else b.columns(operand.number, dim)
            )
        if not operand.indices:
            return b.fill(operand.number, tuple(self.dims[side_of(k)] for k in indices))
        raise InternalError(f"cannot give axes {indices} to a value over {operand.indices}")

    # sums over cells ---------------------------------------------------------

    def _contract(self, total: Contract) -> Operand:
        if len(total.bound) > 1:
            return self.lower(nested_sum(total, set(self._memo), self.demand))
        bound = next(iter(total.bound))
        groups: dict[frozenset[sp.Symbol], list[sp.Expr]] = {}
        for factor in factors_of(total.body):
            groups.setdefault(free_indices(factor), []).append(factor)
        keys = sorted(groups, key=lambda g: (len(g), sorted(k.name for k in g)))
        vectors = [self.lower(f) for g in keys if len(g) == 1 for f in groups[g]]  # type: ignore[arg-type]
        matrices = [self._product([self.lower(f) for f in groups[g]]) for g in keys if len(g) == 2]  # type: ignore[arg-type]
        if any(len(g) > 2 for g in keys) or len(matrices) > 2:
            raise _too_complex()
        if not matrices:
            return self._vector_sum(vectors)
        if len(matrices) == 1:
            return self._matrix_vector(matrices[0], vectors, bound)
        return self._matrix_matrix(matrices, vectors, bound)

    def _vector_sum(self, vectors: list[Operand]) -> Operand:
        if len(vectors) == 1:
            return Operand(self.builder.sum(vectors[0].number), ())
        first = self._product(vectors[:-1])
        return Operand(self.builder.dot(first.number, vectors[-1].number), ())

    def _matrix_vector(self, matrix: Operand, vectors: list[Operand], bound: sp.Symbol) -> Operand:
        b = self.builder
        rows, columns = matrix.indices
        kept = columns if rows == bound else rows
        if not vectors:
            total = b.column_sum(matrix.number) if rows == bound else b.row_sum(matrix.number)
            return Operand(total, (kept,))
        vector = self._product(vectors)
        product = b.rmatvec if rows == bound else b.matvec
        return Operand(product(matrix.number, vector.number), (kept,))

    def _matrix_matrix(self, matrices: list[Operand], vectors: list[Operand], bound: sp.Symbol) -> Operand:
        b = self.builder
        first, second = matrices
        if vectors:
            first = self._product([self._product(vectors), first])
        left = first.number if first.indices[1] == bound else b.transpose(first.number)
        right = second.number if second.indices[0] == bound else b.transpose(second.number)
        outer = [next(k for k in m.indices if k != bound) for m in (first, second)]
        return Operand(b.matmul(left, right), (outer[0], outer[1]))


def _function_name(expression: sp.Expr) -> str:
    if isinstance(expression, Elementwise):
        return expression.function
    for function in ELEMENTWISE.values():
        if function.atom and isinstance(expression, getattr(sp, function.atom)):
            return function.name
    raise InternalError(f"there is no lowering for {type(expression).__name__}")


def _by_width(product: sp.Expr) -> list[sp.Expr]:
    return sorted(children_of(product), key=lambda f: (len(free_indices(f)), sp.default_sort_key(f)))


def _standard_names(indices: list[sp.Symbol]) -> dict[sp.Symbol, sp.Symbol]:
    """The renaming `normal_indices` applies, as a table."""
    table: dict[sp.Symbol, sp.Symbol] = {}
    for index in indices:
        side = side_of(index)
        table[index] = COLUMN[side] if ROW[side] in table.values() else ROW[side]
    return table


def _too_complex() -> RuleError:
    message = "a sum in this rule ties three populations together at once, which no matrix product computes"
    return RuleError(Diagnostic("too-complex", message, help="split the expression into several terms"))
