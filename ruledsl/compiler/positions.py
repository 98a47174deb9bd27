"""A layer's rule at every position of a convolution, whose synapses are shared: updates are summed over them.

The rule is lowered as ever, for one pair of vectors. What depends on a position is then computed at all
of them: a scalar becomes a vector over positions, a vector a grid. Traces belong to a position's cells, so
that there is one at each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

from ruledsl.compiler.rule_program import RuleProgram
from ruledsl.errors import PluginError
from ruledsl.ir import ENTRYWISE, Builder, Dims, Instruction, Kind, Slot, Update, places_of

_TRACES = (Kind.trace, Kind.feedback_trace)
_MATRICES = "its change is no sum of outer products, and would be one matrix at each position"


class _Unshared(Exception):
    """A synapse would need something of its own at every position."""


@dataclass(frozen=True)
class Shared:
    """How a convolution's layer stands in the program of a step."""

    layer: int
    dims: Mapping[str, str]
    """Symbolic sizes of a synapse's two sides by those of a fully connected layer."""
    inputs: Mapping[str, int]
    """Instructions of the step for what the rule reads: grids, scalars, and matrices of synapses."""

    @property
    def places(self) -> str:
        return places_of(self.layer)


def lower_shared(rule: RuleProgram, builder: Builder, shared: Shared, has_bias: bool) -> list[Update]:
    """This rule's updates of a convolution's layer; see `RuleProgram.lower_into`.

    Raises `PluginError` for terms whose change is no sum of outer products at each position, and for traces
    of synapses, which have one activity at each position.
    """
    try:
        return _lowered(rule, builder, shared, has_bias)
    except _Unshared as reason:
        names = [f"`{n}`" for r, n in enumerate(rule.names) if _fails(rule, r, builder, shared, has_bias)]
        raise PluginError(
            f"{', '.join(names) or 'the rule'} cannot move the shared synapses of layer {shared.layer}, a "
            f"convolution: {reason}"
        ) from None


def _fails(rule: RuleProgram, term: int, builder: Builder, shared: Shared, has_bias: bool) -> bool:
    scratch = Builder()
    inputs = {name: scratch.input(name, builder.shape(n)) for name, n in shared.inputs.items()}
    forms = tuple(form if r == term else None for r, form in enumerate(rule.forms))
    others = tuple(o for o in rule.others if o.coefficient == term)
    try:
        _lowered(replace(rule, forms=forms, others=others), scratch, replace(shared, inputs=inputs), has_bias)
    except _Unshared:
        return True
    return False


def _lowered(rule: RuleProgram, builder: Builder, shared: Shared, has_bias: bool) -> list[Update]:
    alone, layer = Builder(), shared.layer
    own, below = f"n{layer}", f"n{layer - 1}"
    sides = {"pre": below, "post": own}
    inputs = {f"{q}_{side}": alone.input(f"{q}_{side}", (d,)) for q in "yze" for side, d in sides.items()}
    for side, dim in sides.items():  # what has signs of its own shares no synapses
        inputs[f"exc_{side}"] = alone.fill(alone.const(1.0), (dim,))
        inputs[f"inh_{side}"] = alone.fill(alone.const(0.0), (dim,))
    inputs["W"] = alone.input(Slot(Kind.weights, layer - 1), (own, below))
    updates = rule.lower_into(alone, layer, inputs, has_bias)
    return _AtPositions(builder, shared, alone.instructions).updates(updates)


@dataclass(frozen=True)
class _At:
    """A scalar or vector, with an axis of positions in front where it differs between them; or a matrix that
    is the same at all."""

    number: int
    rank: int
    everywhere: bool


@dataclass(frozen=True)
class _Part:
    """s · u vᵀ ∘ X at every position: X is the same at all, what is missing is 1."""

    scale: _At | None = None
    u: _At | None = None
    v: _At | None = None
    x: int | None = None


_Matrices = tuple[_Part, ...]
"""A matrix that differs between positions, as a sum: it is never there as a whole."""


