"""An episode on CUDA without launch gaps: one step is captured as a CUDA graph and replayed for every sample.

Eager torch asks the CPU for some hundred kernels per sample, and a GPU waits for each of them. Here the
sample's number lives on the device, every buffer keeps its address, and the CPU only says "again". Two graphs
make an episode: a forward step that saves its small vectors, and a backward step that rebuilds the weights
(or, for dense rests, takes them from a recomputed segment). Where no gradient is asked for, a forward step
that saves nothing.

On any other device the very same steps run without being captured: that is how they are tested without a GPU.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from math import isqrt
from typing import Self, TypeVar, cast

import torch
from torch import Tensor

from ruledsl.backend import EagerProgram, Operand, apply_update, undo_update
from ruledsl.engines.base import Backend, Case, Engine, EngineResult, Learning
from ruledsl.engines.checkpoint import Checkpoint
from ruledsl.engines.ending import Ending
from ruledsl.engines.loss import EagerLoss
from ruledsl.engines.rebuild import lost_runs
from ruledsl.engines.stepping import adjoint_updates, depends_on_matrices, moved, own_updates
from ruledsl.ir import Kind, Slot
from ruledsl.network import State, StepPrograms, Stream

Step = Callable[[], None]
WARM_UP = 3
"""Runs before a capture, so that libraries have chosen their kernels and workspaces (torch's advice)."""


class ReplayedForward:
    """Buffers of fixed address for one shape of stream, and a step that learns in them."""

    def __init__(self, programs: StepPrograms, stream: Stream, theta: Tensor) -> None:
        self.programs = programs
        self.stream = Stream(
            {name: torch.empty_like(v) for name, v in stream.state.items()},
            {name: torch.empty_like(v) for name, v in stream.constants.items()},
            {
                name: torch.empty_like(v.transpose(0, 1), memory_format=torch.contiguous_format)
                for name, v in stream.signals.items()
            },
            stream.sizes,
        )
        self.theta = torch.empty_like(theta)
        self.cost = theta.new_zeros(stream.count)
        self.time = torch.zeros(1, dtype=torch.long, device=theta.device)
        self.forward_run = EagerProgram(programs.step, stream.sizes)

    def captured(self) -> Self:
        """Its steps made ready to replay, which runs them: before anything is loaded."""
        self.forward = recorded(self._forward, lambda: self.at(0), self.theta)
        return self

    def load(self, stream: Stream, theta: Tensor) -> None:
        """Copy an episode's inputs into the buffers."""
        copy_named(self.stream.state, stream.state)
        copy_named(self.stream.constants, stream.constants)
        for name, signal in stream.signals.items():
            self.stream.signals[name].copy_(signal.transpose(0, 1))
        self.theta.copy_(theta)
        self.cost.zero_()

    def at(self, time: int) -> None:
        """The sample that the next step works on."""
        self.time.fill_(time)

    def final(self) -> State:
        """A copy of everything carried, as it is now."""
        return {name: v.clone() for name, v in self.stream.state.items()}

    def play(self, times: range, ending: Ending | None) -> None:
        """Forward over some samples; objectives look at the buffers where they have a point."""
        self.at(times.start)
        for time in times:
            self.forward()
            if ending is not None and time + 1 in ending.points:
                ending.see(time + 1, self.final())

    def judge(self, ending: Ending, final: State) -> tuple[Tensor, Tensor]:
        """Objective and accuracy after the stream, costs paid on the way among them."""
        if self.programs.cost is not None:
            ending.pay(self.cost.clone())
        return ending.total(final)

    def _inputs(self) -> dict[str, Tensor]:
        return {
            name: _take(signal, self.time) for name, signal in self.stream.signals.items()
        } | self.stream.constants

    def _forward(self) -> None:
        """One sample: weights moved in place, time one further."""
        self._learn(self.forward_run.run(self._inputs() | self.stream.state, self.theta))

    def _learn(self, values: Sequence[Operand | None]) -> None:
        if self.programs.cost is not None:
            self.cost.add_(values[self.programs.cost])  # type: ignore[arg-type]
        # All updates come from the weights before the sample (Algorithm 1), so none is written until all are
        # known.
        state = self.stream.state
        copy_named(state, moved(self.programs.step.updates, values, state))
        self.time.add_(1)


class Replayed(ReplayedForward):
    """The same with what a gradient needs, and the step back."""

    def __init__(self, programs: StepPrograms, stream: Stream, theta: Tensor, keeps_weights: bool) -> None:
        super().__init__(programs, stream, theta)
        self.keeps_weights = keeps_weights
        self.stride = max(1, isqrt(stream.length)) if keeps_weights else 1
        self.gradient = torch.zeros_like(theta)
        self.cotangents = {name: torch.empty_like(v) for name, v in stream.state.items()}
        self.slot = torch.zeros(1, dtype=torch.long, device=theta.device)
        pair, sizes = programs.adjoint, stream.sizes
        self.backward_run = EagerProgram(pair.backward, sizes)
        self.late = depends_on_matrices(pair.backward)
        self.own, self.adjoint = own_updates(pair.backward), adjoint_updates(pair.backward)
        self.saved = [self._trace(pair.forward.instructions[n].shape, sizes, stream) for n in pair.saved]
        depth = self.stride if keeps_weights else 0
        self.history = {
            u.target: v.new_empty(depth, *v.shape) for u in self.own for v in [stream.state[u.target]]
        }

    def captured(self) -> Self:
        super().captured()
        self.backward = recorded(self._backward, lambda: self.at(1, 1), self.theta)
        return self

    def _trace(self, shape: tuple[str, ...], sizes: dict[str, int], stream: Stream) -> Tensor:
        """(T, N, …): a saved value of every sample."""
        return stream.signals["x"].new_empty(stream.length, stream.count, *(sizes[d] for d in shape))

    def load(self, stream: Stream, theta: Tensor) -> None:
        super().load(stream, theta)
        self.gradient.zero_()

    def at(self, time: int, slot: int = 0) -> None:
        """Also the place of its weights in the segment."""
        super().at(time)
        self.slot.fill_(slot)

    def _forward(self) -> None:
        """One sample: values saved, weights moved in place, time and slot one further."""
        pair, state = self.programs.adjoint, self.stream.state
        values = self.forward_run.run(self._inputs() | state, self.theta, keep=pair.saved)
        for trace, number in zip(self.saved, pair.saved, strict=True):
            trace.index_copy_(0, self.time, _row(values[number], trace))
        if self.keeps_weights:
            for name, history in self.history.items():
                history.index_copy_(0, self.slot, state[name].unsqueeze(0))
        self._learn(values)
        self.slot.add_(1)

    def _backward(self) -> None:
        """One sample's adjoint: cotangents and weights moved in place to before it,
        time and slot one back."""
        self.time.sub_(1)
        self.slot.sub_(1)
        pair, state = self.programs.adjoint, self.stream.state
        inputs = self._inputs()
        inputs |= {
            Slot(Kind.saved, n): _take(trace, self.time)
            for n, trace in zip(pair.saved, self.saved, strict=True)
        }
        values = self.backward_run.run(inputs, self.theta, only=[not flag for flag in self.late])
        if self.keeps_weights:
            before: State = {name: _take(history, self.slot) for name, history in self.history.items()}
        else:
            before = {u.target: undo_update(u, values, state[u.target]) for u in self.own}
        inputs |= before
        inputs |= {Slot.read(name).cotangent: c for name, c in self.cotangents.items()}
        values = self.backward_run.run(inputs, self.theta, values, only=self.late)
        for slot, number in pair.backward.outputs:
            self.gradient.select(-1, slot.number).add_(values[number])  # type: ignore[arg-type]
        earlier: State = {
            u.target.primal: apply_update(u, values, self.cotangents[u.target.primal]) for u in self.adjoint
        }
        copy_named(self.cotangents, earlier)
        copy_named(state, before)


def copy_named(targets: State, values: State) -> None:
    """Every value into the buffer of its name, in one kernel: copies are most launches of a small network."""
    if values:
        torch._foreach_copy_([targets[name] for name in values], list(values.values()))


def _take(trace: Tensor, time: Tensor) -> Tensor:
    """trace[time] where `time` is on the device: the CPU never learns which."""
    return trace.index_select(0, time).squeeze(0)


def _row(value: Operand | None, trace: Tensor) -> Tensor:
    """A saved value, (1, N, …), with every run's own copy."""
    assert isinstance(value, Tensor)
    return value.unsqueeze(0).expand(1, *trace.shape[1:])


def recorded(step: Step, prepare: Step, on: Tensor) -> Step:
    """The step as a CUDA graph to replay; on another device the step itself. `prepare` makes a step legal."""
    if on.device.type != "cuda":
        return step
    with torch.cuda.device(on.device):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                prepare()
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
    return graph.replay


_KEPT = 4
_episodes: OrderedDict[tuple[object, ...], ReplayedForward] = OrderedDict()
"""The last few shapes of episodes, of each kind: capturing takes longer than an episode, and buffers take
memory."""

Buffers = TypeVar("Buffers", bound=ReplayedForward)


def _loaded(case: Case, made: Callable[[], Buffers], *which: object) -> Buffers:
    """Captured steps for a case of this shape, kept or made, with its inputs in their buffers."""
    stream, theta = case.stream, case.theta
    shapes = tuple(
        (n, v.shape) for part in (stream.state, stream.constants, stream.signals) for n, v in part.items()
    )
    key = (case.programs, which, theta.shape, theta.dtype, theta.device, shapes)
    if key not in _episodes:
        _episodes[key] = made().captured()
        alike = [k for k, kept in _episodes.items() if type(kept) is type(_episodes[key])]
        for oldest in alike[:-_KEPT]:
            del _episodes[oldest]
    _episodes.move_to_end(key)
    episode = cast(Buffers, _episodes[key])
    episode.load(stream, theta)
    return episode


class Replay(Engine):
    """As `Rebuild`, for devices on which launches cost more than work."""

    name = "rebuild"
    keeps_weights = False

    def can_run(self, case: Case, backend: Backend) -> bool:
        return case.on_cuda and backend != "eager" and not case.programs.has_dense_rest

    @torch.no_grad()
    def run(self, case: Case, ending: Ending) -> EngineResult:
        if not case.stream.length:  # no sample to capture
            return Checkpoint().run(case, ending)
        keeps = self.keeps_weights
        made = partial(Replayed, case.programs, case.stream, case.theta, keeps)
        return (_with_history if keeps else _rebuilding)(_loaded(case, made, keeps), case.stream, ending)


class ReplayKeeping(Replay):
    """As `Checkpoint`."""

    name = "checkpoint"
    keeps_weights = True

    def can_run(self, case: Case, backend: Backend) -> bool:
        return case.on_cuda and backend != "eager"


class ReplayLoss(Learning):
    """As `EagerLoss`."""

    name = "none"

    def can_run(self, case: Case, backend: Backend) -> bool:
        return case.on_cuda and backend != "eager"

    @torch.no_grad()
    def run(self, case: Case, ending: Ending) -> EngineResult:
        ending.differentiable = True  # nothing is differentiated here, so no gradients of its own either
        if not case.stream.length:
            return EagerLoss().run(case, ending)
        episode = self._played(case, ending)
        final = episode.final()
        loss, accuracy = episode.judge(ending, final)
        return EngineResult(loss, accuracy, torch.zeros_like(case.theta), final, self.name)

    @torch.no_grad()
    def advance(self, case: Case) -> State:
        return self._played(case, None).final() if case.stream.length else dict(case.stream.state)

    def _played(self, case: Case, ending: Ending | None) -> ReplayedForward:
        episode = _loaded(case, partial(ReplayedForward, case.programs, case.stream, case.theta))
        episode.play(range(case.stream.length), ending)
        return episode


def _finish(episode: Replayed, ending: Ending, engine: str) -> EngineResult:
    """The objectives after the stream; their gradient becomes the cotangent of the last state."""
    final = episode.final()
    loss, accuracy = episode.judge(ending, final)
    copy_named(episode.cotangents, ending.cotangents(ending.length, final))
    return EngineResult(loss, accuracy, episode.gradient, final, engine)


def _return(episode: Replayed, times: range, ending: Ending) -> None:
    """Backward over some samples, the last first."""
    for time in reversed(times):
        episode.backward()
        if time in ending.gradients:
            for name, part in ending.cotangents(time, episode.stream.state).items():
                episode.cotangents[name].add_(part)


def _result(
    episode: Replayed, ending: Ending, found: EngineResult, lost: Tensor | None = None
) -> EngineResult:
    gradient = episode.gradient / ending.scale
    return EngineResult(found.loss, found.accuracy, gradient, found.state, found.engine, lost)


def _rebuilding(episode: Replayed, stream: Stream, ending: Ending) -> EngineResult:
    times = range(stream.length)
    episode.play(times, ending)
    found = _finish(episode, ending, "rebuild")
    episode.at(stream.length)
    _return(episode, times, ending)
    rebuilt: State = {u.target: episode.stream.state[u.target] for u in episode.own}
    return _result(episode, ending, found, lost_runs(rebuilt, stream.state, found.state))


def _with_history(episode: Replayed, stream: Stream, ending: Ending) -> EngineResult:
    """Weights kept at the borders of segments; a segment is run again, keeping each W_t,
    before its adjoint."""
    borders: list[State] = []
    segments = [
        range(start, min(start + episode.stride, stream.length))
        for start in range(0, stream.length, episode.stride)
    ]
    for segment in segments:
        borders.append(episode.final())
        episode.play(segment, ending)
    found = _finish(episode, ending, "checkpoint")
    for segment, border in zip(reversed(segments), reversed(borders), strict=True):
        copy_named(episode.stream.state, border)
        episode.play(segment, None)
        _return(episode, segment, ending)
    return _result(episode, ending, found)
