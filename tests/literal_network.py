"""Algorithm 1 with everything that was added to it, written sample by sample as plain tensor algebra.

Nothing of ruledsl is used. Everything is differentiable, so autograd through it is the oracle of
meta-gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Literal:
    """A network in one episode: W[l] (n_{l+1}, n_l); `errors` and `update` say what is special about it."""

    W: list[Tensor]
    B: dict[str, Tensor]
    theta: Tensor
    errors: Callable[[Literal], None]
    update: Callable[[Literal], None]
    hidden: Callable[[Tensor], Tensor] = lambda z: torch.logaddexp(10 * z, torch.zeros_like(z)) / 10
    slope: Callable[[Tensor, Tensor], Tensor] = lambda z, y: 1 - torch.exp(-10 * y)
    linear: bool = False
    signals: Mapping[str, Tensor] = field(default_factory=dict)
    bias: list[Tensor] = field(default_factory=list)
    memory: dict[str, Tensor] = field(default_factory=dict)

    def forward(self, x: Tensor) -> None:
        self.z, self.y = [x], [x]
        for layer, weights in enumerate(self.W):
            z = weights @ self.y[-1] + (self.bias[layer] if self.bias else 0.0)
            self.z.append(z)
            last = layer == len(self.W) - 1
            self.y.append((z if self.linear else z.softmax(-1)) if last else self.hidden(z))

    def learn(self, xs: Tensor, targets: Tensor) -> None:
        for t, (x, target) in enumerate(zip(xs, targets, strict=True)):
            self.t = t
            self.forward(x)
            self.loss = (
                0.5 * (self.y[-1] - target).square().sum() if self.linear else -(self.y[-1] @ target).log()
            )
            self.right = self.y[-1] @ target
            self.e = [torch.zeros(0)] * len(self.W) + [self.y[-1] - target]
            self.errors(self)
            self.update(self)

    def query_loss(self, xs: Tensor, targets: Tensor) -> Tensor:
        losses = []
        for x, target in zip(xs, targets, strict=True):
            self.forward(x)
            z = self.z[-1]
            losses.append(0.5 * (z - target).square().sum() if self.linear else -(z.log_softmax(-1) @ target))
        return torch.stack(losses).mean()

    def carry(self, layer: int, signal: Tensor) -> None:
        self.e[layer] = signal * self.slope(self.z[layer], self.y[layer])

    @property
    def down(self) -> range:
        return range(len(self.W) - 1, -1, -1)


def layered(net: Literal) -> None:
    for n in net.down:
        net.carry(n, net.B[f"B{n}"] @ net.e[n + 1])


def transposed(net: Literal) -> None:
    for n in net.down:
        net.carry(n, net.W[n].T @ net.e[n + 1])


def direct(net: Literal) -> None:
    for n in net.down:
        net.carry(n, net.B[f"B{n}"] @ net.e[-1])


def sign_uniform(net: Literal) -> None:
    for n in net.down:
        rows, columns = net.W[n].shape
        net.carry(n, (2.0 / (rows + columns)) ** 0.5 * (net.W[n].sign().T @ net.e[n + 1]))


def sign_fixed(net: Literal) -> None:
    for n in net.down:
        net.carry(n, (net.B[f"B{n}"].abs() * net.W[n].sign().T) @ net.e[n + 1])


def sign_redrawn(net: Literal) -> None:
    for n in net.down:
        gain = net.signals[f"gain{n}"][net.t].abs().outer(net.signals[f"gain{n + 1}"][net.t].abs())
        net.carry(n, (torch.pi / 2) * (gain * net.B[f"B{n}"].abs() * net.W[n].sign().T) @ net.e[n + 1])


def mixture(net: Literal) -> None:
    for place, n in enumerate(net.down):
        mix = net.theta[len(net.theta) - len(net.W) + place]
        net.carry(n, (1 - mix) * (net.B[f"B{n}"] @ net.e[n + 1]) + mix * (net.B[f"D{n}"] @ net.e[-1]))


def noisy(net: Literal) -> None:
    for n in net.down:
        signal = net.B[f"B{n}"] @ net.e[n + 1]
        net.carry(n, signal + 0.3 * signal.square().mean().sqrt() * net.signals[f"unrest{n}"][net.t])


def bio(net: Literal) -> None:
    """Eq. 7 in every layer, all from the weights before this sample."""
    a, b, c = net.theta[:3]
    net.W = [
        W - a * e.outer(y) - b * e.outer(e_pre) - c * (post.outer(y) - post.outer(W.T @ post))
        for W, e, y, e_pre, post in zip(net.W, net.e[1:], net.y, net.e, net.y[1:], strict=False)
    ]


def numbered(letter: str, matrices: Sequence[Tensor]) -> dict[str, Tensor]:
    return {f"{letter}{n}": m for n, m in enumerate(matrices)}
