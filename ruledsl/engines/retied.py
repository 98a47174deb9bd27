"""The meta-gradient of backprop as the paper's released code computes it: wrong, and kept to measure by how
much.

That code (2023-03-06) ties B to Wᵀ by overwriting B's data at every step. The stream is that of backprop, but
its derivative never passes through B = Wᵀ, and wherever the backward pass reads B it finds the values of the
last step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ruledsl.engines.base import Case, Engine, EngineResult
from ruledsl.engines.ending import Ending
from ruledsl.engines.rebuild import Rebuild
from ruledsl.ir import Kind, Slot, slots
from ruledsl.network import State, Stream, programs_for


@dataclass(frozen=True)
class _Retied(Stream):
    """A stream whose B is Wᵀ in every forward step, and the last Wᵀ in every backward one."""

    last: State = field(default_factory=dict)

    def inputs(self, time: int, state: Mapping[str, Tensor]) -> State:
        self.last.update({Slot(Kind.feedback, s.layer): w.mT for s, w in slots(state, Kind.weights).items()})
        return super().inputs(time, state) | self.last


class Retied(Engine):
    """As `Rebuild` for the feedback `symmetric`, with the released code's gradient.

    A run whose weights cannot be rebuilt gets NaN for its gradient. Raises `ValueError` for other pathways.
    """

    name = "retied"

    def run(self, case: Case, ending: Ending) -> EngineResult:
        programs, stream = case.programs, case.stream
        if programs.network.feedback != "symmetric":
            raise ValueError("the engine `retied` is about backprop; it needs the feedback `symmetric`")
        untied = programs_for(programs.rule, programs.depth, replace(programs.network, feedback="fixed"))
        told = Case(untied, _Retied(stream.state, stream.constants, stream.signals, stream.sizes), case.theta)
        result = Rebuild().run(told, ending)
        lost = result.lost if result.lost is not None else torch.zeros(len(result.loss), dtype=torch.bool)
        gradient = result.gradient.masked_fill(lost.unsqueeze(-1), torch.nan)
        return replace(result, gradient=gradient, engine="retied", lost=None)
