"""What an engine is: a way to live through a stream, and to know its objective and the exact gradient with
it.

All work on one leading batch axis N: W[l] is (N, n_{l+1}, n_l), x (N, T, n_0), theta (N, R).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import Tensor

from ruledsl.engines.ending import Ending
from ruledsl.network import State, StepPrograms, Stream

Backend = Literal["auto", "compiled", "eager"]
BACKENDS: tuple[Backend, ...] = ("auto", "compiled", "eager")


@dataclass(frozen=True)
class Case:
    """A stream to be lived through: the network's programs, what it starts from and sees, and Θ (N, R)."""

    programs: StepPrograms
    stream: Stream
    theta: Tensor
    present: Tensor | None = None
    """(N, R) coefficients that a run has: the others are 0, and nobody asks for their gradient; None: all."""

    @property
    def on_cuda(self) -> bool:
        return self.theta.device.type == "cuda"

    def rows(self, rows: Tensor) -> Case:
        """Some of the runs, by their indices."""
        present = None if self.present is None else self.present[rows]
        return replace(self, stream=self.stream.rows(rows), theta=self.theta[rows], present=present)


@dataclass(frozen=True)
class EngineResult:
    """Per run: objective without penalty, query accuracy, exact gradient (N, R),
    everything carried at the end."""

    loss: Tensor
    accuracy: Tensor
    gradient: Tensor
    state: State
    engine: str
    lost: Tensor | None = None
    """(N,) runs whose weights could not be rebuilt exactly: their gradient must be computed another way."""

    def with_rows(self, rows: Tensor, other: EngineResult) -> EngineResult:
        """This result with the rows (indices) of some runs taken from another one."""
        whole = len(rows) == len(self.loss)
        return EngineResult(
            self.loss.index_copy(0, rows, other.loss),
            self.accuracy.index_copy(0, rows, other.accuracy),
            self.gradient.index_copy(0, rows, other.gradient),
            {name: value.index_copy(0, rows, other.state[name]) for name, value in self.state.items()},
            other.engine if whole else f"{self.engine} and {other.engine}",
        )


class Engine(ABC):
    """One way to compute an episode. `name` is what results are marked with."""

    name: ClassVar[str]

    def can_run(self, case: Case, backend: Backend) -> bool:
        """Whether this engine computes such a case, and computes it exactly;
        may compile code where `backend` asks for that."""
        return True

    @abstractmethod
    def run(self, case: Case, ending: Ending) -> EngineResult:
        """Live through the stream and differentiate the objectives that `ending` collects."""


class Learning(Engine):
    """An engine that can also live through a stream without judging it."""

    @abstractmethod
    def advance(self, case: Case) -> State:
        """The state after the whole stream."""
