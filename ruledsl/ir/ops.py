"""The op table: one row per op with its shape rule, its adjoint and its cost.

Forward programs and adjoint programs use the same ops and meet only here. Backends must have
exactly the keys of `OPS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from ruledsl.ir.diagnostics import InternalError
from ruledsl.ir.functions import FUNCTIONS, Function
from ruledsl.ir.patches import Patches
from ruledsl.ir.program import Builder, Dims, Instruction, Parameter, Program, is_grid

ShapeRule = Callable[[Sequence[Dims], Parameter, Dims], bool]
AdjointRule = Callable[[Builder, Parameter, Sequence[int], int, int], Sequence[int | None]]
"""(builder, parameter, arguments, result, cotangent of the result) → cotangent of each argument, or None."""


@dataclass(frozen=True)
class Op:
    """What every stage must know of an op. `products` counts multiplications from the shapes."""

    name: str
    arity: int
    fits: ShapeRule
    adjoint: AdjointRule
    products: Callable[[Sequence[Sequence[int]], Sequence[int]], int]


def _entrywise(_: Sequence[Sequence[int]], shape: Sequence[int]) -> int:
    return prod(shape)


def _over_first(arguments: Sequence[Sequence[int]], _: Sequence[int]) -> int:
    return prod(arguments[0])


def _free(_: Sequence[Sequence[int]], __: Sequence[int]) -> int:
    return 0


def _match(builder: Builder, cotangent: int, argument: int) -> int:
    """A cotangent summed down to a scalar where a scalar was broadcast."""
    return builder.sum(cotangent) if builder.shape(argument) == () else cotangent


def _spread(builder: Builder, cotangent: int, argument: int) -> int:
    return builder.fill(cotangent, builder.shape(argument))


def _mul_adjoint(
    b: Builder, _: Parameter, arguments: Sequence[int], __: int, cotangent: int
) -> list[int | None]:
    results: list[int | None] = []
    for own, other in ((arguments[0], arguments[1]), (arguments[1], arguments[0])):
        if b.shape(own) == () and b.shape(cotangent) != ():
            shape = b.shape(cotangent)
            results.append(
                b.dot(cotangent, other) if b.shape(other) == shape else b.mul(other, b.sum(cotangent))
            )
        else:
            results.append(b.mul(cotangent, other))
    return results


def _pow_adjoint(
    b: Builder, parameter: Parameter, arguments: Sequence[int], _: int, cotangent: int
) -> list[int | None]:
    exponent = float(parameter or 0.0)
    slope = b.mul(b.const(exponent), b.pow(arguments[0], exponent - 1.0))
    return [b.mul(cotangent, slope)]


def _softmax_adjoint(
    b: Builder, _: Parameter, __: Sequence[int], result: int, cotangent: int
) -> list[int | None]:
    return [b.mul(result, b.sub(cotangent, b.dot(cotangent, result)))]


def _same(shapes: Sequence[Dims], _: Parameter, shape: Dims) -> bool:
    return all(s == shape for s in shapes)


def _broadcast(shapes: Sequence[Dims], _: Parameter, shape: Dims) -> bool:
    return all(s in ((), shape) for s in shapes) and shape in shapes


def _source(shapes: Sequence[Dims], parameter: Parameter, _: Dims) -> bool:
    return not shapes and parameter is not None


def _at_each(vector: Dims) -> bool:
    """Whether a product may take it: a vector, or one at every position."""
    return len(vector) == 1 or is_grid(vector)


def _product(matrix: Dims, vector: Dims, inner: int, shape: Dims) -> bool:
    fits = len(matrix) == 2 and _at_each(vector) and vector[-1] == matrix[inner]
    return fits and shape == (*vector[:-1], matrix[1 - inner])


def _outer(shapes: Sequence[Dims], _: Parameter, shape: Dims) -> bool:
    u, v = shapes
    return _at_each(u) and _at_each(v) and u[:-1] == v[:-1] and shape == (u[-1], v[-1])


def _products(arguments: Sequence[Sequence[int]], _: Sequence[int]) -> int:
    return prod(arguments[0]) * prod(arguments[1][:-1])


def _outer_products(arguments: Sequence[Sequence[int]], _: Sequence[int]) -> int:
    return prod(arguments[0]) * arguments[1][-1]


def _function(function: Function) -> Op:
    def adjoint(
        b: Builder, parameter: Parameter, arguments: Sequence[int], result: int, cotangent: int
    ) -> list[int | None]:
        factor = function.slope(b, arguments[0], result, float(parameter or 1.0))
        return [None if factor is None else b.mul(cotangent, factor)]

    return Op(function.name, 1, _same, adjoint, _entrywise)


_ROWS = (
    Op("input", 0, _source, lambda b, t, a, r, c: (), _free),
    Op("theta", 0, _source, lambda b, t, a, r, c: (), _free),
    Op("const", 0, _source, lambda b, t, a, r, c: (), _free),
    Op("size", 0, _source, lambda b, t, a, r, c: (), _free),
    Op("add", 2, _broadcast, lambda b, t, a, r, c: (_match(b, c, a[0]), _match(b, c, a[1])), _entrywise),
    Op(
        "sub",
        2,
        _broadcast,
        lambda b, t, a, r, c: (_match(b, c, a[0]), b.neg(_match(b, c, a[1]))),
        _entrywise,
    ),
    Op("mul", 2, _broadcast, _mul_adjoint, _entrywise),
    Op("neg", 1, _same, lambda b, t, a, r, c: (b.neg(c),), _entrywise),
    Op("pow", 1, _same, _pow_adjoint, _entrywise),
    *(_function(f) for f in FUNCTIONS.values() if f.is_op),
    Op("softmax", 1, _same, _softmax_adjoint, _entrywise),
    Op("sum", 1, lambda s, _, shape: shape == (), lambda b, t, a, r, c: (_spread(b, c, a[0]),), _over_first),
    Op(
        "row_sum",
        1,
        lambda s, _, shape: len(s[0]) == 2 and shape == s[0][:1],
        lambda b, t, a, r, c: (b.rows(c, b.shape(a[0])[1]),),
        _over_first,
    ),
    Op(
        "column_sum",
        1,
        lambda s, _, shape: len(s[0]) == 2 and shape == s[0][1:],
        lambda b, t, a, r, c: (b.columns(c, b.shape(a[0])[0]),),
        _over_first,
    ),
    Op(
        "dot",
        2,
        lambda s, _, shape: s[0] == s[1] != () and shape == (),
        lambda b, t, a, r, c: (b.mul(c, a[1]), b.mul(c, a[0])),
        _over_first,
    ),
    Op(
        "matvec",
        2,
        lambda s, _, shape: _product(s[0], s[1], 1, shape),
        lambda b, t, a, r, c: (b.outer(c, a[1]), b.rmatvec(a[0], c)),
        _products,
    ),
    Op(
        "rmatvec",
        2,
        lambda s, _, shape: _product(s[0], s[1], 0, shape),
        lambda b, t, a, r, c: (b.outer(a[1], c), b.matvec(a[0], c)),
        _products,
    ),
    Op(
        "outer",
        2,
        _outer,
        lambda b, t, a, r, c: (b.matvec(c, a[1]), b.rmatvec(c, a[0])),
        _outer_products,
    ),
    Op(
        "matmul",
        2,
        lambda s, _, shape: (
            len(s[0]) == len(s[1]) == 2 and s[0][1] == s[1][0] and shape == (s[0][0], s[1][1])
        ),
        lambda b, t, a, r, c: (b.matmul(c, b.transpose(a[1])), b.matmul(b.transpose(a[0]), c)),
        lambda s, shape: prod(s[0]) * shape[1],
    ),
    Op(
        "transpose",
        1,
        lambda s, _, shape: len(s[0]) == 2 and shape == s[0][::-1],
        lambda b, t, a, r, c: (b.transpose(c),),
        _free,
    ),
    Op(
        "rows",
        1,
        lambda s, _, shape: len(s[0]) == 1 and len(shape) == 2 and shape[:1] == s[0],
        lambda b, t, a, r, c: (b.row_sum(c),),
        _free,
    ),
    Op(
        "columns",
        1,
        lambda s, _, shape: len(s[0]) == 1 and len(shape) == 2 and shape[1:] == s[0],
        lambda b, t, a, r, c: (b.column_sum(c),),
        _free,
    ),
    Op("fill", 1, lambda s, _, shape: s[0] == () != shape, lambda b, t, a, r, c: (b.sum(c),), _free),
    Op(
        "patches",
        1,
        lambda s, _, shape: len(s[0]) == 1 and is_grid(shape),
        lambda b, t, a, r, c: (b.overlap(c, Patches.read(t), b.shape(a[0])[0]),),
        _free,
    ),
    Op(
        "overlap",
        1,
        lambda s, _, shape: is_grid(s[0]) and len(shape) == 1,
        lambda b, t, a, r, c: (b.patches(c, Patches.read(t), b.shape(a[0])),),
        _free,
    ),
    Op(
        "grid",
        1,
        lambda s, _, shape: len(s[0]) == 1 and is_grid(shape),
        lambda b, t, a, r, c: (b.flat(c, b.shape(a[0])[0]),),
        _free,
    ),
    Op(
        "flat",
        1,
        lambda s, _, shape: is_grid(s[0]) and len(shape) == 1,
        lambda b, t, a, r, c: (b.grid(c, b.shape(a[0])),),
        _free,
    ),
)

OPS: Mapping[str, Op] = {op.name: op for op in _ROWS}
ENTRYWISE = frozenset({"add", "sub", "mul", "neg", "pow"} | {f.name for f in FUNCTIONS.values() if f.is_op})
"""Ops of which an entry depends on the same entry of each argument alone."""
LOADS = frozenset({"input", "theta", "const", "size"})
"""Ops that compute nothing."""


def verify(program: Program) -> None:
    """Raise `InternalError` unless every instruction fits its row of the table."""
    for number, instruction in enumerate(program.instructions):
        _verify_instruction(program, number, instruction)
    for update in program.updates:
        both = (*update.pairs, *update.gains)
        shapes = [(program.instructions[u].shape, program.instructions[v].shape) for u, v in both]
        fit = all(_at_each(u) and _at_each(v) and u[:-1] == v[:-1] for u, v in shapes)
        if not fit or len({(u[-1], v[-1]) for u, v in shapes}) > 1:
            raise InternalError(f"the update of {update.target} has pairs of different shapes: {shapes}")
    for root in program.roots():
        if not 0 <= root < len(program.instructions):
            raise InternalError(f"an output names instruction %{root}, which does not exist")


def _verify_instruction(program: Program, number: int, instruction: Instruction) -> None:
    op = OPS.get(instruction.op)
    if op is None:
        raise InternalError(f"%{number}: there is no op `{instruction.op}`")
    if len(instruction.arguments) != op.arity or any(not 0 <= a < number for a in instruction.arguments):
        raise InternalError(f"%{number}: `{op.name}` has arguments {instruction.arguments}")
    shapes = [program.instructions[a].shape for a in instruction.arguments]
    if not op.fits(shapes, instruction.parameter, instruction.shape):
        raise InternalError(f"%{number}: `{op.name}` of {shapes} cannot have shape {instruction.shape}")


def program_cost(program: Program, sizes: Mapping[str, int]) -> int:
    """Multiplications of one evaluation, batch axes left out, with the updates' outer products."""
    dims = [[sizes[d] for d in i.shape] for i in program.instructions]
    total = sum(
        OPS[i.op].products([dims[a] for a in i.arguments], dims[n])
        for n, i in enumerate(program.instructions)
    )
    for update in program.updates:
        matrix = [prod(dims[u]) * dims[v][-1] for u, v in update.pairs]
        matrix += [2 * prod(dims[p]) * dims[q][-1] for p, q in update.gains]
        dense = [prod(dims[update.dense])] if update.dense is not None else []
        kappa = prod(sizes[d] for d in ("post", "pre")) if update.kappa is not None and "post" in sizes else 0
        total += sum(matrix) + sum(dense) + kappa
    return total
