"""What generated code is given, and in which order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ruledsl.backend.cpp_passes import LANES
from ruledsl.backend.silence import INPUT, silent_matrices
from ruledsl.compiler import StepAdjoint
from ruledsl.ir import Kind, Slot

Shapes = dict[Slot, tuple[str, ...]]
GIVEN = (Kind.input, Kind.target, Kind.saved)
"""Vectors that every kernel is given at every sample."""


def stride_of(columns: int) -> int:
    """Distance between rows of a matrix in generated code."""
    return -(-columns // LANES) * LANES


@dataclass(frozen=True)
class Inputs:
    """Slots by what happens to them, each with its symbolic shape: the order of arguments is that of the
    fields."""

    weights: Shapes
    """Matrices that the step updates."""
    matrices: Shapes
    """Matrices that it only reads."""
    vectors: Shapes
    """Vectors that it updates: biases and traces."""
    constants: Shapes
    """Vectors that it only reads, the same ones at every sample."""
    signals: Shapes
    """What comes anew with every sample, besides x and target."""
    looked_back: frozenset[Slot]
    """Those of `weights` that the backward direction reads as they were: of the others nobody asks what they
    were. F⁰ never asks for W0."""
    rebuilds: bool
    """Whether the weights before a sample can be had from those after it."""
    silent: frozenset[Slot]
    """Matrices of which a sample concerns what belongs to its active inputs alone."""

    @classmethod
    def of(cls, pair: StepAdjoint, signals: Collection[str]) -> Inputs:
        """All inputs of both directions, cotangents left out."""
        read: Shapes = {}
        for program in (pair.forward, pair.backward):
            for slot, number in program.inputs().items():
                if not slot.adjoint and slot.kind not in GIVEN:
                    read[slot] = program.instructions[number].shape
        weights = {u.target: read[u.target] for u in pair.forward.updates if u.rank == 2}
        vectors = {u.target: read[u.target] for u in pair.forward.updates if u.rank == 1}
        others = {slot: shape for slot, shape in sorted(read.items()) if slot not in weights | vectors}
        return cls(
            weights,
            {slot: shape for slot, shape in others.items() if len(shape) == 2},
            vectors,
            {slot: s for slot, s in others.items() if len(s) < 2 and slot not in signals},
            {slot: s for slot, s in others.items() if len(s) < 2 and slot in signals},
            frozenset(weights).intersection(pair.backward.inputs()),
            all(update.dense is None for update in pair.forward.updates if update.rank == 2),
            silent_matrices(pair),
        )

    def is_turned(self, matrix: Slot) -> bool:
        """Whether a matrix is kept transposed, so that what belongs to one input lies side by side."""
        return matrix.primal in self.silent and self.shapes[matrix.primal][1] == INPUT

    @property
    def carried(self) -> Shapes:
        """Everything that the step updates."""
        return self.weights | self.vectors

    @property
    def shapes(self) -> Shapes:
        """Of all matrices."""
        return self.weights | self.matrices

    def arguments(self) -> list[str]:
        """Names of the pointers, in order; `kept_W0` … may be null."""
        given = [*self.weights, *self.matrices, *self.vectors, *self.constants]
        return [*given, *(f"{s}_stream" for s in self.signals), *(f"kept_{w}" for w in self.weights)]
