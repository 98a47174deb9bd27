"""What a task is drawn from: images by class, decoded only when asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class ImageSource:
    """A labelled set of square images, or of plain vectors.

    `read` decodes the samples at given places: (n, side, side), grey values in 0 … 1; vectors are (n,
    features), and their `side` is 0. `targets` (n, outputs) are given for regressions, whose samples form one
    class.
    """

    name: str
    side: int
    labels: NDArray[np.int64]
    read: Callable[[Indices], Pixels]

    @cached_property
    def digest(self) -> str:
        """What labels, targets and every sample decide; a second for 10⁵ images."""
        found = hashlib.blake2b(self.labels.tobytes(), digest_size=16)
        if self.targets is not None:
            found.update(self.targets.tobytes())
        for first in range(0, len(self.labels), 8192):
            places = np.arange(first, min(first + 8192, len(self.labels)))
            found.update(self.read(places).tobytes())
        return found.hexdigest()

    def __post_init__(self) -> None:
        order = np.argsort(self.labels, kind="stable")
        values, starts = np.unique(self.labels[order], return_index=True)
        object.__setattr__(self, "members", tuple(np.split(order, starts[1:])))
        object.__setattr__(self, "classes", len(values))

    targets: NDArray[np.float32] | None = None
    members: tuple[Indices, ...] = ()
    """Places of the images of each class, classes in order of their labels."""
    classes: int = 0
    shipped: bool = False
    """Whether it came with the package, whose version says then which samples these are."""
