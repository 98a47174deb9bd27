"""Facts that checks prove about expressions: shapes with symbolic sizes, and locality classes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Side = Literal["pre", "post"]


@dataclass(frozen=True)
class Shape:
    """Rows and columns of an expression; `None` stands for size 1, so a scalar is `Shape()`."""

    rows: Side | None = None
    columns: Side | None = None

    @property
    def is_scalar(self) -> bool:
        return self.rows is None and self.columns is None

    @property
    def transposed(self) -> Shape:
        return Shape(self.columns, self.rows)

    def __str__(self) -> str:
        if self.is_scalar:
            return "scalar"
        return f"{self.rows or 1}×{self.columns or 1}"


SCALAR = Shape()
WEIGHTS = Shape("post", "pre")
FEEDBACK = Shape("pre", "post")


class Locality(IntEnum):
    """What a synapse (j, i) must know to compute its own update, from least to most.

    Each class may read what the classes before it may.

    >>> import ruledsl
    >>> ruledsl.load("bio").locality["error_hebb"] <= ruledsl.Locality.dendrite
    True
    """

    synapse = 0
    """The activities, errors and pre-activations of its two cells, its own weight, constants."""
    dendrite = 1
    """Also sums over the synapses that enter the post cell j: Σ_k W_jk x_k, x on the pre side."""
    axon = 2
    """Also sums over the synapses that leave the pre cell i: Σ_k W_ki x_k, x on the post side."""
    layer = 3
    """Also any sum over the two populations or all their weights."""
    nonlocal_ = 4
    """Anything else: another layer, the loss, the feedback weights of another layer."""

    def __str__(self) -> str:
        return self.name.rstrip("_").replace("nonlocal", "non-local")


LOCALITY_NAMES = {str(kind): kind for kind in Locality}
