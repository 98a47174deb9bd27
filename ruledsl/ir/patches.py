"""Patches of a picture: which cells a position of a convolution reads, and which positions read a cell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

Table = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Patches:
    """Square patches of a picture whose cells stand in the order of row, column, channel.

    A patch's own cells stand in that order too. What lies beyond the border counts as cells that are silent.

    >>> patches = Patches(height=4, width=4, channels=1, kernel=2, stride=2)
    >>> patches.positions, patches.size, patches.cells
    (4, 4, 16)
    >>> patches.table[1]
    (2, 3, 6, 7)
    """

    height: int
    width: int
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0

    @staticmethod
    @lru_cache(maxsize=256)
    def read(text: object) -> Patches:
        """The patches that a text means, as `str` writes them: what an instruction has for its parameter."""
        numbers = str(text).translate(str.maketrans("x:/+", "    ")).split()
        return Patches(*map(int, numbers))

    @property
    def cells(self) -> int:
        return self.height * self.width * self.channels

    @property
    def places(self) -> tuple[int, int]:
        """Rows and columns of positions."""
        rows, columns = (
            (side + 2 * self.padding - self.kernel) // self.stride + 1 for side in (self.height, self.width)
        )
        return rows, columns

    @property
    def positions(self) -> int:
        rows, columns = self.places
        return rows * columns

    @property
    def size(self) -> int:
        """Cells of a patch."""
        return self.kernel * self.kernel * self.channels

    @cached_property
    def table(self) -> Table:
        """For each position the cells of its patch; `cells` stands for one beyond the border."""
        rows, columns = self.places
        return tuple(self._patch(r, c) for r in range(rows) for c in range(columns))

    def _patch(self, row: int, column: int) -> tuple[int, ...]:
        top, left = row * self.stride - self.padding, column * self.stride - self.padding
        return tuple(
            (y * self.width + x) * self.channels + channel
            if 0 <= y < self.height and 0 <= x < self.width
            else self.cells
            for y in range(top, top + self.kernel)
            for x in range(left, left + self.kernel)
            for channel in range(self.channels)
        )

    @cached_property
    def readers(self) -> Table:
        """For each cell where it stands among all patches, laid end to end; filled up with the place behind
        the last."""
        found: list[list[int]] = [[] for _ in range(self.cells + 1)]
        for place, cell in enumerate(cell for patch in self.table for cell in patch):
            found[cell].append(place)
        found.pop()
        most, beyond = max(map(len, found)), self.positions * self.size
        return tuple(tuple(own + [beyond] * (most - len(own))) for own in found)

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}:{self.kernel}/{self.stride}+{self.padding}"
