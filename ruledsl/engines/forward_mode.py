"""Forward-mode differentiation along the stream: ∂W_t/∂θ_r is carried with W_t, so that memory does not grow
with T.

Costs R copies of the weights and about R + 1 forward passes: for streams too long for anything that keeps
activity.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ruledsl.backend import EagerProgram
from ruledsl.engines.base import Case, Engine, EngineResult
from ruledsl.engines.ending import Ending
from ruledsl.engines.stepping import moved
from ruledsl.network import State


def _load_rules() -> None:
    """Have torch load its forward-mode rules, which it still writes in its own deprecated TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with forward_ad.dual_level():
            forward_ad.make_dual(torch.zeros(()), torch.zeros(()))


class Forward(Engine):
    """As `Autograd`. Run n's derivative with respect to θ_r is row n R + r of a batch of N R dual numbers."""

    name = "forward"

    @torch.no_grad()
    def run(self, case: Case, ending: Ending) -> EngineResult:
        programs, stream, theta = case.programs, case.stream, case.theta
        _load_rules()
        count, terms = theta.shape
        wide = stream.rows(torch.arange(count, device=theta.device).repeat_interleave(terms))
        directions = torch.eye(terms, dtype=theta.dtype, device=theta.device).repeat(count, 1)
        own = torch.arange(0, count * terms, terms, device=theta.device)
        runner = EagerProgram(programs.step, wide.sizes)
        state, slopes = dict(wide.state), {name: torch.zeros_like(v) for name, v in wide.state.items()}
        gradient = torch.zeros_like(theta)
        for time in range(wide.length):
            with forward_ad.dual_level():
                dual = {name: forward_ad.make_dual(v, slopes[name]) for name, v in state.items()}
                coefficients = forward_ad.make_dual(theta.repeat_interleave(terms, 0), directions)
                values = runner.run(wide.inputs(time, dual), coefficients)
                after = moved(programs.step.updates, values, dual)
                state, slopes = _parted(after)
                if programs.cost is not None:
                    cost = forward_ad.unpack_dual(torch.as_tensor(values[programs.cost]))
                    gradient += (
                        cost.tangent.reshape(count, terms) if cost.tangent is not None else 0.0
                    ) / wide.length
                    ending.pay(cost.primal.expand(count * terms)[own])
            ending.see(time + 1, {name: v[own] for name, v in state.items()})
            gradient += _through(ending, time + 1, slopes, gradient)
        final = {name: v[own] for name, v in state.items()}
        loss, accuracy = ending.total(final)
        return EngineResult(loss, accuracy, gradient, final, "forward")


def _parted(dual: State) -> tuple[State, State]:
    parts = {name: forward_ad.unpack_dual(v) for name, v in dual.items()}
    slopes = {n: torch.zeros_like(p.primal) if p.tangent is None else p.tangent for n, p in parts.items()}
    return {name: p.primal for name, p in parts.items()}, slopes


def _through(ending: Ending, time: int, slopes: State, like: Tensor) -> Tensor:
    """Σ ⟨∂objective/∂state, ∂state/∂θ⟩ at a point."""
    total = torch.zeros_like(like)
    for name, cotangent in ending.gradients.get(time, {}).items():
        tangent = slopes[name].reshape(*like.shape, -1)
        total += torch.einsum("nra,na->nr", tangent, cotangent.flatten(1))
    return total
