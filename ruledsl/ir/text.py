"""Programs as text, one instruction a line, read back identically."""

from __future__ import annotations

import re

from ruledsl.ir.diagnostics import InternalError
from ruledsl.ir.program import Dims, Instruction, Parameter, Program, Update
from ruledsl.ir.slots import Slot

_LINE = re.compile(r"%(\d+): \(([^)]*)\) = (\w+)(?:\{([^}]*)\})?((?: %\d+)*)$")
_OUTPUT = re.compile(r"output (\S+) = %(\d+)$")
_UPDATE = re.compile(
    r"update (\S+)(?: rank (\d))? \+=(?: %(\d+) self)?"
    r"((?: %\d+⊗%\d+)*)((?: %\d+⊗%\d+ self)*)(?: dense %(\d+))?$"
)


def program_text(program: Program) -> str:
    """`%7: (post) = matvec %1 %3`, then outputs and updates."""
    lines = [_instruction(n, i) for n, i in enumerate(program.instructions)]
    lines += [f"output {name} = %{number}" for name, number in program.outputs]
    for update in program.updates:
        kappa = "" if update.kappa is None else f" %{update.kappa} self"
        pairs = "".join(f" %{u}⊗%{v}" for u, v in update.pairs)
        pairs += "".join(f" %{p}⊗%{q} self" for p, q in update.gains)
        dense = "" if update.dense is None else f" dense %{update.dense}"
        rank = "" if update.rank == 2 else f" rank {update.rank}"
        lines.append(f"update {update.target}{rank} +={kappa}{pairs}{dense}")
    return "\n".join(lines) + "\n"


def _instruction(number: int, instruction: Instruction) -> str:
    parameter = "" if instruction.parameter is None else f"{{{_parameter(instruction.parameter)}}}"
    arguments = "".join(f" %{a}" for a in instruction.arguments)
    return f"%{number}: ({', '.join(instruction.shape)}) = {instruction.op}{parameter}{arguments}"


def _parameter(value: Parameter) -> str:
    return f"'{value}'" if isinstance(value, str) else repr(value)


def parse_program(text: str) -> Program:
    """The program that `program_text` printed; raises `InternalError` on anything else."""
    instructions: list[Instruction] = []
    outputs: list[tuple[Slot, int]] = []
    updates: list[Update] = []
    for line in text.splitlines():
        if match := _LINE.match(line):
            instructions.append(_read_instruction(len(instructions), match))
        elif match := _OUTPUT.match(line):
            outputs.append((Slot.read(match[1]), int(match[2])))
        elif match := _UPDATE.match(line):
            updates.append(_read_update(match))
        else:
            raise InternalError(f"not a line of a program: {line!r}")
    return Program(tuple(instructions), tuple(outputs), tuple(updates))


def _read_instruction(number: int, match: re.Match[str]) -> Instruction:
    if int(match[1]) != number:
        raise InternalError(f"instruction %{match[1]} stands at place {number}")
    shape: Dims = tuple(match[2].split(", ")) if match[2] else ()
    return Instruction(match[3], _numbers(match[5]), shape, _read_parameter(match[3], match[4]))


def _read_parameter(op: str, text: str | None) -> Parameter:
    if text is None:
        return None
    if text.startswith("'"):
        return Slot.read(text[1:-1]) if op == "input" else text[1:-1]
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def _read_update(match: re.Match[str]) -> Update:
    pairs, gains = (
        tuple((int(a), int(b)) for a, b in re.findall(r"%(\d+)⊗%(\d+)", match[n])) for n in (4, 5)
    )
    kappa, dense = (int(found) if found else None for found in (match[3], match[6]))
    return Update(Slot.read(match[1]), kappa, pairs, dense, int(match[2] or 2), gains)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"%(\d+)", text))
