"""Names of what a network's programs read, write and give, taken apart once.

A step of a network names its weights `W0`, their cotangents `adjoint_W0`, the sample `x`, a cell's random
gain `gain2`, and so on. `Slot` says what such a name means, so that nobody looks for letters in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")
_ADJOINT = "adjoint_"
_NAME = re.compile(r"([A-Za-z_]*?)(\d*)(?:_(\d+))?")


class Kind(StrEnum):
    """What a slot holds. Pathways may draw random matrices under further capital letters."""

    weights = "W"
    feedback = "B"
    bias = "b"
    trace = "trace"
    feedback_trace = "traceB"
    signs = "sign"
    input = "x"
    target = "target"
    third = "third"
    age = "age"
    activity = "y"
    potential = "z"
    error = "e"
    gain = "gain"
    unrest = "unrest"
    noise = "noise"
    saved = "saved"
    coefficient = "theta"
    logits = "logits"
    cost = "cost"


class Slot(str):
    """A name with its parts: `kind`, the `layer` it belongs to if there is one, and whether it is a
    cotangent.

    It *is* its text, so whatever is kept under plain names (`{"B0": …}` from a user) is found by it.

    >>> slot = Slot.read("adjoint_W3")
    >>> slot.kind, slot.layer, slot.adjoint, slot.primal
    ('W', 3, True, 'W3')
    """

    kind: str
    layer: int | None
    place: int | None
    """Which of several of one kind in one layer: traces are counted."""
    adjoint: bool

    def __new__(
        cls, kind: str, layer: int | None = None, place: int | None = None, adjoint: bool = False
    ) -> Slot:
        text = (_ADJOINT if adjoint else "") + kind + ("" if layer is None else str(layer))
        slot = super().__new__(cls, text + ("" if place is None else f"_{place}"))
        slot.kind, slot.layer, slot.place, slot.adjoint = kind, layer, place, adjoint
        return slot

    @classmethod
    def read(cls, text: str) -> Slot:
        """The slot that a text names."""
        if isinstance(text, Slot):
            return text
        adjoint, inner = text.startswith(_ADJOINT), text.removeprefix(_ADJOINT)
        match = _NAME.fullmatch(inner)
        if match is None:
            return cls(inner, adjoint=adjoint)
        kind, layer, place = match.groups()
        return cls(kind, int(layer) if layer else None, int(place) if place else None, adjoint)

    @property
    def number(self) -> int:
        """The layer, or the number of a saved value or a coefficient."""
        assert self.layer is not None
        return self.layer

    @property
    def cotangent(self) -> Slot:
        """The slot of this one's cotangent."""
        return Slot(self.kind, self.layer, self.place, True)

    @property
    def primal(self) -> Slot:
        """What a cotangent is that of; anything else is itself."""
        return Slot(self.kind, self.layer, self.place)

    @property
    def is_cell_state(self) -> bool:
        """Weights and biases: what a network answers by."""
        return self.kind in (Kind.weights, Kind.bias) and not self.adjoint


def slots(named: Mapping[str, T], *kinds: str) -> dict[Slot, T]:
    """What is of some kinds among named values."""
    return {slot: value for name, value in named.items() if (slot := Slot.read(name)).kind in kinds}


def layers_of(named: Iterable[str], kind: str) -> list[int]:
    """The layers in which there is a slot of a kind, growing."""
    return sorted(
        slot.number for name in named if (slot := Slot.read(name)).kind == kind and not slot.adjoint
    )
