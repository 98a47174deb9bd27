"""numpy and jax: no batch axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ruledsl.backend.targets.base import Target
from ruledsl.ir import ELEMENTWISE, Instruction, Program, Update


class NumpyTarget(Target):
    name = "numpy"
    meaning = "a numpy function for one layer"
    head = "import numpy as np"
    module = "np"

    def elementwise(self, function: str, argument: str) -> str:
        return ELEMENTWISE[function].numpy_text.format(argument).replace("np.", f"{self.module}.")

    def ops(self, program: Program, i: Instruction, a: Sequence[str]) -> Mapping[str, Callable[[], str]]:
        size, np = [self.sized(d) for d in i.shape], self.module
        return {
            "theta": lambda: f"theta[{i.parameter}]",
            "add": lambda: f"{a[0]} + {a[1]}",
            "sub": lambda: f"{a[0]} - {a[1]}",
            "mul": lambda: f"{a[0]} * {a[1]}",
            "sum": lambda: f"{np}.sum({a[0]})",
            "dot": lambda: f"{np}.sum({a[0]} * {a[1]})",
            "softmax": lambda: f"softmax({a[0]})",
            "row_sum": lambda: f"{a[0]}.sum(1)",
            "column_sum": lambda: f"{a[0]}.sum(0)",
            "matvec": lambda: f"{a[0]} @ {a[1]}",
            "rmatvec": lambda: f"{a[0]}.T @ {a[1]}",
            "outer": lambda: f"{np}.outer({a[0]}, {a[1]})",
            "matmul": lambda: f"{a[0]} @ {a[1]}",
            "transpose": lambda: f"{a[0]}.T",
            "rows": lambda: f"{np}.repeat({a[0]}[:, None], {size[1]}, 1)",
            "columns": lambda: f"{np}.repeat({a[0]}[None, :], {size[0]}, 0)",
            "fill": lambda: f"{np}.full(({', '.join(size)},), {a[0]})",
        }

    def update(self, program: Program, update: Update) -> str:
        def name(number: int) -> str:
            return self.named(program, number)

        parts = [f"{name(update.kappa)} * {update.target}"] if update.kappa is not None else []
        parts += [f"{self.module}.outer({name(p)}, {name(q)}) * {update.target}" for p, q in update.gains]
        parts += [f"{self.module}.outer({name(u)}, {name(v)})" for u, v in update.pairs]
        parts += [name(update.dense)] if update.dense is not None else []
        return " + ".join(parts) or "0.0"


class JaxTarget(NumpyTarget):
    name = "jax"
    meaning = "the same on jax arrays"
    head = "import jax.numpy as jnp"
    module = "jnp"
