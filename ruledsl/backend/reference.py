"""Programs in plain numpy, float64, one sample at a time: slow, short, and easy to believe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ruledsl.ir.program import Attribute, Program

Value = NDArray[np.float64]
Kernel = Callable[[Sequence[Value], Attribute, tuple[int, ...]], Value]


def _softmax(z: Value) -> Value:
    shifted = np.exp(z - z.max())
    return shifted / shifted.sum()


def _slope(attribute: Attribute) -> float:
    return float(attribute or 1.0)


KERNELS: dict[str, Kernel] = {
    "const": lambda a, t, s: np.float64(t),  # type: ignore[arg-type,return-value,dict-item]
    "add": lambda a, t, s: a[0] + a[1],
    "sub": lambda a, t, s: a[0] - a[1],
    "mul": lambda a, t, s: a[0] * a[1],
    "neg": lambda a, t, s: -a[0],
    "pow": lambda a, t, s: a[0] ** float(t or 0.0),
    "exp": lambda a, t, s: np.exp(a[0]),
    "log": lambda a, t, s: np.log(a[0]),
    "tanh": lambda a, t, s: np.tanh(a[0]),
    "sigmoid": lambda a, t, s: 1.0 / (1.0 + np.exp(-a[0])),
    "relu": lambda a, t, s: np.maximum(a[0], 0.0),
    "step": lambda a, t, s: (a[0] > 0.0).astype(np.float64),
    "abs": lambda a, t, s: np.abs(a[0]),
    "sign": lambda a, t, s: np.sign(a[0]),
    "softplus": lambda a, t, s: np.logaddexp(0.0, _slope(t) * a[0]) / _slope(t),
    "softmax": lambda a, t, s: _softmax(a[0]),
    "sum": lambda a, t, s: a[0].sum(),
    "row_sum": lambda a, t, s: a[0].sum(axis=1),
    "column_sum": lambda a, t, s: a[0].sum(axis=0),
    "dot": lambda a, t, s: (a[0] * a[1]).sum(),
    "matvec": lambda a, t, s: a[0] @ a[1],
    "rmatvec": lambda a, t, s: a[0].T @ a[1],
    "outer": lambda a, t, s: np.outer(a[0], a[1]),
    "matmul": lambda a, t, s: a[0] @ a[1],
    "transpose": lambda a, t, s: a[0].T,
    "rows": lambda a, t, s: np.repeat(a[0][:, None], s[1], axis=1),
    "columns": lambda a, t, s: np.repeat(a[0][None, :], s[0], axis=0),
    "fill": lambda a, t, s: np.full(s, a[0]),
}
"""Every op but the three that only load: `input`, `theta` and `size`."""


def evaluate(
    program: Program, inputs: Mapping[str, Value], theta: Sequence[float], sizes: Mapping[str, int]
) -> list[Value]:
    """The value of every instruction. `sizes` gives the length of each symbolic dimension."""
    values: list[Value] = []
    for instruction in program.instructions:
        if instruction.op == "input":
            values.append(np.asarray(inputs[str(instruction.attribute)], dtype=np.float64))
        elif instruction.op == "theta":
            values.append(np.asarray(theta[int(instruction.attribute or 0)], dtype=np.float64))
        elif instruction.op == "size":
            values.append(np.asarray(float(sizes[str(instruction.attribute)])))
        else:
            shape = tuple(sizes[d] for d in instruction.shape)
            values.append(
                KERNELS[instruction.op]([values[a] for a in instruction.arguments], instruction.attribute, shape)
            )
    return values


def run_updates(
    program: Program, inputs: Mapping[str, Value], theta: Sequence[float], sizes: Mapping[str, int]
) -> dict[str, Value]:
    """The change of every matrix the program updates: κ W + Σ u vᵀ + dense."""
    values = evaluate(program, inputs, theta, sizes)
    changes: dict[str, Value] = {}
    for update in program.updates:
        target = np.asarray(inputs[update.target], dtype=np.float64)
        change = np.zeros_like(target) if update.kappa is None else values[update.kappa] * target
        for u, v in update.pairs:
            change = change + np.outer(values[u], values[v])
        changes[update.target] = change if update.dense is None else change + values[update.dense]
    return changes
