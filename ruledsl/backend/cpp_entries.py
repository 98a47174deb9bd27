"""Passes over matrices of one shape, entry by entry: for what outer products cannot say.

A matrix that is computed (a product of two, a function of W) is never written down as a whole: each pass
that needs one computes a few of its rows, which stay in the first cache, and takes products with them as of
any matrix, or adds its entries to what the step updates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ruledsl.backend.cpp_inputs import stride_of
from ruledsl.backend.cpp_passes import ROW_BLOCK, Consumer, Forms, MatrixShape, Part, Pass
from ruledsl.backend.cpp_structure import MATRIX_OPS
from ruledsl.backend.cpp_text import scalar_text
from ruledsl.ir import Instruction, Update


@dataclass
class EntryPass:
    """Reductions and updates over matrices of one shape, in one loop over their entries.

    `ref` gives the C expression of a scalar or a vector, `place` that of a matrix that is read, `consumer` a
    product as a pass over its matrix forms it.
    """

    instructions: Sequence[Instruction]
    shape: MatrixShape
    ref: Callable[[int], str]
    place: Callable[[int], str]
    consumer: Callable[[int], Consumer]
    reductions: Sequence[int] = ()
    updates: Sequence[tuple[str, Update]] = ()
    _entries: dict[tuple[int, bool], str] = field(default_factory=dict)
    """Names of entries, by instruction and whether it is read turned: (i, j) for (j, i)."""

    def print(self, forms: Forms) -> list[str]:
        """C++ lines, in a block of their own."""
        summed = {number: self._summed(number) for number in self.reductions}
        places = {entry: f"few{k}" for k, entry in enumerate(dict.fromkeys(summed.values()))}
        rows = self._rows(places)
        before = self._room(places)
        after: list[str] = []
        for entry, place in places.items():
            products = [n for n in self.reductions if summed[n] == entry and self._is_product(n)]
            if products:
                consumers = [self.consumer(n) for n in products]
                before += [self._cleared(c.out) for c in consumers if c.kind == "rmatvec"]
                after += Pass(place, self.shape, None, consumers, part=Part("from", "some")).print(forms)
            for number in (n for n in self.reductions if summed[n] == entry and n not in products):
                before.append(f"{self.ref(number)} = 0;")
                after.append(f"{self.ref(number)} += sum(some * {self.shape.stride}, {place});")
        total = self.shape.rows
        return [
            "{",
            *(f"  {line}" for line in before),
            f"  for (int from = 0; from < {total}; from += {ROW_BLOCK}) {{",
            f"    const int some = {total} - from < {ROW_BLOCK} ? {total} - from : {ROW_BLOCK};",
            *(f"    {line}" for line in [*rows, *after]),
            "  }",
            "}",
        ]

    def _summed(self, number: int) -> str:
        """An entry of the matrix that a reduction sums over."""
        instruction = self.instructions[number]
        matrices = instruction.arguments[:1] if self._is_product(number) else instruction.arguments
        return " * ".join(self._entry(a) for a in matrices)

    def _is_product(self, number: int) -> bool:
        return self.instructions[number].op in MATRIX_OPS

    def _room(self, places: Mapping[str, str]) -> list[str]:
        """Room for a few rows of each matrix that is summed over; beyond its last column stays 0."""
        if not places:
            return []
        size = ROW_BLOCK * self.shape.stride
        lines = [f"plain::owned<zeros_of<{len(places) * size}>> room;"]
        return lines + [f"real* const {p} = room.at->at + {k * size};" for k, p in enumerate(places.values())]

    def _cleared(self, out: str) -> str:
        return f"std::memset({out}, 0, {self.shape.stride} * sizeof(real));"

    def _rows(self, places: Mapping[str, str]) -> list[str]:
        """The entries of a few rows: written where they are summed, and added to what is updated."""
        changed = [
            f"const real w{k} = {self._changed(place, update)};"
            for k, (place, update) in enumerate(self.updates)
        ]
        stored = [f"{place}[row + i] = w{k};" for k, (place, _) in enumerate(self.updates)]
        stored += [f"{place}[near + i] = {entry};" for entry, place in places.items()]
        entries = [f"const real {name} = {self._text(*entry)};" for entry, name in self._entries.items()]
        return [
            "for (int j = from; j < from + some; ++j) {",
            f"  const size_t row = (size_t)j * {self.shape.stride};",
            *([f"  const size_t near = (size_t)(j - from) * {self.shape.stride};"] if places else []),
            "  #pragma omp simd",
            f"  for (int i = 0; i < {self.shape.columns}; ++i) {{",
            *(f"    {line}" for line in [*entries, *changed, *stored]),
            "  }",
            "}",
        ]

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
