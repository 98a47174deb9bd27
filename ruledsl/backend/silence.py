"""Matrices of which a silent input concerns no entry: none is moved there, and none is looked at.

Most pixels of a sample are 0, and where one is, y_pre, e_pre and σ' of the first layer are 0 too. A pass over
W0 then needs the columns of the others alone, as long as nothing else reads or moves the rest: a rule whose
terms have y_pre or e_pre as their only presynaptic factors is of that kind; one that reads Wᵀ y is not.

Each vector of the input's size is followed through a step and its adjoint by its value at a silent input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from ruledsl.backend.reference import REFERENCE_KERNELS
from ruledsl.compiler import StepAdjoint
from ruledsl.ir import Instruction, Kind, Program, Slot

INPUT = "n0"
"""The symbolic size of the input layer."""


@dataclass(frozen=True)
class _Unknown:
    """A value at a silent input that is some number; `spoilt` by matrices of which only active inputs were
    read, it is not even that number."""

    spoilt: frozenset[Slot] = frozenset()


_Value = float | _Unknown
_ANY = _Unknown()


class _Needed(Exception):
    """Something depends on entries of these matrices at silent inputs."""

    def __init__(self, slots: frozenset[Slot]) -> None:
        super().__init__(slots)
        self.slots = slots


def silent_matrices(pair: StepAdjoint) -> frozenset[Slot]:
    """Matrices that need be read, and moved, at active inputs only; their cotangents likewise.

    The largest such set that is found by taking out, one after the other, what something depends on.
    """
    shapes: dict[Slot, tuple[str, ...]] = {}
    for program in (pair.forward, pair.backward):
        for slot, number in program.inputs().items():
            shape = program.instructions[number].shape
            if len(shape) == 2 and shape.count(INPUT) == 1:
                shapes[slot.primal] = shape
    silent = frozenset(shapes)
    while silent:
        try:
            forward = _Walk(pair.forward, shapes, silent, {}).values()
            _Walk(pair.backward, shapes, silent, dict(enumerate(forward))).values()
        except _Needed as needed:
            silent -= needed.slots
            continue
        break
    return silent


@dataclass
class _Walk:
    """One program, followed at a silent input."""

    program: Program
    shapes: Mapping[Slot, tuple[str, ...]]
    silent: frozenset[Slot]
    saved: Mapping[int, _Value]

    def values(self) -> list[_Value]:
        """Of every instruction. Raises `_Needed`."""
        self.known: list[_Value] = []
        for instruction in self.program.instructions:
            self.known.append(self._value(instruction))
        for update in self.program.updates:
            if update.target.primal in self.silent:
                pairs = (*update.pairs, *update.gains)
                self._kept_silent(update.target.primal, update.kappa, update.dense, pairs)
            else:
                self._read(n for n in (update.kappa, update.dense) if n is not None)
                self._read(n for two in (*update.pairs, *update.gains) for n in two)
        self._read(number for _, number in self.program.outputs)
        return self.known

    def _kept_silent(
        self, target: Slot, kappa: int | None, dense: int | None, pairs: Sequence[tuple[int, int]]
    ) -> None:
        side = self.shapes[target].index(INPUT)
        moved = [two[side] for two in pairs if self.known[two[side]] != 0.0]
        if kappa is not None or dense is not None or moved:
            raise _Needed(frozenset({target}).union(*(self._spoilt(n) for n in moved)))

    def _spoilt(self, number: int) -> frozenset[Slot]:
        value = self.known[number]
        return value.spoilt if isinstance(value, _Unknown) else frozenset()

    def _read(self, numbers: Iterable[int]) -> None:
        """Something looks at these values at every input. Raises `_Needed` where one is spoilt."""
        spoilt = frozenset[Slot]().union(*(self._spoilt(n) for n in numbers))
        if spoilt:
            raise _Needed(spoilt)

    def _value(self, instruction: Instruction) -> _Value:
        arguments = instruction.arguments
        if instruction.op == "input":
            return self._loaded(instruction.slot)
        read = frozenset(m for a in arguments if (m := self._matrix(a)) in self.silent)
        if instruction.op in ("matvec", "rmatvec"):
            return self._product(instruction, read)
        if read:
            raise _Needed(read)
        if instruction.op == "dot" and any(self.known[a] == 0.0 for a in arguments):
            return _ANY
        if len(instruction.shape) == 2 or instruction.op in ("dot", "sum", "softmax"):
            self._read(arguments)
            return _ANY
        return self._entry(instruction) if instruction.shape in ((), (INPUT,)) else _ANY

    def _loaded(self, slot: Slot) -> _Value:
        if slot.kind == Kind.input:
            return 0.0
        return self.saved.get(slot.number, _ANY) if slot.kind == Kind.saved else _ANY

    def _matrix(self, number: int) -> Slot:
        """The given matrix that an argument is; a slot of nothing for what is none."""
        instruction = self.program.instructions[number]
        given = instruction.op == "input" and len(instruction.shape) == 2
        return instruction.slot.primal if given else Slot("")

    def _product(self, instruction: Instruction, read: frozenset[Slot]) -> _Value:
        """M v or Mᵀ u: of a silent matrix the operand must be 0, or the result is not to be looked at."""
        _, operand = instruction.arguments
        shape = self.program.instructions[operand].shape
        if read and shape == (INPUT,):
            if self.known[operand] != 0.0:
                raise _Needed(read | self._spoilt(operand))
            return _ANY
        self._read([operand])
        return _Unknown(read) if read else _ANY

    def _entry(self, instruction: Instruction) -> _Value:
        """One entry of an entrywise op."""
        found = [self.known[a] for a in instruction.arguments]
        numbers = [v for v in found if not isinstance(v, _Unknown)]
        if instruction.op == "mul" and 0.0 in numbers and all(map(isfinite, numbers)):
            # What is unknown is taken for finite: of a network that diverged, or divides by nothing, NaN at a
            # silent input is not seen there.
            return 0.0
        if instruction.op not in REFERENCE_KERNELS or len(numbers) < len(found):
            return _Unknown(frozenset[Slot]().union(*(self._spoilt(a) for a in instruction.arguments)))
        with np.errstate(all="ignore"):
            given = [np.asarray(v) for v in numbers]
            return float(REFERENCE_KERNELS[instruction.op](given, instruction.parameter, ()))
