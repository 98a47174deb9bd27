"""Ops in C++: one entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ruledsl.ir import ELEMENTWISE, Instruction, InternalError


def scalar_text(instruction: Instruction, operands: Sequence[str]) -> str:
    """One entry of an entrywise op."""
    if instruction.op in ELEMENTWISE:
        return ELEMENTWISE[instruction.op].cpp.format(operands[0], float(instruction.parameter or 1.0))
    text = _SCALAR_TEXT.get(instruction.op)
    if text is None:
        raise InternalError(f"there is no C++ for op `{instruction.op}`")
    return text(operands, instruction)


def _power(operands: Sequence[str], instruction: Instruction) -> str:
    a, exponent = operands[0], float(instruction.parameter or 0.0)
    simple = {
        2.0: f"{a} * {a}",
        -1.0: f"1 / {a}",
        0.5: f"plain::sqrt({a})",
        -0.5: f"1 / plain::sqrt({a})",
        3.0: f"{a} * {a} * {a}",
        0.0: "real(1)",
    }
    return simple.get(exponent, f"plain::pow({a}, real({exponent!r}))")


_SCALAR_TEXT: Mapping[str, Callable[[Sequence[str], Instruction], str]] = {
    "add": lambda o, i: f"{o[0]} + {o[1]}",
    "sub": lambda o, i: f"{o[0]} - {o[1]}",
    "mul": lambda o, i: f"{o[0]} * {o[1]}",
    "neg": lambda o, i: f"-{o[0]}",
    "pow": _power,
    "fill": lambda o, i: o[0],
}
