"""What the instructions of a program are, to whoever reads matrices in as few passes as can be."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ruledsl.ir import Instruction, Slot

SUMS: Mapping[str, Literal["matvec", "rmatvec"]] = {"row_sum": "matvec", "column_sum": "rmatvec"}
"""Sums over a matrix's rows or columns, and which product with a vector of ones each is."""
MATRIX_OPS = ("matvec", "rmatvec", *SUMS)
REDUCTIONS = (*MATRIX_OPS, "sum", "dot")

Pair: TypeAlias = tuple[int | None, int | None]
"""An outer product of two values, by number; None is a vector of ones."""


@dataclass(frozen=True)
class Structure:
    """Instructions by number."""

    instructions: Sequence[Instruction]

    def is_matrix(self, number: int) -> bool:
        return len(self.instructions[number].shape) == 2

    def matrix_of(self, number: int) -> Slot | None:
        """The given matrix that a product reads, by name; for an inner product of a weight with its Λ, the
        weight."""
        instruction = self.instructions[number]
        read = [self.instructions[a] for a in instruction.arguments if self.is_matrix(a)]
        if not read or any(i.op != "input" for i in read):
            return None
        if instruction.op in MATRIX_OPS:
            return read[0].slot
        if instruction.op == "dot" and {i.slot.adjoint for i in read} == {False, True}:
            names = [i.slot for i in read]
            return min(names, key=lambda n: n.adjoint)
        return None

    def by_entries(self, number: int) -> bool:
        """Whether this is a sum over entries of matrices, and no product of a given one."""
        instruction = self.instructions[number]
        reads = any(self.is_matrix(a) for a in instruction.arguments)
        return instruction.op in REDUCTIONS and reads and self.matrix_of(number) is None

    def early(self, applied: Container[Slot]) -> list[bool]:
        """Values of a sample that need no matrix result of that sample, and the products of matrices
        changed at the end of a sample with such values: all can be had before the sample begins."""
        early: list[bool] = []
        for number, instruction in enumerate(self.instructions):
            matrix = self.matrix_of(number)
            vectors = [a for a in instruction.arguments if not self.is_matrix(a)]
            computed = self.by_entries(number) or (self.is_matrix(number) and instruction.op != "input")
            # A product that is formed early is not itself an operand of other early work: it is ready only
            # when its pass ends.
            known = not computed and all(early[a] and self.matrix_of(a) is None for a in vectors)
            early.append(known and (matrix is None or (matrix in applied and instruction.op != "dot")))
        return early

    def dims(self, reduction: int) -> tuple[str, ...]:
        """The shape of the matrix whose entries are summed."""
        return self.instructions[self.instructions[reduction].arguments[0]].shape

    def sources(self, numbers: Iterable[int]) -> set[Slot]:
        """The given matrices that values are computed from, through matrices alone."""
        found: set[Slot] = set()
        for number in numbers:
            instruction = self.instructions[number]
            if self.is_matrix(number) and instruction.op == "input":
                found.add(instruction.slot)
            else:
                found |= self.sources(a for a in instruction.arguments if self.is_matrix(a))
        return found

    def borders(self, dense: int | None) -> list[Pair] | None:
        """A dense rest that needs no pass of its own: a sum of `rows` and `columns`, as outer products with
        vectors of ones. None for any other."""
        if dense is None:
            return []
        instruction = self.instructions[dense]
        match instruction.op:
            case "rows":
                return [(instruction.arguments[0], None)]
            case "columns":
                return [(None, instruction.arguments[0])]
            case "add":
                parts = [self.borders(a) for a in instruction.arguments]
                return None if None in parts else [pair for part in parts for pair in part or ()]
        return None
