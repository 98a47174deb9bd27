"""The literal reference: torch differentiates through the unrolled stream."""

from __future__ import annotations

import torch

from ruledsl.engines.base import Case, Engine, EngineResult
from ruledsl.engines.ending import Ending
from ruledsl.engines.stepping import run_stream


class Autograd(Engine):
    """The reference: reverse mode through the unrolled stream, every W_t kept by the graph."""

    name = "autograd"

    def run(self, case: Case, ending: Ending) -> EngineResult:
        programs, stream, theta = case.programs, case.stream, case.theta
        leaf = theta.detach().requires_grad_()
        with torch.enable_grad():
            ending.differentiable = True
            state = run_stream(programs, stream, leaf, ending)
            loss, accuracy = ending.total(state)
            if loss.requires_grad:
                (gradient,) = torch.autograd.grad(loss.sum(), leaf)
            else:
                gradient = torch.zeros_like(theta)
        final = {name: value.detach() for name, value in state.items()}
        return EngineResult(loss.detach(), accuracy.detach(), gradient, final, "autograd")
