"""Planted rules: tasks whose answers come from networks that learned by a known Θ*.

A teacher starts from the student's own weights and feedback, sees the same stream, and adapts by Θ*. Query
labels are drawn from its softmax. The expected query loss is then smallest at Θ*: whatever searches for rules
can be judged by what it finds.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ruledsl.backend import CompiledRule
from ruledsl.engines import Backend, meta_gradient
from ruledsl.network import programs_of, query_outputs
from ruledsl.settings import TrainSettings
from ruledsl.tasks import TEACHER, Episode, StreamKey, generator


@torch.no_grad()
def teacher_labels(
    rule: CompiledRule,
    settings: TrainSettings,
    batch: Episode,
    streams: Sequence[StreamKey],
    backend: Backend,
) -> Tensor:
    """(N, Q) labels for the queries (N, Q, n_0), drawn by each stream's own (seed, episode, task).

    The teacher adapts in the engine that the student uses; what else that computes is not needed.
    """
    programs = programs_of(rule.program, settings)
    theta = batch.x.new_tensor(settings.teacher).expand(len(batch.x), -1)
    adapted = meta_gradient(rule, theta, batch, programs.network, backend=backend).carried
    x_query, _ = batch.queries
    logits = query_outputs(programs, adapted, x_query)
    cumulative = logits.softmax(-1).cumsum(-1)
    count = x_query.shape[1]
    draws = [generator(seed, episode, TEACHER, task) for seed, episode, task in streams]
    points = [torch.from_numpy(random.random(count)) for random in draws]
    below = cumulative < torch.stack(points).to(cumulative).unsqueeze(-1) * cumulative[..., -1:]
    return below.sum(-1).clamp_max(cumulative.shape[-1] - 1)
