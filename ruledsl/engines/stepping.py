"""A stream lived through step by step in eager torch, and the adjoint of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ruledsl.backend import EagerProgram, Operand, apply_update, undo_update
from ruledsl.engines.ending import Ending
from ruledsl.ir import Kind, Program, Slot, Update
from ruledsl.network import State, StepPrograms, Stream


def moved(updates: Sequence[Update], values: Sequence[Operand | None], state: Mapping[str, Tensor]) -> State:
    """Everything a step updates, after it."""
    return {u.target: apply_update(u, values, state[u.target]) for u in updates}


def run_stream(programs: StepPrograms, stream: Stream, theta: Tensor, ending: Ending | None = None) -> State:
    """The state after the whole stream; differentiable when theta or the state require gradients.

    An `ending` is told of every sample's cost and of the state at each of its points.
    """
    runner = EagerProgram(programs.step, stream.sizes)
    state = dict(stream.state)
    for time in range(stream.length):
        values = runner.run(stream.inputs(time, state), theta)
        state = moved(programs.step.updates, values, state)
        if ending is not None:
            ending.see(time + 1, state, None if programs.cost is None else values[programs.cost])
    return state


class Backward:
    """Runs the adjoint of one step after another, from the last sample to the first."""

    def __init__(self, programs: StepPrograms, stream: Stream, theta: Tensor) -> None:
        self.pair = programs.adjoint
        self.stream, self.theta = stream, theta
        self.runner = EagerProgram(self.pair.backward, stream.sizes)
        self.gradient = torch.zeros_like(theta)
        late = depends_on_matrices(self.pair.backward)
        self.early, self.late = [not flag for flag in late], late
        self.own, self.adjoint = own_updates(self.pair.backward), adjoint_updates(self.pair.backward)

    def step(
        self,
        time: int,
        saved: Sequence[Operand | None],
        cotangents: State,
        after: State | None,
        before: State | None,
    ) -> tuple[State, State]:
        """Cotangents and matrices before sample `time`; matrices are rebuilt unless `before` gives them."""
        inputs = self.stream.inputs(time, {})
        inputs |= {
            Slot(Kind.saved, n): as_tensor(v, self.theta) for n, v in zip(self.pair.saved, saved, strict=True)
        }
        values = self.runner.run(inputs, self.theta, only=self.early)
        if before is None:
            assert after is not None
            before = {u.target: undo_update(u, values, after[u.target]) for u in self.own}
        inputs |= before
        inputs |= {Slot.read(name).cotangent: c for name, c in cotangents.items()}
        values = self.runner.run(inputs, self.theta, values, only=self.late)
        for slot, number in self.pair.backward.outputs:
            self.gradient[..., slot.number] += values[number]  # type: ignore[operator]
        earlier: State = {
            name: apply_update(u, values, cotangents[name])
            for u in self.adjoint
            for name in [u.target.primal]
        }
        return earlier, before


def own_updates(backward: Program) -> list[Update]:
    """The step's own updates of matrices, as its adjoint computes them again."""
    return [u for u in backward.updates if not u.target.adjoint]


def adjoint_updates(backward: Program) -> list[Update]:
    return [u for u in backward.updates if u.target.adjoint]


def as_tensor(value: Operand | None, like: Tensor) -> Tensor:
    assert value is not None
    return value if isinstance(value, Tensor) else torch.full((), value, dtype=like.dtype, device=like.device)


def depends_on_matrices(program: Program) -> list[bool]:
    """Instructions that need a matrix before the step, or a cotangent; the rest can run first."""
    rebuilt = {u.target for u in own_updates(program)}
    late: list[bool] = []
    for instruction in program.instructions:
        own = instruction.op == "input" and (instruction.slot.adjoint or instruction.slot in rebuilt)
        late.append(own or any(late[a] for a in instruction.arguments))
    return late


def forward_saving(
    programs: StepPrograms,
    stream: Stream,
    theta: Tensor,
    state: State,
    times: range,
    keep_state: bool,
    ending: Ending | None,
) -> tuple[State, list[list[Operand | None]], list[State]]:
    """Run samples `times`; the saved values of each, and the state before each when asked for."""
    runner = EagerProgram(programs.step, stream.sizes)
    saved: list[list[Operand | None]] = []
    history: list[State] = []
    for time in times:
        values = runner.run(stream.inputs(time, state), theta, keep=programs.adjoint.saved)
        saved.append([values[n] for n in programs.adjoint.saved])
        if keep_state:
            history.append(state)
        state = moved(programs.step.updates, values, state)
        if ending is not None:
            ending.see(time + 1, state, None if programs.cost is None else values[programs.cost])
    return state, saved, history


def plus(first: State, second: Mapping[str, Tensor]) -> State:
    """Cotangents added up."""
    return {name: value + second[name] for name, value in first.items()}
