"""What every engine is timed on: one meta-gradient of the paper's episode, drawn from a fixed seed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor

PAPER = (784, 170, 130, 100, 70, 47)
WIDE = tuple(4 * n for n in PAPER)


@dataclass(frozen=True)
class Work:
    """A batch of episodes: W[l] (N, n_{l+1}, n_l), B[l] (N, n_l, n_{l+1}), x (N, T, n_0), …"""

    W: list[Tensor]
    B: list[Tensor]
    x: Tensor
    y: Tensor
    x_query: Tensor
    y_query: Tensor

    def arguments(self) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor, Tensor, Tensor]:
        return self.W, self.B, self.x, self.y, self.x_query, self.y_query


def draw_work(batch: int, samples: int = 250, sizes: tuple[int, ...] = PAPER, seed: int = 0) -> Work:
    """Xavier weights; images as sparse and grey as handwriting; five of the output units as labels."""
    generator = torch.Generator().manual_seed(seed)

    def xavier(rows: int, columns: int) -> Tensor:
        bound = sqrt(6.0 / (rows + columns))
        return (torch.rand(batch, rows, columns, generator=generator) * 2 - 1) * bound

    def images(count: int) -> Tensor:
        ink = torch.rand(batch, count, sizes[0], generator=generator)
        return torch.where(ink < 0.8, torch.zeros(()), (ink - 0.8) * 5 * (PAPER[0] / sizes[0]) ** 0.5)

    def labels(count: int) -> Tensor:
        return torch.randint(0, 5, (batch, count), generator=generator)

    return Work(
        [xavier(above, below) for below, above in pairwise(sizes)],
        [xavier(below, above) for below, above in pairwise(sizes)],
        images(samples), labels(samples), images(50), labels(50),
    )  # fmt: skip


def small_theta(terms: int, batch: int) -> Tensor:
    """θ_0 = 10⁻³ and small values elsewhere: every term is computed, nothing diverges."""
    theta = torch.full((batch, terms), 1e-6)
    theta[:, 0] = 1e-3
    return theta
