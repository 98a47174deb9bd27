"""The programs of one rule in one kind of network, built once and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ruledsl.compiler import RuleProgram, StepAdjoint, forward_costs, step_adjoint
from ruledsl.ir import Kind, Program, Slot
from ruledsl.network.shared import convolution_into, sizes_by_name, synapse_dims
from ruledsl.network.step import (
    Coefficient,
    pathway_coefficients,
    prediction_program,
    probe_program,
    step_program,
)
from ruledsl.settings import Network
from ruledsl.tasks import MatrixShape, Needs

Shapes = dict[Slot, tuple[str, ...]]
_STATE = (Kind.weights, Kind.trace, Kind.feedback_trace)


@dataclass(frozen=True)
class StepPrograms:
    """A network's step with its adjoint, its answer to an input, and what is measured in it."""

    rule: RuleProgram
    depth: int
    network: Network

    @cached_property
    def step(self) -> Program:
        return step_program(self.rule, self.depth, self.network)

    @cached_property
    def adjoint(self) -> StepAdjoint:
        return step_adjoint(self.step)

    @cached_property
    def prediction(self) -> Program:
        return prediction_program(self.depth, self.network)

    @cached_property
    def probe(self) -> Program:
        return probe_program(self.depth, self.network, len(self.rule.names))

    @property
    def has_dense_rest(self) -> bool:
        return any(update.dense is not None and update.rank == 2 for update in self.step.updates)

    @cached_property
    def cost(self) -> int | None:
        """The instruction of the running cost, if there is one."""
        return next(iter(forward_costs(self.step)), None)

    @cached_property
    def shapes(self) -> Shapes:
        """The symbolic shape of every input of the step."""
        return {slot: self.step.instructions[number].shape for slot, number in self.step.inputs().items()}

    @cached_property
    def carried(self) -> list[Slot]:
        """Everything the step updates, in its order."""
        return [update.target for update in self.step.updates]

    @cached_property
    def matrices(self) -> Shapes:
        """Random matrices that the pathway reads or the rule trains, with their symbolic shapes.

        All of the pathway's, whether this rule needs every error or not: two rules must be given the same
        draws.
        """
        whole = {slot: self.probe.instructions[number].shape for slot, number in self.probe.inputs().items()}
        return {
            slot: s for slot, s in (whole | self.shapes).items() if len(s) == 2 and slot.kind not in _STATE
        }

    @cached_property
    def signs(self) -> list[Slot]:
        """Vectors of cells' signs (`sign1` …), where cells are excitatory or inhibitory."""
        return [slot for slot in self.shapes if slot.kind == Kind.signs]

    @cached_property
    def further_signals(self) -> Shapes:
        """What must come with every sample besides x and target, with its symbolic shape."""
        known = {Kind.input, Kind.target, *self.carried, *self.matrices, *self.signs}
        return {slot: s for slot, s in self.shapes.items() if slot not in known and slot.kind != Kind.weights}

    @cached_property
    def pathway_coefficients(self) -> list[Coefficient]:
        """What the feedback pathway adds to Θ."""
        return pathway_coefficients(self.depth, self.network, len(self.rule.names))

    @property
    def coefficient_names(self) -> tuple[str, ...]:
        """One name per number in Θ: the rule's terms, then what the feedback pathway adds."""
        return (*self.rule.names, *(c.name for c in self.pathway_coefficients))

    def needs(self, sizes: Sequence[int]) -> Needs:
        """What has to be drawn for networks of some sizes."""
        cells = sizes_by_name(sizes, self.network)
        return Needs(
            {slot: self._drawn(slot, dims, cells) for slot, dims in self.matrices.items()},
            {slot: cells[dims[0]] for slot, dims in self.further_signals.items() if dims},
            Kind.third in self.further_signals,
        )

    def _drawn(self, slot: Slot, dims: tuple[str, ...], cells: Mapping[str, int]) -> MatrixShape:
        layered = dims == synapse_dims(self.network, slot.number + 1)[::-1]
        shared = convolution_into(self.network, slot.number + 1) if layered else None
        return MatrixShape.of(cells[dims[0]], cells[dims[1]], shared)


@lru_cache(maxsize=64)
def programs_for(rule: RuleProgram, depth: int, network: Network) -> StepPrograms:
    """The cached programs of a rule for a network of `depth` synapse layers."""
    return StepPrograms(rule, depth, network)
