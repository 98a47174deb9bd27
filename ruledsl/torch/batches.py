"""One layer's update for many samples at once: the mean of what each sample alone would have done.

Vectors have one row for each sample, or for each position of a sample; W has no such axis. Sums of u vᵀ over
rows are one product of matrices. No sample's own matrix is ever written down, where algebra can avoid it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ruledsl.backend import EagerProgram, Operand, change_of
from ruledsl.ir import Kind, Program, Slot, Update

SHARED = frozenset({Kind.weights, Kind.feedback, Kind.bias})
"""Kinds of inputs that all rows have in common."""
TRACES = frozenset({Kind.trace, Kind.feedback_trace})
BEGUN = TRACES | {Kind.age}
"""What begins with a stream, and belongs to it."""
NARROW = 64
"""Cells of the short side up to which a further product of matrices costs less than a pass over the long."""


@dataclass(frozen=True)
class Part:
    """A summand of a long vector: a value, its sign, and the scalars that it is multiplied by."""

    value: int
    sign: float = 1.0
    scalars: tuple[int, ...] = ()


@dataclass(frozen=True)
class LayerUpdate:
    """The updates of one layer's weights, and of whatever else its rule carries, over the rows of a batch."""

    program: Program
    sizes: Mapping[str, int]

    @cached_property
    def runner(self) -> EagerProgram:
        return EagerProgram(self.program, self.sizes)

    @cached_property
    def by_row(self) -> list[bool]:
        """Which values differ from row to row."""
        found: list[bool] = []
        for i in self.program.instructions:
            own = i.op == "input" and not self._is_shared(i.slot)
            found.append(own or any(found[a] for a in i.arguments))
        return found

    def _is_shared(self, slot: Slot) -> bool:
        return slot.kind in SHARED or slot in self.matrix_traces

    @cached_property
    def matrix_traces(self) -> list[Slot]:
        """What each synapse remembers of its two cells: of one row after another, so of one stream."""
        return [u.target for u in self.program.updates if u.target.kind in TRACES and u.rank == 2]

    @cached_property
    def _remembered(self) -> list[Slot]:
        """Traces of cells: every row has its own."""
        return [u.target for u in self.program.updates if u.target.kind in TRACES and u.rank == 1]

    @cached_property
    def _avoided(self) -> list[bool]:
        """Matrices that differ from row to row: summed over rows without being written down."""
        return [
            by_row and len(i.shape) == 2
            for by_row, i in zip(self.by_row, self.program.instructions, strict=True)
        ]

    @cached_property
    def is_factored(self) -> bool:
        """Whether nothing but the update itself asks for a matrix that differs from row to row."""
        instructions = self.program.instructions
        consumed = {
            a
            for i, avoided in zip(instructions, self._avoided, strict=True)
            if not avoided
            for a in i.arguments
        }
        return not any(self._avoided[n] for n in consumed) and all(
            self._can_sum(u.dense) for u in self.program.updates if u.dense is not None
        )

    def _can_sum(self, number: int) -> bool:
        if not self._avoided[number]:
            return True
        i = self.program.instructions[number]
        if i.op in ("add", "sub", "neg"):
            return all(self._can_sum(a) for a in i.arguments)
        if i.op in ("outer", "rows", "columns", "fill"):
            return True
        if i.op == "mul":
            matrices = [a for a in i.arguments if self._avoided[a]]
            return len(matrices) == 1 and self._can_sum(matrices[0])
        return False

    @cached_property
    def _parts(self) -> dict[int, list[Part]]:
        """The longer sides of outer products as sums, where each summand has a product of its own: scalars
        then go to the short side."""
        found: dict[int, list[Part]] = {}
        for update in self.program.updates:
            for pair in update.pairs:
                lengths = [self.sizes[self.program.instructions[n].shape[0]] for n in pair]
                if min(lengths) <= NARROW:
                    longer = pair[0] if lengths[0] > lengths[1] else pair[1]
                    found[longer] = self._summands(longer)
        return found

    def _summands(self, vector: int) -> list[Part]:
        found, open_parts = [], [Part(vector)]
        while open_parts:
            part = open_parts.pop()
            i = self.program.instructions[part.value]
            scalars = [a for a in i.arguments if not self.program.instructions[a].shape]
            if i.op == "neg":
                open_parts.append(Part(i.arguments[0], -part.sign, part.scalars))
            elif i.op in ("add", "sub") and not scalars:
                last = part.sign if i.op == "add" else -part.sign
                open_parts += [Part(i.arguments[1], last, part.scalars), replace(part, value=i.arguments[0])]
            elif i.op == "mul" and scalars:
                rest = next(a for a in i.arguments if a not in scalars)
                open_parts.append(Part(rest, part.sign, (*part.scalars, scalars[0])))
            else:
                found.append(part)
        return found

    @cached_property
    def _evaluated(self) -> list[bool]:
        """What has to be computed."""
        wanted, open_values = [False] * len(self.program.instructions), [*self._roots()]
        while open_values:
            number = open_values.pop()
            if wanted[number]:
                continue
            wanted[number] = True
            open_values += self.program.instructions[number].arguments
        return [asked and not avoided for asked, avoided in zip(wanted, self._avoided, strict=True)]

    def _roots(self) -> Iterator[int]:
        for update in self.program.updates:
            yield from (n for n in (update.kappa, update.dense) if n is not None)
            for number in (n for pair in update.pairs for n in pair):
                parts = self._parts.get(number)
                yield from (n for part in parts for n in (part.value, *part.scalars)) if parts else (number,)

    def change(self, inputs: Mapping[str, Tensor], theta: Tensor, rows: int) -> dict[Slot, Tensor]:
        """Σ over rows of the change of every matrix and bias; vector traces change row by row.

        Args:
            inputs: y_pre … (rows, n), and W, B, biases and traces.
            theta: (R,).
        """
        if not self.is_factored:
            return self._row_after_row(inputs, theta, rows)
        values = self.runner.run(inputs, theta, only=self._evaluated)
        return {u.target: self._changed(u, inputs, values, rows) for u in self.program.updates}

    def _changed(
        self, update: Update, inputs: Mapping[str, Tensor], values: Sequence[Operand | None], rows: int
    ) -> Tensor:
        target = inputs[update.target]
        if update.target in self._remembered:
            return change_of(update, values, target)
        change = torch.zeros_like(target)
        if update.pairs:
            change = self._outer_products(update, values, target, rows)
        if update.kappa is not None:
            change = change + _total(values[update.kappa], self.by_row[update.kappa], rows) * target
        if update.dense is not None:
            change = change + _Sums(self, values, target, rows).of(update.dense)
        return change

    def _outer_products(
        self, update: Update, values: Sequence[Operand | None], target: Tensor, rows: int
    ) -> Tensor:
        """Σ over rows and pairs of u vᵀ: one product of matrices, or one for each summand of long sides."""
        by_part: dict[tuple[int, bool], Tensor] = {}
        us, vs = [], []
        for u, v in update.pairs:
            split = v if v in self._parts else u if u in self._parts else None
            if split is None:
                us.append(_rows_of(values[u], target.shape[0], rows, target))
                vs.append(_rows_of(values[v], target.shape[1], rows, target))
                continue
            is_pre = split == v
            short = _rows_of(values[u if is_pre else v], target.shape[0 if is_pre else 1], rows, target)
            for part in self._parts[split]:
                coefficient = target.new_tensor(part.sign)
                for scalar in part.scalars:
                    coefficient = coefficient * _tensor(values[scalar], target)
                share = short * (coefficient if coefficient.dim() == 0 else coefficient.unsqueeze(-1))
                key = (part.value, is_pre)
                by_part[key] = by_part[key] + share if key in by_part else share
        total = torch.cat(us).T @ torch.cat(vs) if us else torch.zeros_like(target)
        for (value, is_pre), share in by_part.items():
            long = _rows_of(values[value], target.shape[1 if is_pre else 0], rows, target)
            total = total + (share.T @ long if is_pre else long.T @ share)
        return total

    def _row_after_row(self, inputs: Mapping[str, Tensor], theta: Tensor, rows: int) -> dict[Slot, Tensor]:
        shared = {name for name in inputs if self._is_shared(Slot.read(name))}
        total: dict[Slot, Tensor] = {}
        remembered: dict[Slot, list[Tensor]] = {slot: [] for slot in self._remembered}
        for row in range(rows):
            own = {n: v if n in shared else v[row] for n, v in inputs.items()}
            values = self.runner.run(own, theta)
            for update in self.program.updates:
                change = change_of(update, values, own[update.target])
                if update.target in remembered:
                    remembered[update.target].append(change)
                else:
                    total[update.target] = total[update.target] + change if update.target in total else change
        return total | {slot: torch.stack(changes) for slot, changes in remembered.items()}


