"""Programs in eager torch, batched: the fallback that needs nothing, on any device and dtype.

A scalar has the batch axes alone, a vector one axis more, a matrix two. Vectors may carry one
further axis of samples behind the batch axes (the query set); products with matrices then act on
all samples at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ruledsl.ir import ELEMENTWISE, Function, Instruction, Parameter, Patches, Program, Update, is_grid

Operand = Tensor | float
Kernel = Callable[[Sequence[Tensor], Parameter], Tensor]


def _elementwise(function: Function) -> Kernel:
    assert function.torch is not None
    call = function.torch
    return lambda a, t: call(torch, a[0], float(t or 1.0))


def _matvec(matrix: Tensor, vector: Tensor) -> Tensor:
    if vector.dim() < matrix.dim():
        return (matrix @ vector.unsqueeze(-1)).squeeze(-1)
    return vector @ _for_all(matrix, vector).mT


def _rmatvec(matrix: Tensor, vector: Tensor) -> Tensor:
    if vector.dim() < matrix.dim():
        return (vector.unsqueeze(-2) @ matrix).squeeze(-2)
    return vector @ _for_all(matrix, vector)


def _for_all(matrix: Tensor, vectors: Tensor) -> Tensor:
    """The matrix with axes for samples whose grids it meets, beside those of positions."""
    for _ in range(vectors.dim() - matrix.dim()):
        matrix = matrix.unsqueeze(-3)
    return matrix


def patches_at(cells: Tensor, patches: Patches) -> Tensor:
    """(…, positions, patch size) of cells (…, n)."""
    return torch.nn.functional.pad(cells, (0, 1))[..., _table(patches, cells.device, False)]


def _overlap(grid: Tensor, patches: Patches) -> Tensor:
    # Each cell looks up where it was read: the same sums in the same order every time, which scattering
    # does not promise on every device.
    ended = torch.nn.functional.pad(grid.flatten(-2), (0, 1))
    return ended[..., _table(patches, grid.device, True)].sum(-1)


@lru_cache(maxsize=64)
def _table(patches: Patches, device: torch.device, readers: bool) -> Tensor:
    return torch.tensor(patches.readers if readers else patches.table, device=device)


KERNELS: dict[str, Kernel] = {
    "neg": lambda a, t: -a[0],
    "pow": lambda a, t: a[0].pow(float(t or 0.0)),
    **{f.name: _elementwise(f) for f in ELEMENTWISE.values() if f.is_op},
    "softmax": lambda a, t: a[0].softmax(-1),
    "row_sum": lambda a, t: a[0].sum(-1),
    "column_sum": lambda a, t: a[0].sum(-2),
    "matvec": lambda a, t: _matvec(a[0], a[1]),
    "rmatvec": lambda a, t: _rmatvec(a[0], a[1]),
    "matmul": lambda a, t: a[0] @ a[1],
    "transpose": lambda a, t: a[0].mT,
    "patches": lambda a, t: patches_at(a[0], Patches.read(t)),
    "overlap": lambda a, t: _overlap(a[0], Patches.read(t)),
    "flat": lambda a, t: a[0].flatten(-2),
}
"""Ops whose arguments all have their own full shape; the rest broadcast and are handled by `EagerProgram`."""

BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"add": torch.add, "sub": torch.sub, "mul": torch.mul}
SHAPED = ("sum", "dot", "outer", "rows", "columns", "fill", "grid")


class EagerProgram:
    """A program ready to run on tensors with given sizes of its symbolic dimensions."""

    def __init__(self, program: Program, sizes: Mapping[str, int]) -> None:
        self.program = program
        self.sizes = dict(sizes)
        self._last_use = _last_uses(program)

    def run(
        self,
        inputs: Mapping[str, Tensor],
        theta: Tensor,
        values: list[Operand | None] | None = None,
        only: Sequence[bool] | None = None,
        keep: Sequence[int] = (),
    ) -> list[Operand | None]:
        """The values that outputs and updates need, and those in `keep`; others are freed on the way.

        `theta` is (…, R). With `values` from an earlier call, instructions not in `only` are taken
        as done: a program can so be run in two parts.
        """
        results: list[Operand | None] = (
            values if values is not None else [None] * len(self.program.instructions)
        )
        kept = set(self.program.roots()) | set(keep)
        for number, instruction in enumerate(self.program.instructions):
            if only is not None and not only[number]:
                continue
            results[number] = self._evaluate(instruction, results, inputs, theta)
            if only is None:
                for argument in self._last_use[number]:
                    if argument not in kept:
                        results[argument] = None
        return results

    def _evaluate(
        self,
        instruction: Instruction,
        values: list[Operand | None],
        inputs: Mapping[str, Tensor],
        theta: Tensor,
    ) -> Operand:
        op, parameter = instruction.op, instruction.parameter
        if op == "input":
            return inputs[instruction.slot]
        if op == "theta":
            return theta.select(-1, int(parameter or 0))
        if op == "const":
            return float(parameter)  # type: ignore[arg-type]
        if op == "size":
            return float(self.sizes[str(parameter)])
        shapes = [self.program.instructions[a].shape for a in instruction.arguments]
        arguments = [values[a] for a in instruction.arguments]
        if op in BINARY:
            return self._binary(op, arguments, shapes, instruction)
        if op in SHAPED:
            return self._shaped(op, arguments, shapes, instruction, theta)
        tensors = [_tensor(a, theta) for a in arguments]
        return KERNELS[op](tensors, parameter)

    def _binary(
        self,
        op: str,
        arguments: list[Operand | None],
        shapes: list[tuple[str, ...]],
        instruction: Instruction,
    ) -> Operand:
        rank = len(instruction.shape)
        lifted = [_lift(a, rank - len(s)) for a, s in zip(arguments, shapes, strict=True)]
        first, second = lifted
        if isinstance(first, Tensor):
            return BINARY[op](first, second)  # type: ignore[arg-type]
        if isinstance(second, Tensor):
            return second * first if op == "mul" else second + first if op == "add" else first - second
        return first * second if op == "mul" else first + second if op == "add" else first - second

    def _shaped(
        self,
        op: str,
        arguments: list[Operand | None],
        shapes: list[tuple[str, ...]],
        instruction: Instruction,
        theta: Tensor,
    ) -> Tensor:
        axes = tuple(range(-len(shapes[0]), 0))
        value = _tensor(arguments[0], theta)
        if op == "sum":
            return value.sum(axes)
        if op == "dot":
            return (value * _tensor(arguments[1], theta)).sum(axes)
        if op == "outer":
            other = _tensor(arguments[1], theta)
            if is_grid(shapes[0]):
                return value.mT @ other
            return value.unsqueeze(-1) * other.unsqueeze(-2)
        sizes = [self.sizes[d] for d in instruction.shape]
        if op == "grid":
            return value.unflatten(-1, sizes)
        if op == "rows":
            return value.unsqueeze(-1).expand(*value.shape, sizes[1])
        if op == "columns":
            return value.unsqueeze(-2).expand(*value.shape[:-1], sizes[0], sizes[1])
        return value.reshape(value.shape + (1,) * len(sizes)).expand(*value.shape, *sizes)


def _last_uses(program: Program) -> list[list[int]]:
    last: dict[int, int] = {}
    for number, instruction in enumerate(program.instructions):
        for argument in instruction.arguments:
            last[argument] = number
    uses: list[list[int]] = [[] for _ in program.instructions]
    for argument, number in last.items():
        uses[number].append(argument)
    return uses


def _lift(value: Operand | None, axes: int) -> Operand:
    assert value is not None
    if not isinstance(value, Tensor) or not axes:
        return value
    return value.reshape(value.shape + (1,) * axes)


def _tensor(value: Operand | None, like: Tensor) -> Tensor:
    assert value is not None
    return value if isinstance(value, Tensor) else torch.full((), value, dtype=like.dtype, device=like.device)


def change_of(update: Update, values: Sequence[Operand | None], target: Tensor) -> Tensor:
    """κ W + Σ (p qᵀ) ∘ W + Σ u vᵀ + dense for a target of shape (…, rows, columns), or (…, n) of rank 1."""
    change: Tensor | None = None
    if update.pairs:
        rows, columns = _stacked(update.pairs, values, target)
        change = rows @ columns.mT
    if update.kappa is not None:
        decay = _lift(values[update.kappa], update.rank) * target
        change = decay if change is None else change + decay
    if update.gains:
        rows, columns = _stacked(update.gains, values, target)
        grown = (rows @ columns.mT) * target
        change = grown if change is None else change + grown
    if update.dense is not None:
        dense = _tensor(values[update.dense], target)
        change = dense if change is None else change + dense
    return torch.zeros_like(target) if change is None else change


def apply_update(update: Update, values: Sequence[Operand | None], target: Tensor) -> Tensor:
    """target + κ target + Σ (p qᵀ) ∘ target + Σ u vᵀ + dense, out of place (autograd may flow through it)."""
    if update.dense is not None or not update.pairs or target.dim() != 3:
        return target + change_of(update, values, target)
    rows, columns = _stacked(update.pairs, values, target)
    growth = _growth(update, values, target)
    return torch.baddbmm(target if growth is None else target * growth, rows, columns.mT)


def _growth(update: Update, values: Sequence[Operand | None], target: Tensor) -> Operand | None:
    """1 + κ + Σ p qᵀ, by which every entry is multiplied; None for 1."""
    growth = None if update.kappa is None else 1.0 + _lift(values[update.kappa], 2)
    if update.gains:
        rows, columns = _stacked(update.gains, values, target)
        growth = (1.0 if growth is None else growth) + rows @ columns.mT
    return growth


def undo_update(update: Update, values: Sequence[Operand | None], target: Tensor) -> Tensor:
    """The matrix before `apply_update`: (target − Σ u vᵀ) / (1 + κ + Σ p qᵀ), entry by entry. Only without a
    dense rest."""
    if update.pairs:
        rows, columns = _stacked(update.pairs, values, target)
        target = torch.baddbmm(target, rows, columns.mT, alpha=-1.0)
    growth = _growth(update, values, target)
    return target if growth is None else target / growth


def _stacked(
    pairs: Sequence[tuple[int, int]], values: Sequence[Operand | None], target: Tensor
) -> tuple[Tensor, Tensor]:
    """The vectors of all pairs side by side, (…, rows, number) and (…, columns, number)."""
    us, vs = ([_tensor(values[pair[side]], target) for pair in pairs] for side in (0, 1))
    batch, grids = target.shape[:-2], any(u.dim() == target.dim() for u in us)
    us = [u if u.dim() == target.dim() else u.expand(*batch, target.shape[-2]) for u in us]
    vs = [v if v.dim() == target.dim() else v.expand(*batch, target.shape[-1]) for v in vs]
    if grids:  # a pair at every position
        return _side_by_side(us, target.dim()), _side_by_side(vs, target.dim())
    return torch.stack(us, -1), torch.stack(vs, -1)


def _side_by_side(parts: Sequence[Tensor], axes: int) -> Tensor:
    return torch.cat([p.mT if p.dim() == axes else p.unsqueeze(-1) for p in parts], -1)
