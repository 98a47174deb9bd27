"""Update programs as source text in torch or numpy, for people to read, copy and run."""

from __future__ import annotations

from collections.abc import Sequence

from ruledsl.ir.diagnostics import InternalError
from ruledsl.ir.program import Instruction, Program, Update


def torch_source(program: Program, names: Sequence[str]) -> str:
    """A torch function with any leading batch axes."""
    return _function(program, names, "torch", _torch_expression, _torch_update)


def numpy_source(program: Program, names: Sequence[str]) -> str:
    """A numpy function for one layer, without batch axes."""
    return _function(program, names, "numpy as np", _numpy_expression, _numpy_update)


def _function(program: Program, names: Sequence[str], module: str, expression: object, finish: object) -> str:
    inputs = sorted(set(program.inputs()) | {"W"})
    lines = [f"import {module}", "", f"def update(theta, {', '.join(inputs)}):"]
    lines += [f"    # theta[{r}]: {name}" for r, name in enumerate(names)]
    for number, instruction in enumerate(program.instructions):
        if instruction.op == "input":
            continue
        text = expression(program, instruction)  # type: ignore[operator]
        lines.append(f"    t{number} = {text}  # {' × '.join(instruction.shape) or 'scalar'}")
    lines.append(f"    return {finish(program, program.updates[0])}")  # type: ignore[operator]
    return "\n".join(lines)


def _name(program: Program, number: int) -> str:
    instruction = program.instructions[number]
    return str(instruction.attribute) if instruction.op == "input" else f"t{number}"


def _common(program: Program, i: Instruction, library: str) -> str | None:
    a = [_name(program, n) for n in i.arguments]
    attribute = i.attribute
    table = {
        "const": f"{attribute!r}",
        "size": f"{_sized(str(attribute))}",
        "neg": f"-{a[0]}" if a else "",
        "pow": f"{a[0]} ** {attribute!r}" if a else "",
        "sigmoid": f"1 / (1 + {library}.exp(-{a[0]}))" if a else "",
        "step": f"{library}.heaviside({a[0]}, 0 * {a[0]})" if a else "",
    }
    if i.op in table:
        return table[i.op]
    if i.op in ("exp", "log", "tanh", "abs", "sign"):
        return f"{library}.{i.op}({a[0]})"
    return None


def _sized(dim: str) -> str:
    return f"W.shape[{-2 if dim == 'post' else -1}]"


def _torch_expression(program: Program, i: Instruction) -> str:
    common = _common(program, i, "torch")
    if common is not None:
        return common
    if i.op == "theta":
        return f"theta[..., {i.attribute}]"
    a = [_name(program, n) for n in i.arguments]
    shapes = [program.instructions[n].shape for n in i.arguments]
    if i.op in ("add", "sub", "mul"):
        lifted = [x + "[..., None]" * (len(i.shape) - len(s)) if _is_tensor(program, n) else x
                  for x, s, n in zip(a, shapes, i.arguments, strict=True)]  # fmt: skip
        return f"{lifted[0]} {'+' if i.op == 'add' else '-' if i.op == 'sub' else '*'} {lifted[1]}"
    axes = tuple(range(-len(shapes[0]), 0)) if shapes else ()
    sizes = [_sized(d) for d in i.shape]
    lift = f"[..., {', '.join(['None'] * len(i.shape))}]" if i.arguments and _is_tensor(program, i.arguments[0]) else ""
    table = {
        "relu": lambda: f"torch.relu({a[0]})",
        "softplus": lambda: f"torch.logaddexp({a[0]}, 0 * {a[0]})",
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
        "columns": lambda: f"{a[0]}[..., None, :].expand(*{a[0]}.shape[:-1], {sizes[0]}, {a[0]}.shape[-1])",
        "fill": lambda: f"{a[0]}{lift} * W.new_ones({', '.join(sizes)})",
    }
    if i.op not in table:
        raise InternalError(f"no torch text for op {i.op}")
    return table[i.op]()


def _is_tensor(program: Program, number: int) -> bool:
    return program.instructions[number].op not in ("const", "size")


def _torch_update(program: Program, update: Update) -> str:
    parts = []
    if update.kappa is not None:
        parts.append(f"{_name(program, update.kappa)}[..., None, None] * W")
    parts += [f"{_name(program, u)}[..., :, None] * {_name(program, v)}[..., None, :]" for u, v in update.pairs]
    parts += [_name(program, update.dense)] if update.dense is not None else []
    return " + ".join(parts)


def _numpy_expression(program: Program, i: Instruction) -> str:
    common = _common(program, i, "np")
    if common is not None:
        return common
    if i.op == "theta":
        return f"theta[{i.attribute}]"
    a = [_name(program, n) for n in i.arguments]
    size = [_sized(d) for d in i.shape]
    table = {
        "add": lambda: f"{a[0]} + {a[1]}",
        "sub": lambda: f"{a[0]} - {a[1]}",
        "mul": lambda: f"{a[0]} * {a[1]}",
        "relu": lambda: f"np.maximum({a[0]}, 0)",
        "softplus": lambda: f"np.logaddexp({a[0]}, 0)",
        "sum": lambda: f"np.sum({a[0]})",
        "dot": lambda: f"np.sum({a[0]} * {a[1]})",
        "row_sum": lambda: f"{a[0]}.sum(1)",
        "column_sum": lambda: f"{a[0]}.sum(0)",
        "matvec": lambda: f"{a[0]} @ {a[1]}",
        "rmatvec": lambda: f"{a[0]}.T @ {a[1]}",
        "outer": lambda: f"np.outer({a[0]}, {a[1]})",
        "matmul": lambda: f"{a[0]} @ {a[1]}",
        "transpose": lambda: f"{a[0]}.T",
        "rows": lambda: f"np.repeat({a[0]}[:, None], {size[1]}, 1)",
        "columns": lambda: f"np.repeat({a[0]}[None, :], {size[0]}, 0)",
        "fill": lambda: f"np.full(({', '.join(size)},), {a[0]})",
    }
    if i.op not in table:
        raise InternalError(f"no numpy text for op {i.op}")
    return table[i.op]()


def _numpy_update(program: Program, update: Update) -> str:
    parts = [f"{_name(program, update.kappa)} * W"] if update.kappa is not None else []
    parts += [f"np.outer({_name(program, u)}, {_name(program, v)})" for u, v in update.pairs]
    parts += [_name(program, update.dense)] if update.dense is not None else []
    return " + ".join(parts)
