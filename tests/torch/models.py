"""Small models in float64, and one batch of learning by a rule attached to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

import ruledsl
from ruledsl import Rule

Loss = Callable[[Tensor, Tensor], Tensor]
cross_entropy: Loss = nn.functional.cross_entropy


def mlp(*sizes: int, bias: bool = False, seed: int = 0) -> nn.Sequential:
    """Softplus of slope 10 between linear layers, as in the paper (Eq. 11)."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for number, (below, above) in enumerate(pairwise(sizes)):
        layers += [nn.Linear(below, above, bias=bias), nn.Softplus(10, threshold=1000)]
        if number == len(sizes) - 2:
            layers.pop()
    return nn.Sequential(*layers).double()


def linear_layers(model: nn.Module) -> list[nn.Linear]:
    return [m for m in model.modules() if isinstance(m, nn.Linear)]


def learn(
    model: nn.Module,
    opt: ruledsl.torch.RuleOptimizer,
    x: Tensor,
    y: Tensor,
    loss: Loss = cross_entropy,
    **step: Any,
) -> None:
    """One turn of the usual loop."""
    opt.zero_grad()
    loss(model(x), y).backward()
    opt.step(**step)


def scaled(rule: Rule, size: float = 0.01, seed: int = 0) -> Tensor:
    """A Θ in which every term takes part."""
    random = torch.Generator().manual_seed(seed)
    return size * (0.2 + torch.rand(len(rule.names), generator=random, dtype=torch.float64))


def weights_of(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def largest_difference(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    return max(float((a - b).detach().abs().max()) for a, b in zip(first, second, strict=True))


class Custom(nn.Module):
    """A model whose forward is a function of its layers."""

    def __init__(self, forward: Callable[[nn.Linear, nn.Linear, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.own = nn.Linear(6, 6), nn.Linear(6, 6), forward

    def forward(self, x: Tensor) -> Tensor:
        return self.own(self.first, self.second, x)


def own_swish(a: nn.Linear, b: nn.Linear, x: Tensor) -> Tensor:
    """A model that writes its activation out."""
    z = a(x)
    return b(z * torch.sigmoid(z))
