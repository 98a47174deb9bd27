"""Random inputs for tests: layers, episodes, and well-shaped expressions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import torch
from hypothesis import strategies as st
from torch import Tensor

from ruledsl.ir import (
    SCALAR,
    WEIGHTS,
    Binary,
    Call,
    Expression,
    Name,
    Negate,
    Number,
    Power,
    Shape,
    Side,
    Transpose,
)
from ruledsl.language import QUANTITIES as EVERY_QUANTITY
from ruledsl.language import Term

QUANTITIES = {
    n: q
    for n, q in EVERY_QUANTITY.items()
    if n[0] in "yzeW1n" and n not in ("exc_pre", "exc_post", "noise_pre")
}
"""What a layer always has: no third factor, no populations, nothing of B or of biases."""


def layer_quantities(
    n_pre: int, n_post: int, batch: tuple[int, ...] = (), seed: int = 0
) -> dict[str, Tensor]:
    """Float64 values of every quantity, away from 0 and of either sign (activities positive)."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*batch, *shape, dtype=torch.float64, generator=generator)

    positive = {"y_pre": draw(n_pre).abs() + 0.1, "y_post": draw(n_post).abs() + 0.1}
    return positive | {
        "z_pre": draw(n_pre),
        "z_post": draw(n_post),
        "e_pre": draw(n_pre),
        "e_post": draw(n_post),
        "W": draw(n_post, n_pre),
    }


@dataclass
class Episode:
    W: list[Tensor]
    B: list[Tensor]
    x: Tensor
    y: Tensor
    x_query: Tensor
    y_query: Tensor

    def arguments(self) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor, Tensor, Tensor]:
        return self.W, self.B, self.x, self.y, self.x_query, self.y_query

    def run(self, *where: int) -> Episode:
        """One element of the batch axes."""
        return Episode(
            [w[where] for w in self.W], [b[where] for b in self.B],
            self.x[where], self.y[where], self.x_query[where], self.y_query[where],
        )  # fmt: skip


def draw_episode(
    sizes: tuple[int, ...],
    samples: int,
    queries: int = 4,
    batch: tuple[int, ...] = (),
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Episode:
    generator = torch.Generator().manual_seed(seed)
    pairs = list(pairwise(sizes))

    def normal(*shape: int) -> Tensor:
        scale = (2.0 / sum(shape)) ** 0.5  # the variance of Xavier's draw
        return (scale * torch.randn(*batch, *shape, dtype=torch.float64, generator=generator)).to(dtype)

    def labels(count: int) -> Tensor:
        return torch.randint(0, sizes[-1], (*batch, count), generator=generator)

    def inputs(count: int) -> Tensor:
        return torch.rand(*batch, count, sizes[0], dtype=torch.float64, generator=generator).to(dtype)

    return Episode(
        [normal(b, a) for a, b in pairs], [normal(a, b) for a, b in pairs],
        inputs(samples), labels(samples), inputs(queries), labels(queries),
    )  # fmt: skip


# expressions -----------------------------------------------------------------

_SHAPES = (SCALAR, Shape("pre"), Shape("post"), Shape(None, "pre"), Shape(None, "post"), WEIGHTS,
WEIGHTS.transposed,
           Shape("post", "post"), Shape("pre", "pre"))  # fmt: skip
_SMOOTH = ("tanh", "sigmoid", "softplus")


@st.composite
def expressions(draw: st.DrawFn, shape: Shape = WEIGHTS, depth: int = 4, smooth: bool = True) -> Expression:
    """A well-shaped expression; `smooth` keeps to functions that are finite and differentiable everywhere."""
    leaves = [n for n, q in QUANTITIES.items() if q.shape == shape and not n.startswith("n_")]
    if depth <= 0 or (leaves and draw(st.integers(0, 4)) == 0):
        return draw(_leaf(shape, leaves))
    return draw(_node(shape, depth - 1, smooth))


@st.composite
def _leaf(draw: st.DrawFn, shape: Shape, leaves: list[str]) -> Expression:
    if leaves:
        return Name(draw(st.sampled_from(leaves)))
    if shape.is_scalar:
        return Number(Fraction(draw(st.integers(1, 40)), 8))
    if shape.transposed in [QUANTITIES[n].shape for n in ("y_pre", "y_post", "W")]:
        return Transpose(
            draw(_leaf(shape.transposed, [n for n, q in QUANTITIES.items() if q.shape == shape.transposed]))
        )
    column = Shape(shape.rows)
    row = Shape(None, shape.columns)
    left = draw(_leaf(column, [n for n, q in QUANTITIES.items() if q.shape == column]))
    right = draw(_leaf(row, []))
    return Binary("*", left, right)


@st.composite
def _node(draw: st.DrawFn, shape: Shape, depth: int, smooth: bool) -> Expression:
    def sub(of: Shape) -> Expression:
        return draw(expressions(of, depth, smooth))

    kinds = ["sum", "product", "hadamard", "negate", "scale", "transpose", "function"]
    kinds += ["power"] if shape.is_scalar or not smooth else ["square"]
    kinds += ["reduce"] if shape.is_scalar else []
    kind = draw(st.sampled_from(kinds))
    if kind == "sum":
        return Binary(draw(st.sampled_from(["+", "-"])), sub(shape), sub(shape))
    if kind == "product":
        sides: list[Side | None] = ["pre", "post", None]
        middle = draw(st.sampled_from(sides))
        return Binary("*", sub(Shape(shape.rows, middle)), sub(Shape(middle, shape.columns)))
    if kind == "hadamard":
        return Binary(".*", sub(shape), sub(shape))
    if kind == "negate":
        return Negate(sub(shape))
    if kind == "scale":
        return Binary("/", sub(shape), Number(Fraction(draw(st.integers(1, 9)))))
    if kind == "transpose":
        return Transpose(sub(shape.transposed))
    if kind == "function":
        return Call(draw(st.sampled_from(_SMOOTH)), (sub(shape),))
    if kind == "reduce":
        return Call(draw(st.sampled_from(["sum", "mean"])), (sub(draw(st.sampled_from(_SHAPES[1:]))),))
    exponent = (
        Number(Fraction(2)) if kind == "square" or smooth else Number(Fraction(draw(st.integers(1, 3))))
    )
    return Power(sub(shape), exponent, elementwise=True)


def terms(depth: int = 4) -> st.SearchStrategy[Term]:
    """Random post × pre terms."""
    return expressions(WEIGHTS, depth).map(lambda e: Term("drawn", e))
