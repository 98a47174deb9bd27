"""What every target is: a class that writes one layer's update program in another language."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from ruledsl.ir import ELEMENTWISE, LOADS, Instruction, InternalError, Kind, Program, Update


class Target(ABC):
    """Writes ΔW of one layer as a function `update(theta, …)` of the quantities that the rule reads.

    A target is a file of this folder with one class: its class attributes say how things are written, `ops`
    gives a text for every op of `ir.ops` that is no elementwise function (those carry their own), with the
    texts of the arguments and the instruction.
    """

    name: ClassVar[str]
    """What it is called in `show --as` and `export --to`."""
    meaning: ClassVar[str]
    head: ClassVar[str]
    """The first line of the file."""

    @abstractmethod
    def ops(self, program: Program, i: Instruction, a: Sequence[str]) -> Mapping[str, Callable[[], str]]:
        """Texts by op, computed when asked for: `a` are the arguments' texts."""

    @abstractmethod
    def elementwise(self, function: str, argument: str) -> str:
        """A call of a built-in function, with a slope of 1 where it has one."""

    @abstractmethod
    def update(self, program: Program, update: Update) -> str:
        """κ W + Σ u vᵀ + dense."""

    def source(self, program: Program, names: Sequence[str]) -> str:
        """A file of its own that people can read, copy and run. `names` are those of the coefficients."""
        inputs = sorted(set(program.inputs()) | {Kind.weights.value})
        lines = [self.head, "", f"def update(theta, {', '.join(inputs)}):"]
        lines += [f"    # theta[{r}]: {name}" for r, name in enumerate(names)]
        lines += [f"    {line}" for line in self.body(program)]
        lines.append(f"    return {self.update(program, program.updates[0])}")
        return "\n".join(lines)

    def body(self, program: Program) -> list[str]:
        """A line for each value that is computed, with its shape."""
        return [
            f"{self.named(program, number)} = {self._expression(program, i)}"
            f"  # {' × '.join(i.shape) or 'scalar'}"
            for number, i in enumerate(program.instructions)
            if i.op not in LOADS
        ]

    def _expression(self, program: Program, i: Instruction) -> str:
        arguments = [self.named(program, n) for n in i.arguments]
        if i.op in ELEMENTWISE:
            beta = float(i.parameter or 1.0) if ELEMENTWISE[i.op].has_beta else 1.0
            if beta == 1.0:
                return self.elementwise(i.op, arguments[0])
            return f"{self.elementwise(i.op, f'({beta!r} * {arguments[0]})')} / {beta!r}"
        common: Mapping[str, Callable[[], str]] = {
            "const": lambda: f"{i.parameter!r}",
            "size": lambda: self.sized(str(i.parameter)),
            "neg": lambda: f"-{arguments[0]}",
            "pow": lambda: f"{arguments[0]} ** {i.parameter!r}",
        }
        text = common.get(i.op) or self.ops(program, i, arguments).get(i.op)
        if text is None:
            raise InternalError(f"no {self.name} text for op {i.op}")
        return text()

    def named(self, program: Program, number: int) -> str:
        """What an instruction's value is called."""
        instruction = program.instructions[number]
        if instruction.op == "input":
            return str(instruction.slot)
        if instruction.op in LOADS:
            text = self._expression(program, instruction)
            return f"({text})" if text.startswith("-") else text
        labels = {n: str(slot) for slot, n in program.labels}
        return labels.get(number, f"t{number}")

    def sized(self, dim: str) -> str:
        """The number of cells of a side, or of a layer `n0` …."""
        if dim in ("post", "pre"):
            return f"W.shape[{-2 if dim == 'post' else -1}]"
        layer = int(dim.removeprefix("n"))
        return f"W{layer - 1}.shape[-2]" if layer else "W0.shape[-1]"