class _AtPositions:
    """Instructions for one position, computed at all."""

    def __init__(self, builder: Builder, shared: Shared, instructions: list[Instruction]) -> None:
        self.builder, self.shared, self.instructions = builder, shared, instructions
        self.values: list[_At | _Matrices | _Unshared] = []
        for instruction in instructions:
            try:  # what nothing needs may be what cannot be shared
                self.values.append(self._value(instruction))
            except _Unshared as reason:
                self.values.append(reason)

    def _at(self, number: int) -> _At | _Matrices:
        found = self.values[number]
        if isinstance(found, _Unshared):
            raise found
        return found

    def _cells(self, number: int) -> _At:
        """A scalar or vector."""
        found = self._at(number)
        assert isinstance(found, _At)
        return found

    def _dims(self, shape: Dims) -> Dims:
        return tuple(self.shared.dims.get(d, d) for d in shape)

    # values ------------------------------------------------------------------

    def _value(self, i: Instruction) -> _At | _Matrices:
        if i.op == "input":
            return self._input(i)
        arguments = [self._at(a) for a in i.arguments]
        same = [a for a in arguments if isinstance(a, _At) and a.everywhere]
        if len(same) == len(arguments):
            return self._everywhere(i, same)
        if len(i.shape) == 2:
            return self._matrices(i, arguments)
        if any(isinstance(a, tuple) or a.rank == 2 for a in arguments):
            return self._of_matrices(i, arguments)
        return self._of_cells(i, [a for a in arguments if isinstance(a, _At)])

    def _input(self, i: Instruction) -> _At:
        """What the step gives for it, or what is loaded; traces are those of a position's cells."""
        b, shape, rank = self.builder, self._dims(i.shape), len(i.shape)
        if i.slot.kind in _TRACES:
            if rank > 1:
                raise _Unshared("a trace at every synapse would be another one at each position")
            return _At(b.input(i.slot, (self.shared.places, *shape)), rank, False)
        given = self.shared.inputs.get(i.slot)
        if given is None:
            given = b.input(i.slot, shape)
        return _At(given, rank, len(b.shape(given)) == rank)

    def _everywhere(self, i: Instruction, arguments: list[_At]) -> _At:
        parameter = i.parameter
        if i.op == "size":
            parameter = self.shared.dims.get(str(parameter), str(parameter))
        numbers = [a.number for a in arguments]
        return _At(self.builder.emit(i.op, numbers, self._dims(i.shape), parameter), len(i.shape), True)

    def _of_cells(self, i: Instruction, arguments: list[_At]) -> _At:
        """Of scalars and vectors alone."""
        b, rank, first = self.builder, len(i.shape), arguments[0]
        if i.op in ENTRYWISE:
            numbers = [self._grid(a, self._dims(i.shape), scalars=True) for a in arguments]
            return _At(self._entrywise(i, numbers), rank, False)
        if i.op == "sum":
            return _At(b.row_sum(first.number), rank, False)
        if i.op == "fill":
            return _At(self._grid(first, self._dims(i.shape)), rank, False)
        if i.op == "dot":
            both = self._times(first, arguments[1])
            assert both is not None
            return _At(b.row_sum(both.number), rank, False)
        raise _Unshared(f"`{i.op}` is not defined at positions")

    def _entrywise(self, i: Instruction, numbers: list[int]) -> int:
        b = self.builder
        if i.op in ("add", "sub", "mul"):
            return {"add": b.add, "sub": b.sub, "mul": b.mul}[i.op](*numbers)
        return b.neg(*numbers) if i.op == "neg" else b.unary(i.op, numbers[0], i.parameter)

    def _grid(self, value: _At, shape: Dims, scalars: bool = False) -> int:
        """A value at every position, as vectors of a shape; `scalars` joins any shape as it is."""
        b, places = self.builder, self.shared.places
        if not value.everywhere:
            return b.rows(value.number, *shape) if len(shape) > value.rank else value.number
        if value.rank == 0:
            return value.number if scalars else b.fill(value.number, (places, *shape))
        return b.columns(value.number, places)

    def _times(self, first: _At | None, second: _At | None) -> _At | None:
        """Entry by entry; what is missing is 1."""
        if first is None or second is None:
            return second if first is None else first
        wide = max(first, second, key=lambda a: a.rank)
        if first.everywhere and second.everywhere:
            return _At(self.builder.mul(first.number, second.number), wide.rank, True)
        shape = self.builder.shape(wide.number)[-1:] if wide.rank else ()
        numbers = (self._grid(a, shape, scalars=True) for a in (first, second))
        return _At(self.builder.mul(*numbers), wide.rank, False)

    # matrices ----------------------------------------------------------------

    def _parts(self, value: _At | _Matrices) -> _Matrices:
        if isinstance(value, tuple):
            return value
        return (_Part(x=value.number) if value.rank == 2 else _Part(scale=value),)

    def _matrices(self, i: Instruction, arguments: list[_At | _Matrices]) -> _Matrices:
        parts = [self._parts(a) for a in arguments]
        if i.op in ("add", "sub", "neg"):
            *kept, last = parts
            turned = last if i.op == "add" else tuple(self._negated(p) for p in last)
            return (*(p for own in kept for p in own), *turned)
        if i.op == "mul":
            return tuple(self._product(p, q) for p, q in product(*parts))
        if i.op == "transpose":
            turn = self.builder.transpose
            return tuple(_Part(p.scale, p.v, p.u, None if p.x is None else turn(p.x)) for p in parts[0])
        vectors = [a for a in arguments if isinstance(a, _At)]
        if i.op in ("outer", "rows", "columns", "fill"):
            u = vectors[0] if i.op in ("outer", "rows") else None
            v = vectors[-1] if i.op in ("outer", "columns") else None
            return (_Part(vectors[0] if i.op == "fill" else None, u, v),)
        raise _Unshared(_MATRICES)

    def _negated(self, part: _Part) -> _Part:
        minus = _At(self.builder.const(-1.0), 0, True)
        return replace(part, scale=self._times(part.scale, minus))

    def _product(self, p: _Part, q: _Part) -> _Part:
        x = p.x if q.x is None else q.x if p.x is None else self.builder.mul(p.x, q.x)
        return _Part(self._times(p.scale, q.scale), self._times(p.u, q.u), self._times(p.v, q.v), x)

    def _of_matrices(self, i: Instruction, arguments: list[_At | _Matrices]) -> _At:
        """Products of a matrix that is the same at all positions with vectors that are not."""
        b = self.builder
        first, vector = arguments[0], arguments[-1]
        if i.op not in ("matvec", "rmatvec") or isinstance(first, tuple) or isinstance(vector, tuple):
            raise _Unshared(_MATRICES)
        product_of = b.matvec if i.op == "matvec" else b.rmatvec
        return _At(product_of(first.number, vector.number), 1, False)

    # updates -----------------------------------------------------------------

    def updates(self, updates: list[Update]) -> list[Update]:
        return [self._trace(u) if u.target.kind in _TRACES else self._summed(u) for u in updates]

    def _trace(self, update: Update) -> Update:
        """A state of each position's cells: a grid of vectors, a vector of scalars."""
        shape = self._dims(self._shape_of(update.target))
        kappa = None if update.kappa is None else self._cells(update.kappa).number
        dense = None if update.dense is None else self._grid(self._cells(update.dense), shape)
        return Update(update.target, kappa, (), dense, len(shape) + 1)

    def _shape_of(self, target: Slot) -> Dims:
        return next(i.shape for i in self.instructions if i.op == "input" and i.slot == target)

    def _summed(self, update: Update) -> Update:
        """The update of what all positions share, summed over them."""
        kappa = None if update.kappa is None else self._over_positions(self._cells(update.kappa))
        pairs = tuple(self._pair(self._cells(u), self._cells(v)) for u, v in update.pairs)
        dense = None if update.dense is None else self._whole(update.dense)
        return Update(update.target, kappa, pairs, dense, update.rank)

    def _whole(self, number: int) -> int:
        value, shape = self._at(number), self._dims(self.instructions[number].shape)
        if isinstance(value, _At):
            return self._over_positions(value)
        total = self._part_over_positions(value[0], shape)
        for part in value[1:]:
            total = self.builder.add(total, self._part_over_positions(part, shape))
        return total

    def _part_over_positions(self, part: _Part, shape: Dims) -> int:
        b, scale, u, v = self.builder, part.scale, part.u, part.v
        after = scale if scale is not None and scale.everywhere else None
        if after is None and (u is not None or v is not None):
            u, v, scale = (
                (self._times(scale, u), v, None) if u is not None else (u, self._times(scale, v), None)
            )
        if u is not None and v is not None:
            found = b.outer(*self._pair(u, v))
        elif u is not None:
            found = b.rows(self._over_positions(u), shape[1])
        elif v is not None:
            found = b.columns(self._over_positions(v), shape[0])
        else:
            found = b.size(self.shared.places) if scale is None or after else self._over_positions(scale)
            if part.x is None:
                found = b.fill(found, shape)
        found = found if part.x is None else b.mul(found, part.x)
        return found if after is None else b.mul(found, after.number)

    def _over_positions(self, value: _At) -> int:
        b = self.builder
        if value.everywhere:
            return b.mul(b.size(self.shared.places), value.number)
        return b.sum(value.number) if value.rank == 0 else b.column_sum(value.number)

    def _pair(self, u: _At, v: _At) -> tuple[int, int]:
        """u and v whose outer product, summed over positions, is what an update adds."""
        if not u.everywhere and not v.everywhere:
            return u.number, v.number
        return (self._over_positions(u), v.number) if v.everywhere else (u.number, self._over_positions(v))
