"""Planted rules: tasks whose answers come from networks that learned by a known Θ*.

A teacher starts from the student's own weights and feedback, sees the same stream, and adapts by Θ*. Query labels
are drawn from its softmax. The expected query loss is then smallest at Θ*: whatever searches for rules can be
judged by what it finds.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ruledsl.backend import CompiledRule
from ruledsl.network import Backend, meta_gradient, programs_for, query_outputs
from ruledsl.settings import TrainSettings
from ruledsl.tasks import TEACHER, generator


@torch.no_grad()
def teacher_labels(
    rule: CompiledRule,
    settings: TrainSettings,
    W: Sequence[Tensor],
    B: Sequence[Tensor],
    x: Tensor,
    y: Tensor,
    x_query: Tensor,
    y_query: Tensor,
    draws: Sequence[tuple[int, int, int]],
    backend: Backend,
) -> Tensor:
    """(N, Q) labels for the queries x_query (N, Q, n_0), drawn by each stream's own (seed, episode, task).

    The teacher adapts in the engine that the student uses; what else that computes is not needed.
    """
    theta = x.new_tensor(settings.teacher).expand(x.shape[0], -1)
    adapted = meta_gradient(
        rule, theta, W, B, x, y, x_query, y_query, settings.feedback, settings.beta, backend=backend
    ).weights
    logits = query_outputs(programs_for(rule.program, len(W), settings.feedback, settings.beta), adapted, x_query)
    cumulative = logits.softmax(-1).cumsum(-1)
    points = torch.stack(
        [
            torch.from_numpy(generator(seed, episode, TEACHER, task).random(x_query.shape[1]))
            for seed, episode, task in draws
        ]
    )
    below = cumulative < points.to(cumulative).unsqueeze(-1) * cumulative[..., -1:]
    return below.sum(-1).clamp_max(cumulative.shape[-1] - 1)
