"""An episode and its exact meta-gradient, in ways that agree.

`autograd`    unrolls the stream with torch's own differentiation: the literal reference.
`rebuild`     keeps each step's small vectors, and rebuilds the weights backwards from W_T.
`checkpoint`  keeps the weights at segment borders, and recomputes a segment when backward enters it.
`forward`     (see `forward_mode`) carries derivatives along with the stream: memory does not grow with it.

All work on one leading batch axis N: W[l] is (N, n_{l+1}, n_l), x (N, T, n_0), theta (N, R).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isqrt

import torch
from torch import Tensor

from ruledsl.backend import EagerProgram, apply_update, undo_update
from ruledsl.backend.eager import Value
from ruledsl.compiler import RuleProgram, StepAdjoint, forward_costs, step_adjoint
from ruledsl.ir.program import Program, Update
from ruledsl.network.objectives import Ending
from ruledsl.network.step import Coefficient, pathway_coefficients, prediction_program, probe_program, step_program
from ruledsl.settings import Network

State = dict[str, Tensor]


@dataclass(frozen=True)
class Stream:
    """What an episode starts from, each tensor with the batch axis N in front.

    Attributes:
        state: what the step updates, before the first sample: W0 …, and B0 …, b1 …, traces where a rule has them.
        constants: what every step reads and none changes, such as fixed B0 ….
        signals: (N, T, …) what comes anew with every sample: x, target, and others by their names in the program.
    """

    state: State
    constants: State
    signals: State

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
        parts = ({n: v[rows] for n, v in part.items()} for part in (self.state, self.constants, self.signals))
        return Stream(*parts)

    def part(self, times: slice) -> State:
        """The signals of some samples."""
        return {name: value[:, times] for name, value in self.signals.items()}

    @property
    def sizes(self) -> dict[str, int]:
        return sizes_of(self.weights)

    def inputs(self, time: int, state: Mapping[str, Tensor]) -> State:
        """The inputs of the step program at one sample."""
        return {name: value[:, time] for name, value in self.signals.items()} | self.constants | dict(state)


def weights_of(state: Mapping[str, Tensor]) -> list[Tensor]:
    """W0 … in order."""
    return [state[f"W{n}"] for n in range(sum(name.startswith("W") for name in state))]


def sizes_of(weights: Sequence[Tensor]) -> dict[str, int]:
    """The symbolic sizes n0 … of a network with these weights."""
    return {"n0": weights[0].shape[-1]} | {f"n{n + 1}": w.shape[-2] for n, w in enumerate(weights)}


@dataclass(frozen=True)
class StepPrograms:
    """The programs of one rule in one kind of network; built once and kept."""

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
    def shapes(self) -> dict[str, tuple[str, ...]]:
        """The symbolic shape of every input of the step."""
        return {name: self.step.instructions[number].shape for name, number in self.step.inputs().items()}

    @cached_property
    def carried(self) -> list[str]:
        """Names of everything the step updates, in its order."""
        return [update.target for update in self.step.updates]

    @cached_property
    def matrices(self) -> dict[str, tuple[str, ...]]:
        """Random matrices that the pathway reads or the rule trains, with their symbolic shapes.

        All of the pathway's, whether this rule needs every error or not: two rules must be given the same draws.
        """
        whole = {name: self.probe.instructions[number].shape for name, number in self.probe.inputs().items()}
        found = whole | self.shapes
        return {n: s for n, s in found.items() if len(s) == 2 and n[0] != "W" and not n.startswith("trace")}

    @cached_property
    def signs(self) -> list[str]:
        """Vectors of cells' signs (`sign1` …), where cells are excitatory or inhibitory."""
        return [name for name in self.shapes if name.startswith("sign")]

    @cached_property
    def further_signals(self) -> dict[str, tuple[str, ...]]:
        """What must come with every sample besides x and target, with its symbolic shape."""
        known = {"x", "target", *self.carried, *self.matrices, *self.signs}
        return {name: shape for name, shape in self.shapes.items() if name not in known and name[0] != "W"}

    @cached_property
    def pathway_coefficients(self) -> list[Coefficient]:
        """What the feedback pathway adds to Θ."""
        return pathway_coefficients(self.depth, self.network, len(self.rule.names))


@lru_cache(maxsize=64)
def programs_for(rule: RuleProgram, depth: int, network: Network) -> StepPrograms:
    """The cached programs of a rule for a network of `depth` synapse layers."""
    return StepPrograms(rule, depth, network)


def moved(updates: Sequence[Update], values: Sequence[Value | None], state: Mapping[str, Tensor]) -> State:
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


@dataclass(frozen=True)
class EngineResult:
    """Per run: objective without penalty, query accuracy, exact gradient (N, R), everything carried at the end."""

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


def autograd_engine(programs: StepPrograms, stream: Stream, theta: Tensor, ending: Ending) -> EngineResult:
    """The reference: reverse mode through the unrolled stream, every W_t kept by the graph."""
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


class _Backward:
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
        saved: Sequence[Value | None],
        cotangents: State,
        after: State | None,
        before: State | None,
    ) -> tuple[State, State]:
        """Cotangents and matrices before sample `time`; matrices are rebuilt unless `before` gives them."""
        inputs = self.stream.inputs(time, {})
        inputs |= {f"saved{n}": as_tensor(v, self.theta) for n, v in zip(self.pair.saved, saved, strict=True)}
        values = self.runner.run(inputs, self.theta, only=self.early)
        if before is None:
            assert after is not None
            before = {u.target: undo_update(u, values, after[u.target]) for u in self.own}
        inputs |= before
        inputs |= {f"adjoint_{name}": c for name, c in cotangents.items()}
        values = self.runner.run(inputs, self.theta, values, only=self.late)
        for name, number in self.pair.backward.outputs:
            self.gradient[..., int(name[5:])] += values[number]  # type: ignore[operator]
        earlier = {name: apply_update(u, values, cotangents[name]) for u in self.adjoint for name in [u.target[8:]]}
        return earlier, before


