"""An MLP: which rule comes close to backprop, on the same network, with fixed random feedback?"""

from __future__ import annotations

from learners import WAYS, compare, options
from torch import nn


def mlp(classes: int = 47) -> nn.Sequential:
    hidden = nn.Softplus(10)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), hidden, nn.Linear(256, 128), hidden, nn.Linear(128, classes)
    )


if __name__ == "__main__":
    args = options(__doc__ or "")
    print(compare("MLP, 784-256-128-47", mlp, args.ways.split(",") if args.ways else list(WAYS), args))
