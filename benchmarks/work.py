"""What every engine is timed on: one meta-gradient of the paper's episode, drawn from a fixed seed."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor

from ruledsl import Episode

PAPER = (784, 170, 130, 100, 70, 47)
WIDE = tuple(4 * n for n in PAPER)


def draw_work(
    batch: int, samples: int = 250, sizes: tuple[int, ...] = PAPER, seed: int = 0, zeros: float = 0.8
) -> Episode:
    """Xavier weights; images as sparse and grey as handwriting, or with another share of pixels that are 0;
    five of the output units as labels."""
    generator = torch.Generator().manual_seed(seed)

    def xavier(rows: int, columns: int) -> Tensor:
        bound = sqrt(6.0 / (rows + columns))
        return (torch.rand(batch, rows, columns, generator=generator) * 2 - 1) * bound

    def images(count: int) -> Tensor:
        ink = torch.rand(batch, count, sizes[0], generator=generator)
        grey = (ink - zeros) / (1 - zeros) * (PAPER[0] / sizes[0] * 0.2 / (1 - zeros)) ** 0.5
        return torch.where(ink < zeros, torch.zeros(()), grey)

    def labels(count: int) -> Tensor:
        return torch.randint(0, 5, (batch, count), generator=generator)

    return Episode(
        [xavier(above, below) for below, above in pairwise(sizes)],
        [xavier(below, above) for below, above in pairwise(sizes)],
        images(samples), labels(samples), images(50), labels(50),
    )  # fmt: skip


def small_theta(terms: int, batch: int) -> Tensor:
    """θ_0 = 10⁻³ and small values elsewhere: every term is computed, nothing diverges."""
    theta = torch.full((batch, terms), 1e-6)
    theta[:, 0] = 1e-3
    return theta


def on_device(episode: Episode, device: str) -> Episode:
    """The same episode with every tensor on a device."""
    x_query, y_query = episode.queries
    return Episode(
        [w.to(device) for w in episode.W], {name: b.to(device) for name, b in episode.feedback.items()},
        episode.x.to(device), episode.y.to(device), x_query.to(device), y_query.to(device),
    )  # fmt: skip