def own_updates(backward: Program) -> list[Update]:
    """The step's own updates of matrices, as its adjoint computes them again."""
    return [u for u in backward.updates if not u.target.startswith("adjoint_")]


def adjoint_updates(backward: Program) -> list[Update]:
    return [u for u in backward.updates if u.target.startswith("adjoint_")]


def as_tensor(value: Value | None, like: Tensor) -> Tensor:
    assert value is not None
    return value if isinstance(value, Tensor) else torch.full((), value, dtype=like.dtype, device=like.device)


def depends_on_matrices(program: Program) -> list[bool]:
    """Instructions that need a matrix before the step, or a cotangent; the rest can run first."""
    rebuilt = {u.target for u in own_updates(program)}
    late: list[bool] = []
    for instruction in program.instructions:
        name = str(instruction.attribute)
        own = instruction.op == "input" and (name.startswith("adjoint_") or name in rebuilt)
        late.append(own or any(late[a] for a in instruction.arguments))
    return late


def _forward_saving(
    programs: StepPrograms,
    stream: Stream,
    theta: Tensor,
    state: State,
    times: range,
    keep_state: bool,
    ending: Ending | None,
) -> tuple[State, list[list[Value | None]], list[State]]:
    """Run samples `times`; the saved values of each, and the state before each when asked for."""
    runner = EagerProgram(programs.step, stream.sizes)
    saved: list[list[Value | None]] = []
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


@torch.no_grad()
def rebuild_engine(programs: StepPrograms, stream: Stream, theta: Tensor, ending: Ending) -> EngineResult:
    """Weights rebuilt backwards: W_t = (W_{t+1} − Σ u vᵀ)/(1 + κ); `lost` names runs where that lost precision.

    The rebuilt W_0 is compared with the true one; beyond `rebuild_tolerance` a run's gradient is not to be used.
    """
    final, saved, _ = _forward_saving(programs, stream, theta, dict(stream.state), range(stream.length), False, ending)
    loss, accuracy = ending.total(final)
    backward = _Backward(programs, stream, theta)
    cotangents, state = ending.cotangents(stream.length, final), final
    for time in range(stream.length - 1, -1, -1):
        cotangents, state = backward.step(time, saved[time], cotangents, state, None)
        if time in ending.gradients:
            cotangents = plus(cotangents, ending.cotangents(time, stream.state))
    lost = lost_runs(state, stream.state, final) if stream.length else None
    return EngineResult(loss, accuracy, backward.gradient / ending.scale, final, "rebuild", lost)


def rebuild_tolerance(dtype: torch.dtype) -> float:
    """Largest accepted relative error of the rebuilt W_0: 30 ε^¾, which is 2e-4 in float32 and 5e-11 in float64.

    A healthy stream stays far below it (about 1e-7 in float32 after 250 samples); one that forgets its weights
    is far above. It bounds the weights' error; that of the gradient is measured in tests/test_adjoint.py.
    """
    return 30.0 * torch.finfo(dtype).eps ** 0.75


def lost_runs(rebuilt: Mapping[str, Tensor], true: Mapping[str, Tensor], final: Mapping[str, Tensor]) -> Tensor:
    """(N,) runs for which rebuilding did not come back to the start. A run that diverged has no gradient to protect."""
    first = next(iter(true.values()))
    lost = torch.zeros(first.shape[0], dtype=torch.bool, device=first.device)
    for name, matrix in rebuilt.items():
        start, end = true[name], final[name]
        # Traces start from zero: their error is measured by what they grew to.
        size = torch.maximum(start.flatten(1).norm(dim=1), _grown(start, end))
        error = (matrix - start).flatten(1).norm(dim=1) / size.clamp_min(1e-30)
        finite = end.flatten(1).isfinite().all(1)
        lost |= finite & ((error > rebuild_tolerance(start.dtype)) | ~error.isfinite())
    return lost


def _grown(start: Tensor, end: Tensor) -> Tensor:
    """The norm of what began at zero, and nothing for what did not."""
    norm = start.flatten(1).norm(dim=1)
    return torch.where(norm == 0, end.flatten(1).norm(dim=1), torch.zeros_like(norm))


@torch.no_grad()
def checkpoint_engine(programs: StepPrograms, stream: Stream, theta: Tensor, ending: Ending) -> EngineResult:
    """Weights kept every √T samples; a segment is run again, with its weights, when backward enters it."""
    length = stream.length
    stride = max(1, isqrt(length))
    borders: list[State] = []
    state = dict(stream.state)
    for start in range(0, length, stride):
        borders.append(state)
        times = range(start, min(start + stride, length))
        state, _, _ = _forward_saving(programs, stream, theta, state, times, False, ending)
    loss, accuracy = ending.total(state)
    backward = _Backward(programs, stream, theta)
    cotangents = ending.cotangents(length, state)
    matrices = {u.target for u in backward.own}
    for number in range(len(borders) - 1, -1, -1):
        times = range(number * stride, min((number + 1) * stride, length))
        _, saved, history = _forward_saving(programs, stream, theta, borders[number], times, True, None)
        for offset in range(len(times) - 1, -1, -1):
            before = {name: value for name, value in history[offset].items() if name in matrices}
            cotangents, _ = backward.step(times[offset], saved[offset], cotangents, None, before)
            if times[offset] in ending.gradients:
                cotangents = plus(cotangents, ending.cotangents(times[offset], stream.state))
    return EngineResult(loss, accuracy, backward.gradient / ending.scale, state, "checkpoint")
