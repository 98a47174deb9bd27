"""Which engine computes a case: one table, in order of preference,
for trainings and for networks that only learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch

from ruledsl.engines.autograd import Autograd
from ruledsl.engines.base import BACKENDS, Backend, Case, Engine, EngineResult, Learning
from ruledsl.engines.checkpoint import Checkpoint
from ruledsl.engines.compiled import CompiledCheckpoint, CompiledLoss, CompiledRebuild
from ruledsl.engines.ending import Ending
from ruledsl.engines.forward_mode import Forward
from ruledsl.engines.loss import EagerLoss
from ruledsl.engines.rebuild import Rebuild
from ruledsl.engines.replay import Replay, ReplayKeeping, ReplayLoss
from ruledsl.engines.retied import Retied

EngineName = Literal["auto", "rebuild", "checkpoint", "autograd", "forward", "none", "retied"]
OnLost = Literal["again", "drop"]
LEARNING: tuple[Learning, ...] = (ReplayLoss(), CompiledLoss(), EagerLoss())
CANDIDATES: Mapping[str, tuple[Engine, ...]] = {
    "rebuild": (Replay(), CompiledRebuild(), Rebuild()),
    "checkpoint": (ReplayKeeping(), CompiledCheckpoint(), Checkpoint()),
    "autograd": (Autograd(),),
    "forward": (Forward(),),
    "none": LEARNING,
    "retied": (Retied(),),
}
ENGINES = ("auto", *CANDIDATES)


def compute(
    asked: str, backend: Backend, case: Case, ending: Ending, on_lost: OnLost = "again"
) -> EngineResult:
    """An episode by the first engine that can. Runs whose weights could not be rebuilt are computed again
    from checkpoints, they alone, since others must not pay for their neighbours; or with `on_lost` "drop"
    their gradient is NaN.

    Raises `ValueError` when what was asked for does not exist, or cannot compute this case.
    """
    for value, known, what in ((asked, ENGINES, "engine"), (backend, BACKENDS, "backend")):
        if value not in known:
            raise ValueError(f"there is no {what} {value!r}; choose one of {', '.join(known)}")
    result = _chosen(asked, backend, case).run(case, ending)
    if result.lost is None or not bool(result.lost.any()):
        return result
    if on_lost == "drop":
        return replace(result, gradient=result.gradient.masked_fill(result.lost.unsqueeze(-1), torch.nan))
    rows = result.lost.nonzero().squeeze(-1)
    again = _chosen("checkpoint", backend, case).run(case.rows(rows), ending.rows(rows))
    return result.with_rows(rows, again)


def _chosen(asked: str, backend: Backend, case: Case) -> Engine:
    dense = case.programs.has_dense_rest
    if asked == "rebuild" and dense:
        raise ValueError(
            "this rule has a dense rest, whose weights cannot be rebuilt; use engine='checkpoint'"
        )
    name = ("checkpoint" if dense else "rebuild") if asked == "auto" else asked
    return next(engine for engine in CANDIDATES[name] if engine.can_run(case, backend))


def learner_for(case: Case, backend: Backend) -> Learning:
    """What a network that only learns runs by."""
    return next(engine for engine in LEARNING if engine.can_run(case, backend))