@dataclass(frozen=True)
class _Sums:
    """Σ over rows of a value that differs from row to row, each row with a weight of its own."""

    update: LayerUpdate
    values: Sequence[Operand | None]
    target: Tensor
    rows: int

    def of(self, number: int, weight: Tensor | None = None) -> Tensor:
        i = self.update.program.instructions[number]
        if not self.update.by_row[number]:
            total = float(self.rows) if weight is None else weight.sum()
            return self.values[number] * total  # type: ignore[operator,return-value]
        if len(i.shape) < 2:
            value = _tensor(self.values[number], self.target)
            return (value if weight is None else _weighed(value, weight)).sum(0)
        a = i.arguments
        if i.op == "neg":
            return -self.of(a[0], weight)
        if i.op in ("add", "sub"):
            second = self._whole(a[1], weight, i.shape)
            return self._whole(a[0], weight, i.shape) + (second if i.op == "add" else -second)
        if i.op == "mul":
            return self._product(a[0], a[1], weight)
        vectors = [_tensor(self.values[n], self.target) for n in a]
        if i.op == "outer":
            first = _rows_of(vectors[0], self.target.shape[0], self.rows, self.target)
            second = _rows_of(vectors[1], self.target.shape[1], self.rows, self.target)
            return (first if weight is None else _weighed(first, weight)).T @ second
        summed = self.of(a[0], weight)
        spread = {"rows": (..., None), "columns": (None, ...), "fill": ()}[i.op]
        return summed[spread].expand_as(self.target) if spread else summed.expand_as(self.target)

    def _whole(self, number: int, weight: Tensor | None, shape: tuple[str, ...]) -> Tensor:
        """A summand: a scalar stands for a matrix of it."""
        found = self.of(number, weight)
        return (
            found if self.update.program.instructions[number].shape == shape else found.expand_as(self.target)
        )

    def _product(self, a: int, b: int, weight: Tensor | None) -> Tensor:
        """Of two factors at most one is a matrix that differs from row to row (`is_factored`)."""
        instructions, by_row = self.update.program.instructions, self.update.by_row
        if by_row[a] and len(instructions[a].shape) == 2:
            a, b = b, a
        factor = self.values[a]
        if not by_row[a]:
            return factor * self.of(b, weight)  # type: ignore[operator,return-value]
        # What differs from row to row and is no matrix is a scalar: it weighs the rows.
        scalar = _tensor(factor, self.target)
        return self.of(b, scalar if weight is None else scalar * weight)


def _tensor(value: Operand | None, like: Tensor) -> Tensor:
    assert value is not None
    return value if isinstance(value, Tensor) else like.new_tensor(value)


def _rows_of(value: Operand | None, cells: int, rows: int, like: Tensor) -> Tensor:
    return _tensor(value, like).expand(rows, cells)


def _weighed(value: Tensor, weight: Tensor) -> Tensor:
    return value * (weight if value.dim() == 1 else weight.unsqueeze(-1))


def _total(value: Operand | None, by_row: bool, rows: int) -> Operand:
    assert value is not None
    if by_row and isinstance(value, Tensor):
        return value.sum()
    return value * rows
