"""How errors leave a layer on their way back: the feedback plugins of episodes, one layer at a time.

A plugin is written for a chain of layers. What it says of one of them is read off a chain of two, cells →
this layer → output, in which every error is an input; σ' is left to torch, which knows the user's activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from ruledsl.backend import EagerProgram, Operand
from ruledsl.errors import ModelError, PluginError
from ruledsl.ir import Builder, Kind, Program, Slot, Value
from ruledsl.network import Activity, Pathway
from ruledsl.registry import find
from ruledsl.settings import Network

OWN, OUTPUT = Slot(Kind.error, 1), Slot(Kind.error, 2)
"""The error of the layer itself, and that of the network's output."""
FANS = "fans"
"""The symbolic size n_in + n_out of a layer's cells, as Xavier's draw counts them."""


class _Signals(Pathway):
    """A pathway whose errors are given: it keeps what is carried to layer 0, as it is."""

    def __post_init__(self) -> None:
        self.carried: dict[int, Value] = {}
        self.errors[1] = Value(self.builder, self.builder.input(OWN, ("n1",)))
        if self.depth == 2:
            self.errors[2] = Value(self.builder, self.builder.input(OUTPUT, ("n2",)))

    def carry(self, layer: int, signal: Value) -> None:
        self.carried[layer] = signal

    def spread(self, layer: int) -> Value:
        """Of the layer itself, whose synapses may be shared: told how many its fans are when it runs."""
        if layer != 0:
            return super().spread(layer)
        return (0.5 * Value(self.builder, self.builder.size(FANS))) ** -0.5


@dataclass(frozen=True)
class Signal:
    """What a layer sends to the cells below it: a program of its error, W, and random matrices."""

    program: Program

    @property
    def matrices(self) -> dict[Slot, tuple[str, str]]:
        """Random matrices that are drawn once, by name, with symbolic sizes: n0 cells below, n1 own, n2
        outputs."""
        shapes = self._shapes
        return {s: (d[0], d[1]) for s, d in shapes.items() if len(d) == 2 and s.kind != Kind.weights}

    @property
    def noises(self) -> dict[Slot, str]:
        """Standard normal vectors, drawn for every row."""
        return {s: d[0] for s, d in self._shapes.items() if len(d) == 1 and s not in (OWN, OUTPUT)}

    @property
    def _shapes(self) -> dict[Slot, tuple[str, ...]]:
        return {slot: self.program.instructions[n].shape for slot, n in self.program.inputs().items()}

    @property
    def hears_output(self) -> bool:
        """Whether it needs the error of the network's output."""
        return OUTPUT in self.program.inputs()

    @property
    def hears_itself(self) -> bool:
        return OWN in self.program.inputs()

    @property
    def linear_map(self) -> int | None:
        """The instruction of M, (n0, n1) or its transpose, where the signal is M e, with one M for all."""
        last = self.program.instructions[self.program.outputs[0][1]]
        if last.op not in ("matvec", "rmatvec"):
            return None
        matrix, vector = last.arguments
        heard = self.program.instructions[vector]
        is_error = heard.op == "input" and heard.slot in (OWN, OUTPUT)
        return matrix if is_error and not self.noises else None

    def map_of(self, named: Mapping[Slot, Tensor], sizes: Mapping[str, int]) -> Tensor:
        """M as (n0, n1 or n2), from W and the random matrices."""
        number, last = self.linear_map, self.program.instructions[self.program.outputs[0][1]]
        assert number is not None
        like = next(iter(named.values()))
        only = [n <= number and self._is_fixed(n) for n in range(len(self.program.instructions))]
        values = EagerProgram(self.program, sizes).run({**named}, like.new_zeros(0), only=only)
        matrix = values[number]
        assert isinstance(matrix, Tensor)
        return matrix if last.op == "matvec" else matrix.T

    def _is_fixed(self, number: int) -> bool:
        i = self.program.instructions[number]
        if i.op == "input":
            return i.slot not in (OWN, OUTPUT)
        return all(self._is_fixed(a) for a in i.arguments)

    def of(self, named: Mapping[Slot, Tensor], sizes: Mapping[str, int]) -> Operand:
        """(rows, n0) the signal of each row; `named` holds errors (rows, n), W, matrices and noises."""
        like = next(iter(named.values()))
        values = EagerProgram(self.program, sizes).run({**named}, like.new_zeros(0))
        found = values[self.program.outputs[0][1]]
        assert found is not None
        return found


@lru_cache(maxsize=64)
def signal_of(feedback: str, below_output: bool) -> Signal:
    """What a feedback plugin lets a layer send back: one below the output, or the output itself.

    Raises `ModelError` for a pathway that cannot be taken apart into layers.
    """
    builder, depth = Builder(), 2 if below_output else 1
    cells = [Value(builder, builder.input(Slot(Kind.activity, n), (f"n{n}",))) for n in range(depth + 1)]
    pathway = _Signals(depth, Activity(cells, cells), builder, Network(feedback=feedback), 0)
    find("feedback", feedback).item(pathway)
    if pathway.coefficients:
        names = ", ".join(f"`{c.name}`" for c in pathway.coefficients)
        raise ModelError(
            f"feedback `{feedback}` has coefficients of its own for each layer ({names}), learned for one "
            f"network; another network has other layers. Use `fixed`, `direct` or `symmetric`"
        )
    if 0 not in pathway.carried:
        raise PluginError(f"feedback `{feedback}` carries no error to layer 0")
    program = builder.finish({Kind.error: pathway.carried[0].number})
    if any(slot.kind == Kind.activity for slot in program.inputs()):
        raise ModelError(
            f"feedback `{feedback}` reads activities; on a torch model it can read errors and weights"
        )
    return Signal(program)
