"""Programs in plain numpy, float64, one sample at a time: slow, short, and easy to believe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ruledsl.ir import ELEMENTWISE, Function, Parameter, Patches, Program

Array = NDArray[np.float64]
Kernel = Callable[[Sequence[Array], Parameter, tuple[int, ...]], Array]


def _softmax(z: Array) -> Array:
    shifted = np.exp(z - z.max())
    return shifted / shifted.sum()


def _elementwise(function: Function) -> Kernel:
    assert function.numpy is not None
    call = function.numpy
    return lambda a, t, s: call(np, a[0], float(t or 1.0))


def _at_each(matrix: Array, vectors: Array) -> Array:
    """Matrix · vector, at every position where there are several."""
    return np.stack([matrix @ v for v in vectors]) if vectors.ndim == 2 else matrix @ vectors


def _outer(u: Array, v: Array) -> Array:
    """u vᵀ, summed over positions where there are several."""
    pairs = zip(u, v, strict=True) if u.ndim == 2 else [(u, v)]
    return np.sum([np.outer(a, b) for a, b in pairs], axis=0)


def _overlap(grid: Array, patches: Patches) -> Array:
    cells = np.zeros(patches.cells + 1)
    for row, values in zip(patches.table, grid, strict=True):
        for cell, value in zip(row, values, strict=True):
            cells[cell] += value
    return cells[:-1]


REFERENCE_KERNELS: dict[str, Kernel] = {
    "const": lambda a, t, s: np.float64(t),  # type: ignore[arg-type,return-value,dict-item]
    "add": lambda a, t, s: a[0] + a[1],
    "sub": lambda a, t, s: a[0] - a[1],
    "mul": lambda a, t, s: a[0] * a[1],
    "neg": lambda a, t, s: -a[0],
    "pow": lambda a, t, s: a[0] ** float(t or 0.0),
    **{f.name: _elementwise(f) for f in ELEMENTWISE.values() if f.is_op},
    "softmax": lambda a, t, s: _softmax(a[0]),
    "sum": lambda a, t, s: a[0].sum(),
    "row_sum": lambda a, t, s: a[0].sum(axis=1),
    "column_sum": lambda a, t, s: a[0].sum(axis=0),
    "dot": lambda a, t, s: (a[0] * a[1]).sum(),
    "matvec": lambda a, t, s: _at_each(a[0], a[1]),
    "rmatvec": lambda a, t, s: _at_each(a[0].T, a[1]),
    "outer": lambda a, t, s: _outer(a[0], a[1]),
    "matmul": lambda a, t, s: a[0] @ a[1],
    "transpose": lambda a, t, s: a[0].T,
    "rows": lambda a, t, s: np.repeat(a[0][:, None], s[1], axis=1),
    "columns": lambda a, t, s: np.repeat(a[0][None, :], s[0], axis=0),
    "fill": lambda a, t, s: np.full(s, a[0]),
    "patches": lambda a, t, s: np.append(a[0], 0.0)[np.array(Patches.read(t).table)],
    "overlap": lambda a, t, s: _overlap(a[0], Patches.read(t)),
    "grid": lambda a, t, s: a[0].reshape(s),
    "flat": lambda a, t, s: a[0].reshape(s),
}
"""Every op but the three that only load: `input`, `theta` and `size`."""


def evaluate(
    program: Program, inputs: Mapping[str, Array], theta: Sequence[float], sizes: Mapping[str, int]
) -> list[Array]:
    """The value of every instruction. `sizes` gives the length of each symbolic dimension."""
    values: list[Array] = []
    for instruction in program.instructions:
        if instruction.op == "input":
            values.append(np.asarray(inputs[instruction.slot], dtype=np.float64))
        elif instruction.op == "theta":
            values.append(np.asarray(theta[int(instruction.parameter or 0)], dtype=np.float64))
        elif instruction.op == "size":
            values.append(np.asarray(float(sizes[str(instruction.parameter)])))
        else:
            shape = tuple(sizes[d] for d in instruction.shape)
            values.append(
                REFERENCE_KERNELS[instruction.op](
                    [values[a] for a in instruction.arguments], instruction.parameter, shape
                )
            )
    return values


def run_updates(
    program: Program, inputs: Mapping[str, Array], theta: Sequence[float], sizes: Mapping[str, int]
) -> dict[str, Array]:
    """The change of every matrix the program updates: κ W + Σ (p qᵀ) ∘ W + Σ u vᵀ + dense."""
    values = evaluate(program, inputs, theta, sizes)
    changes: dict[str, Array] = {}
    for update in program.updates:
        target = np.asarray(inputs[update.target], dtype=np.float64)
        change = np.zeros_like(target) if update.kappa is None else values[update.kappa] * target
        for p, q in update.gains:
            change = change + _outer(values[p], values[q]) * target
        for u, v in update.pairs:
            change = change + _outer(values[u], values[v])
        changes[update.target] = change if update.dense is None else change + values[update.dense]
    return changes
