"""The meta-gradient of backprop as the paper's released code computes it: wrong, and kept to measure by how much.

That code (2023-03-06) ties B to Wᵀ by overwriting B's data at every step. The stream is that of backprop, but its
derivative never passes through B = Wᵀ, and wherever the backward pass reads B it finds the values of the last step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ruledsl.network.engines import EngineResult, State, StepPrograms, Stream, programs_for, rebuild_engine
from ruledsl.network.objectives import Ending


@dataclass(frozen=True)
class _Retied(Stream):
    """A stream whose B is Wᵀ in every forward step, and the last Wᵀ in every backward one."""

    last: State = field(default_factory=dict)

    def inputs(self, time: int, state: Mapping[str, Tensor]) -> State:
        self.last.update({f"B{name[1:]}": matrix.mT for name, matrix in state.items() if name.startswith("W")})
        return super().inputs(time, state) | self.last


def retied_engine(programs: StepPrograms, stream: Stream, theta: Tensor, ending: Ending) -> EngineResult:
    """As `rebuild_engine` for the feedback `symmetric`, with the released code's gradient.

    A run whose weights cannot be rebuilt gets NaN for its gradient. Raises `ValueError` for other pathways.
    """
    if programs.network.feedback != "symmetric":
        raise ValueError("the engine `retied` is about backprop; it needs the feedback `symmetric`")
    untied = programs_for(programs.rule, programs.depth, replace(programs.network, feedback="fixed"))
    result = rebuild_engine(untied, _Retied(stream.state, stream.constants, stream.signals), theta, ending)
    lost = result.lost if result.lost is not None else torch.zeros(len(result.loss), dtype=torch.bool)
    gradient = result.gradient.masked_fill(lost.unsqueeze(-1), torch.nan)
    return replace(result, gradient=gradient, engine="retied", lost=None)
