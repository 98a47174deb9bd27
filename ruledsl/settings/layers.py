"""Layers as people write them: `784-170-47` are numbers of cells, `784-8x5/2-47` has a convolution."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

from ruledsl.ir import Patches

_MAPS = re.compile(r"(\d{1,6})x(\d{1,4})(?:/(\d{1,4}))?(?:\+(\d{1,4}))?")
WIDEST = 10**7
"""Cells of a layer."""


@dataclass(frozen=True)
class Convolution:
    """A layer of `channels` maps: every map's cells have the same synapses, each on a patch of its own.

    Weights are (channels, patch size); feedback through such synapses is (patch size, channels).
    """

    patches: Patches
    channels: int

    @property
    def cells(self) -> int:
        return self.patches.positions * self.channels

    @property
    def fans(self) -> int:
        """n_in + n_out of a cell, as Xavier's bound counts them: a channel's synapses carry to every position
        that a kernel covers."""
        return self.patches.size + self.channels * self.patches.kernel**2


class Maps(int):
    """How many cells a convolution's layer has, with what it was written as: `8x5/2`, eight maps by kernels
    of 5 × 5 cells that stand two cells apart; `8x5/2+1` with one silent cell around the picture."""

    convolution: Convolution

    def __new__(cls, convolution: Convolution) -> Maps:
        found = super().__new__(cls, convolution.cells)
        found.convolution = convolution
        return found

    def __str__(self) -> str:
        patches = self.convolution.patches
        stride = f"/{patches.stride}" if patches.stride > 1 else ""
        padding = f"+{patches.padding}" if patches.padding else ""
        return f"{self.convolution.channels}x{patches.kernel}{stride}{padding}"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Maps) and self.convolution == other.convolution

    def __hash__(self) -> int:
        return hash(self.convolution)

    def __reduce__(self) -> tuple[type[Maps], tuple[Convolution]]:
        return Maps, (self.convolution,)


def layers_of(entries: Sequence[int | str]) -> tuple[int, ...]:
    """Numbers of cells, those of convolutions as `Maps`. Raises `ValueError` for what is no network."""
    found: list[int] = []
    for entry in entries:
        whole = isinstance(entry, int) and not isinstance(entry, Maps | bool)
        found.append(int(entry) if whole else Maps(_read(str(entry), found)))
        if not 1 <= found[-1] <= WIDEST:
            raise ValueError(entry)
    if len(found) < 2 or isinstance(found[-1], Maps):  # what answers has a cell for each label
        raise ValueError(entries)
    return tuple(found)


def written(value: Any) -> Any:
    """A setting's value as TOML and JSON hold it: lists, and a convolution's layer as its text.

    >>> written(layers_of((784, "8x5/2", 47)))
    [784, '8x5/2', 47]
    """
    if isinstance(value, list | tuple):
        return [written(entry) for entry in value]
    return str(value) if isinstance(value, Maps) else value


def _read(text: str, below: Sequence[int]) -> Convolution:
    match = _MAPS.fullmatch(text)
    if match is None or not below:
        raise ValueError(text)
    channels, kernel, stride, padding = (
        int(part or default) for part, default in zip(match.groups(), (1, 1, 1, 0), strict=True)
    )
    height, width, depth = _picture(below)
    if not (channels and kernel and stride) or kernel > min(height, width) + 2 * padding or padding >= kernel:
        raise ValueError(text)
    return Convolution(Patches(height, width, depth, kernel, stride, padding), channels)


def _picture(below: Sequence[int]) -> tuple[int, int, int]:
    """Rows, columns and channels of the layer below: of maps, or of an input that is a square picture."""
    last = below[-1]
    if isinstance(last, Maps):
        return (*last.convolution.patches.places, last.convolution.channels)
    side = isqrt(last)
    if len(below) > 1 or side * side != last:
        raise ValueError(last)
    return side, side, 1


def synapses_between(below: int, above: int) -> int:
    """How many weights lead from one layer to the next: those of a convolution are shared."""
    if isinstance(above, Maps):
        return above.convolution.channels * above.convolution.patches.size
    return below * above


def convolutions_of(sizes: Iterable[int]) -> tuple[Convolution | None, ...]:
    """For each layer of weights its convolution, None for a fully connected one; nothing where all are."""
    found = tuple(n.convolution if isinstance(n, Maps) else None for n in sizes)[1:]
    return found if any(found) else ()
