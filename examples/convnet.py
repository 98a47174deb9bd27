"""A convnet, where feedback alignment is said to struggle: what do other rules do there?"""

from __future__ import annotations

from learners import WAYS, compare, options
from torch import nn


def convnet(classes: int = 47) -> nn.Sequential:
    return nn.Sequential(
        nn.Unflatten(-2, (1, 28)),
        nn.Conv2d(1, 12, 5, stride=2, padding=2), nn.Softplus(10),
        nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.Softplus(10),
        nn.Flatten(), nn.Linear(24 * 7 * 7, classes),
    )  # fmt: skip


if __name__ == "__main__":
    args = options(__doc__ or "")
    print(
        compare("convnet, two convolutions", convnet, args.ways.split(",") if args.ways else list(WAYS), args)
    )
