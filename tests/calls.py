"""The public calls on loose tensors: tests vary one input at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

import ruledsl
from ruledsl import CompiledRule, Episode, MetaGradient, Network

Feedback = Sequence[Tensor] | Mapping[str, Tensor] | None


def network_for(network: Network | None, feedback: str, beta: float) -> Network:
    return network or Network(feedback=feedback, beta=beta)


def adapt(
    rule: CompiledRule,
    theta: Tensor,
    W: Sequence[Tensor],
    B: Feedback,
    x: Tensor,
    y: Tensor,
    feedback: str = "fixed",
    beta: float = 10.0,
    network: Network | None = None,
    signals: Mapping[str, Tensor] | None = None,
) -> list[Tensor]:
    """`ruledsl.adapt`."""
    episode = Episode(W, B, x, y, signals=signals or {})
    return ruledsl.adapt(rule, theta, episode, network_for(network, feedback, beta))


def meta_gradient(
    rule: CompiledRule,
    theta: Tensor,
    W: Sequence[Tensor],
    B: Feedback,
    x: Tensor,
    y: Tensor,
    x_query: Tensor,
    y_query: Tensor,
    feedback: str = "fixed",
    beta: float = 10.0,
    network: Network | None = None,
    signals: Mapping[str, Tensor] | None = None,
    keys: Sequence[int] = (),
    **options: Any,
) -> MetaGradient:
    """`ruledsl.meta_gradient`."""
    episode = Episode(W, B, x, y, x_query, y_query, signals or {}, keys)
    return ruledsl.meta_gradient(rule, theta, episode, network_for(network, feedback, beta), **options)
