"""Reference implementation: Algorithm 1 as published code writes it. One network, one sample at a time,
each term its own full matrix, autograd through the unrolled stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ruledsl import Episode

BETA = 10.0
Term = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]

TERMS: dict[str, Term] = {
    "pseudo_gradient": lambda y, Y, e, E, W: -E @ y.T,
    "activity_error": lambda y, Y, e, E, W: -Y @ e.T,
    "error_hebb": lambda y, Y, e, E, W: -E @ e.T,
    "weight_decay": lambda y, Y, e, E, W: -W,
    "presynaptic_error": lambda y, Y, e, E, W: -torch.ones_like(Y) @ e.T,
    "population_gradient": lambda y, Y, e, E, W: -E @ torch.ones_like(Y).T @ Y @ y.T,
    "projected_error_hebb": lambda y, Y, e, E, W: -Y @ Y.T @ W @ e @ e.T,
    "projected_gradient": lambda y, Y, e, E, W: -E @ Y.T @ W @ e @ y.T,
    "aligned_error": lambda y, Y, e, E, W: -Y @ y.T @ W.T @ E @ e.T,
    "oja_subspace": lambda y, Y, e, E, W: -(Y @ y.T - Y @ Y.T @ W),
}
"""Small letters are the presynaptic, capital ones the postsynaptic side; all are columns."""


def forward(weights: Sequence[Tensor], x: Tensor) -> list[Tensor]:
    """Activities of every layer for inputs in columns; the last entry holds logits."""
    y = [x]
    for number, W in enumerate(weights):
        z = W @ y[-1]
        y.append(z if number == len(weights) - 1 else torch.nn.functional.softplus(z, beta=BETA))
    return y


def errors(feedback: Sequence[Tensor], y: list[Tensor], label: Tensor) -> list[Tensor]:
    """e of every layer, carried by B."""
    e = [torch.softmax(y[-1], 0)]
    e[0] = e[0] - torch.nn.functional.one_hot(label, len(e[0])).to(e[0].dtype).unsqueeze(1)
    for B, activity in zip(reversed(feedback), reversed(y[:-1]), strict=True):
        e.insert(0, B @ e[0] * (1 - torch.exp(-BETA * activity)))
    return e


def meta_gradient(names: Sequence[str], theta: Tensor, episode: Episode) -> tuple[Tensor, Tensor]:
    """Loss and its gradient with respect to theta (R,); of a batch, the first episode:
    one network is all it can do."""
    theta = theta.clone().requires_grad_()
    weights, feedback = [w[0] for w in episode.W], [b[0] for b in episode.feedback.values()]
    for sample, label in zip(episode.x[0], episode.y[0], strict=True):
        activity = forward(weights, sample.unsqueeze(1))
        e = errors(feedback, activity, label)
        activity[-1] = torch.softmax(activity[-1], 0)
        weights = [
            W
            + sum(
                t * TERMS[n](activity[k], activity[k + 1], e[k], e[k + 1], W)
                for t, n in zip(theta, names, strict=True)
            )
            for k, W in enumerate(weights)
        ]
    x_query, y_query = (part[0] for part in episode.queries)
    loss = torch.nn.functional.cross_entropy(forward(weights, x_query.T)[-1].T, y_query)
    (gradient,) = torch.autograd.grad(loss, theta)
    return loss.detach(), gradient
