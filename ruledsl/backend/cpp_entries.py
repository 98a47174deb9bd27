"""Passes over matrices of one shape, entry by entry: for what outer products cannot say.

A matrix that is computed (a product of two, a function of W) is never written down: each pass that needs one
computes its entries on the way, and takes sums over them or adds them to what the step updates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ruledsl.backend.cpp_inputs import stride_of
from ruledsl.backend.cpp_passes import MatrixShape
from ruledsl.backend.cpp_text import scalar_text
from ruledsl.ir import Instruction, Update

_KINDS = {"matvec": "row", "row_sum": "row", "rmatvec": "column", "column_sum": "column"}


@dataclass
class EntryPass:
    """Reductions and updates over matrices of one shape, in one loop over their entries.

    `ref` gives the C expression of a scalar or a vector, `place` that of a matrix that is read.
    """

    instructions: Sequence[Instruction]
    shape: MatrixShape
    ref: Callable[[int], str]
    place: Callable[[int], str]
    reductions: Sequence[int] = ()
    updates: Sequence[tuple[str, Update]] = ()
    _entries: dict[tuple[int, bool], str] = field(default_factory=dict)
    """Names of entries, by instruction and whether it is read turned: (i, j) for (j, i)."""

    def print(self) -> list[str]:
        """C++ lines, in a block of their own."""
        before, inside, after_row, after = self._reductions()
        changed = [
            f"const real w{k} = {self._changed(place, update)};"
            for k, (place, update) in enumerate(self.updates)
        ]
        stored = [f"{place}[row + i] = w{k};" for k, (place, _) in enumerate(self.updates)]
        entries = [f"const real {name} = {self._text(*entry)};" for entry, name in self._entries.items()]
        return [
            "{",
            *(f"  {line}" for line in before),
            f"  for (int j = 0; j < {self.shape.rows}; ++j) {{",
            f"    const size_t row = (size_t)j * {self.shape.stride};",
            "    #pragma omp simd",
            f"    for (int i = 0; i < {self.shape.columns}; ++i) {{",
            *(f"      {line}" for line in [*entries, *inside, *changed, *stored]),
            "    }",
            *(f"    {line}" for line in after_row),
            "  }",
            *(f"  {line}" for line in after),
            "}",
        ]

    def _kind(self, number: int) -> str:
        return _KINDS.get(self.instructions[number].op, "total")

    def _reductions(self) -> tuple[list[str], list[str], list[str], list[str]]:
        """Lines before the loop, for every entry, after each row, and after the loop."""
        before: list[str] = []
        inside: list[str] = []
        after_row: list[str] = []
        after: list[str] = []
        summed = [n for n in self.reductions if self._kind(n) != "column"]
        stride = self.shape.stride
        if summed:
            before.append(f"plain::owned<zeros_of<{len(summed) * stride}>> summed;")
        for k, number in enumerate(self.reductions):
            instruction = self.instructions[number]
            entry, out = self._entry(instruction.arguments[0]), self.ref(number)
            other = instruction.arguments[-1]
            match instruction.op:
                case "matvec":
                    entry = f"{entry} * {self.ref(other)}[i]"
                case "rmatvec":
                    entry = f"{entry} * {self.ref(other)}[j]"
                case "dot":
                    entry = f"{entry} * {self._entry(other)}"
            if number in summed:
                part = f"a{k}"
                before.append(f"real* const {part} = summed.at->at + {summed.index(number) * stride};")
                inside.append(f"{part}[i] = {entry};")
            match self._kind(number):
                case "row":
                    after_row.append(f"{out}[j] = sum({stride}, a{k});")
                case "column":
                    before.append(f"for (int i = 0; i < {self.shape.columns}; ++i) {out}[i] = 0;")
                    inside.append(f"{out}[i] += {entry};")
                case _:
                    before.append(f"real d{k} = 0;")
                    after_row.append(f"d{k} += sum({stride}, a{k});")
                    after.append(f"{out} = d{k};")
        return before, inside, after_row, after

    def _changed(self, place: str, update: Update) -> str:
        old = f"{place}[row + i]"
        parts = [] if update.kappa is None else [f"{self.ref(update.kappa)} * {old}"]
        parts += [f"{self.ref(u)}[j] * {self.ref(v)}[i]" for u, v in update.pairs]
        parts += [f"{self.ref(p)}[j] * {self.ref(q)}[i] * {old}" for p, q in update.gains]
        if update.dense is not None:
            parts.append(self._entry(update.dense))
        return f"{old} + ({' + '.join(parts) or '0'})"

    def _entry(self, number: int, turned: bool = False) -> str:
        """The name of an entry of a matrix; what it needs is computed before it."""
        instruction = self.instructions[number]
        if instruction.op == "transpose":
            return self._entry(instruction.arguments[0], not turned)
        if (number, turned) not in self._entries:
            for argument in instruction.arguments:
                if len(self.instructions[argument].shape) == 2:
                    self._entry(argument, turned)
            self._entries[number, turned] = f"{'t' if turned else 'm'}{number}"
        return self._entries[number, turned]

    def _text(self, number: int, turned: bool) -> str:
        instruction = self.instructions[number]
        arguments, (row, column) = instruction.arguments, "ij" if turned else "ji"
        match instruction.op:
            case "input":
                place = f"(size_t)i * {stride_of(self.shape.rows)} + j" if turned else "row + i"
                return f"{self.place(number)}[{place}]"
            case "outer":
                return f"{self.ref(arguments[0])}[{row}] * {self.ref(arguments[1])}[{column}]"
            case "rows":
                return f"{self.ref(arguments[0])}[{row}]"
            case "columns":
                return f"{self.ref(arguments[0])}[{column}]"
        operands = [
            self._entry(a, turned) if len(self.instructions[a].shape) == 2 else self.ref(a) for a in arguments
        ]
        return scalar_text(instruction, operands)
