"""torch: any leading batch axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ruledsl.backend.targets.base import Target
from ruledsl.ir import ELEMENTWISE, Instruction, Program, Update

_SIGNS = {"add": "+", "sub": "-", "mul": "*"}


class TorchTarget(Target):
    name = "torch"
    meaning = "a torch function with any leading batch axes"
    head = "import torch"

    def elementwise(self, function: str, argument: str) -> str:
        return ELEMENTWISE[function].torch_text.format(argument)

    def ops(self, program: Program, i: Instruction, a: Sequence[str]) -> Mapping[str, Callable[[], str]]:
        shapes = [program.instructions[n].shape for n in i.arguments]
        axes = tuple(range(-len(shapes[0]), 0)) if shapes else ()
        sizes = [self.sized(d) for d in i.shape]

        def joined() -> str:
            lifted = [x + "[..., None]" * (len(i.shape) - len(s)) if _is_tensor(program, n) else x
                      for x, s, n in zip(a, shapes, i.arguments, strict=True)]  # fmt: skip
            return f"{lifted[0]} {_SIGNS[i.op]} {lifted[1]}"

        def filled() -> str:
            lift = (
                f"[..., {', '.join(['None'] * len(i.shape))}]" if _is_tensor(program, i.arguments[0]) else ""
            )
            return f"{a[0]}{lift} * W.new_ones({', '.join(sizes)})"

        return {
            "theta": lambda: f"theta[..., {i.parameter}]",
            **dict.fromkeys(_SIGNS, joined),
            "sum": lambda: f"{a[0]}.sum({axes})",
            "dot": lambda: f"({a[0]} * {a[1]}).sum({axes})",
            "row_sum": lambda: f"{a[0]}.sum(-1)",
            "column_sum": lambda: f"{a[0]}.sum(-2)",
            "matvec": lambda: f"({a[0]} @ {a[1]}[..., None])[..., 0]",
            "rmatvec": lambda: f"({a[1]}[..., None, :] @ {a[0]})[..., 0, :]",
            "outer": lambda: f"{a[0]}[..., :, None] * {a[1]}[..., None, :]",
            "matmul": lambda: f"{a[0]} @ {a[1]}",
            "transpose": lambda: f"{a[0]}.mT",
            "rows": lambda: f"{a[0]}[..., :, None].expand(*{a[0]}.shape, {sizes[1]})",
            "columns": lambda: (
                f"{a[0]}[..., None, :].expand(*{a[0]}.shape[:-1], {sizes[0]}, {a[0]}.shape[-1])"
            ),
            "fill": filled,
        }

    def update(self, program: Program, update: Update) -> str:
        def name(number: int) -> str:
            return self.named(program, number)

        parts = [f"{name(update.kappa)}[..., None, None] * W"] if update.kappa is not None else []
        parts += [f"{name(p)}[..., :, None] * {name(q)}[..., None, :] * W" for p, q in update.gains]
        parts += [f"{name(u)}[..., :, None] * {name(v)}[..., None, :]" for u, v in update.pairs]
        parts += [name(update.dense)] if update.dense is not None else []
        return " + ".join(parts)


def _is_tensor(program: Program, number: int) -> bool:
    return program.instructions[number].op not in ("const", "size")
