"""Programs as text, one instruction a line, read back identically."""

from __future__ import annotations

import re

from ruledsl.ir.diagnostics import InternalError
from ruledsl.ir.program import Attribute, Dims, Instruction, Program, Update

_LINE = re.compile(r"%(\d+): \(([^)]*)\) = (\w+)(?:\{([^}]*)\})?((?: %\d+)*)$")
_OUTPUT = re.compile(r"output (\S+) = %(\d+)$")
_UPDATE = re.compile(r"update (\S+) \+=(?: %(\d+) self)?((?: %\d+⊗%\d+)*)(?: dense %(\d+))?$")


def program_text(program: Program) -> str:
    """`%7: (post) = matvec %1 %3`, then outputs and updates."""
    lines = [_instruction(n, i) for n, i in enumerate(program.instructions)]
    lines += [f"output {name} = %{number}" for name, number in program.outputs]
    for update in program.updates:
        kappa = "" if update.kappa is None else f" %{update.kappa} self"
        pairs = "".join(f" %{u}⊗%{v}" for u, v in update.pairs)
        dense = "" if update.dense is None else f" dense %{update.dense}"
        lines.append(f"update {update.target} +={kappa}{pairs}{dense}")
    return "\n".join(lines) + "\n"


def _instruction(number: int, instruction: Instruction) -> str:
    attribute = "" if instruction.attribute is None else f"{{{_attribute(instruction.attribute)}}}"
    arguments = "".join(f" %{a}" for a in instruction.arguments)
    return f"%{number}: ({', '.join(instruction.shape)}) = {instruction.op}{attribute}{arguments}"


def _attribute(value: Attribute) -> str:
    return f"'{value}'" if isinstance(value, str) else repr(value)


def parse_program(text: str) -> Program:
    """The program that `program_text` printed; raises `InternalError` on anything else."""
    instructions: list[Instruction] = []
    outputs: list[tuple[str, int]] = []
    updates: list[Update] = []
    for line in text.splitlines():
        if match := _LINE.match(line):
            instructions.append(_read_instruction(len(instructions), match))
        elif match := _OUTPUT.match(line):
            outputs.append((match[1], int(match[2])))
        elif match := _UPDATE.match(line):
            updates.append(_read_update(match))
        else:
            raise InternalError(f"not a line of a program: {line!r}")
    return Program(tuple(instructions), tuple(outputs), tuple(updates))


def _read_instruction(number: int, match: re.Match[str]) -> Instruction:
    if int(match[1]) != number:
        raise InternalError(f"instruction %{match[1]} stands at place {number}")
    shape: Dims = tuple(match[2].split(", ")) if match[2] else ()
    return Instruction(match[3], _numbers(match[5]), shape, _read_attribute(match[4]))


def _read_attribute(text: str | None) -> Attribute:
    if text is None:
        return None
    if text.startswith("'"):
        return text[1:-1]
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def _read_update(match: re.Match[str]) -> Update:
    pairs = tuple((int(a), int(b)) for a, b in re.findall(r"%(\d+)⊗%(\d+)", match[3]))
    kappa = int(match[2]) if match[2] else None
    return Update(match[1], kappa, pairs, int(match[4]) if match[4] else None)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"%(\d+)", text))
