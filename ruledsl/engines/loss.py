"""The objective alone in eager torch, for meta-optimisers that need no gradient."""

from __future__ import annotations

import torch

from ruledsl.engines.base import Case, EngineResult, Learning
from ruledsl.engines.ending import Ending
from ruledsl.engines.stepping import run_stream
from ruledsl.network import State


class EagerLoss(Learning):
    """Forward only."""

    name = "none"

    @torch.no_grad()
    def run(self, case: Case, ending: Ending) -> EngineResult:
        ending.differentiable = True  # nothing is differentiated here, so no gradients of its own either
        state = run_stream(case.programs, case.stream, case.theta, ending)
        loss, accuracy = ending.total(state)
        return EngineResult(loss, accuracy, torch.zeros_like(case.theta), state, "none")

    def advance(self, case: Case) -> State:
        return run_stream(case.programs, case.stream, case.theta)
