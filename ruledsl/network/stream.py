"""What an episode starts from and carries along: named tensors, with one batch axis in front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ruledsl.ir import Kind, Slot, layers_of
from ruledsl.network.shared import sizes_by_name
from ruledsl.settings import Network

State = dict[str, Tensor]


@dataclass(frozen=True)
class Stream:
    """What an episode starts from, each tensor with the batch axis N in front.

    Attributes:
        state: what the step updates, before the first sample: W0 …, and B0 …, b1 …, traces where a rule has
            them.
        constants: what every step reads and none changes, such as fixed B0 ….
        signals: (N, T, …) what comes anew with every sample: x, target, and others by their names in the
            program.
        sizes: the symbolic sizes of its network.
    """

    state: State
    constants: State
    signals: State
    sizes: dict[str, int]

    @property
    def length(self) -> int:
        return self.signals["x"].shape[1]

    @property
    def count(self) -> int:
        """Runs in the batch."""
        return self.signals["x"].shape[0]

    @property
    def weights(self) -> list[Tensor]:
        """W0 … alone."""
        return weights_of(self.state)

    def rows(self, rows: Tensor) -> Stream:
        """Some of the runs, by their indices."""
        state, constants, signals = (
            {n: v[rows] for n, v in part.items()} for part in (self.state, self.constants, self.signals)
        )
        return Stream(state, constants, signals, self.sizes)

    def part(self, times: slice) -> State:
        """The signals of some samples."""
        return {name: value[:, times] for name, value in self.signals.items()}

    def inputs(self, time: int, state: Mapping[str, Tensor]) -> State:
        """The inputs of the step program at one sample."""
        return {name: value[:, time] for name, value in self.signals.items()} | self.constants | dict(state)


def weights_of(state: Mapping[str, Tensor]) -> list[Tensor]:
    """W0 … in order."""
    return [state[Slot(Kind.weights, n)] for n in layers_of(state, Kind.weights)]


def sizes_of(weights: Sequence[Tensor], network: Network) -> dict[str, int]:
    """The symbolic sizes n0 … of a network with these weights."""
    cells = [weights[0].shape[-1], *(w.shape[-2] for w in weights)]
    for layer, shared in enumerate(network.convolutions, start=1):
        if shared is not None:
            cells[layer - 1 : layer + 1] = shared.patches.cells, shared.cells
    return sizes_by_name(cells, network)
