"""An episode on CUDA without launch gaps: one step is captured as a CUDA graph and replayed for every sample.

Eager torch asks the CPU for some hundred kernels per sample, and a GPU waits for each of them. Here the sample's
number lives on the device, every buffer keeps its address, and the CPU only says "again". Two graphs make an
episode: a forward step that saves its small vectors, and a backward step that rebuilds the weights (or, for dense
rests, takes them from a recomputed segment).

On any other device the very same steps run without being captured: that is how they are tested without a GPU.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import isqrt

import torch
from torch import Tensor

from ruledsl.backend import EagerProgram, apply_update, undo_update
from ruledsl.backend.eager import Value
from ruledsl.network.engines import (
    EngineResult,
    StepPrograms,
    Stream,
    checkpoint_engine,
    depends_on_matrices,
    lost_runs,
    query_loss,
)

Step = Callable[[], None]
WARM_UP = 3
"""Runs before a capture, so that libraries have chosen their kernels and workspaces (torch's advice)."""


class Episode:
    """Buffers of fixed address for one shape of stream, and the steps that work on them."""

    def __init__(self, programs: StepPrograms, stream: Stream, theta: Tensor, keeps_weights: bool) -> None:
        self.programs, self.keeps_weights = programs, keeps_weights
        self.stride = max(1, isqrt(stream.length)) if keeps_weights else 1
        self.stream = Stream(
            [torch.empty_like(w) for w in stream.weights],
            None if stream.feedback is None else [torch.empty_like(b) for b in stream.feedback],
            torch.empty_like(stream.x.transpose(0, 1), memory_format=torch.contiguous_format),
            torch.empty_like(stream.targets.transpose(0, 1), memory_format=torch.contiguous_format),
        )
        self.theta = torch.empty_like(theta)
        self.gradient = torch.zeros_like(theta)
        self.cotangents = [torch.empty_like(w) for w in stream.weights]
        self.time = torch.zeros(1, dtype=torch.long, device=theta.device)
        self.slot = torch.zeros(1, dtype=torch.long, device=theta.device)
        pair, sizes = programs.adjoint, stream.sizes
        self.forward_run = EagerProgram(programs.step, sizes)
        self.backward_run = EagerProgram(pair.backward, sizes)
        self.late = depends_on_matrices(pair.backward)
        self.saved = [self._trace(pair.forward.instructions[n].shape, sizes, stream) for n in pair.saved]
        depth = self.stride if keeps_weights else 0
        self.history = [w.new_empty(depth, *w.shape) for w in stream.weights]
        self.forward = recorded(self._forward, lambda: self.at(0), theta)
        self.backward = recorded(self._backward, lambda: self.at(1, 1), theta)

    def _trace(self, shape: tuple[str, ...], sizes: dict[str, int], stream: Stream) -> Tensor:
        """(T, N, …): a saved value of every sample."""
        return stream.x.new_empty(stream.length, stream.x.shape[0], *(sizes[d] for d in shape))

    def load(self, stream: Stream, theta: Tensor) -> None:
        """Copy an episode's inputs into the buffers."""
        _copy(self.stream.weights, stream.weights)
        _copy(self.stream.feedback or [], stream.feedback or [])
        self.stream.x.copy_(stream.x.transpose(0, 1))
        self.stream.targets.copy_(stream.targets.transpose(0, 1))
        self.theta.copy_(theta)
        self.gradient.zero_()

    def at(self, time: int, slot: int = 0) -> None:
        """The sample that the next step works on, and the place of its weights in the segment."""
        self.time.fill_(time)
        self.slot.fill_(slot)

    def _inputs(self) -> dict[str, Tensor]:
        named = {"x": _take(self.stream.x, self.time), "target": _take(self.stream.targets, self.time)}
        return named | {f"B{n}": b for n, b in enumerate(self.stream.feedback or [])}

    def _forward(self) -> None:
        """One sample: values saved, weights moved in place, time and slot one further."""
        pair, weights = self.programs.adjoint, self.stream.weights
        inputs = self._inputs() | {f"W{n}": w for n, w in enumerate(weights)}
        values = self.forward_run.run(inputs, self.theta, keep=pair.saved)
        for trace, number in zip(self.saved, pair.saved, strict=True):
            trace.index_copy_(0, self.time, _row(values[number], trace))
        if self.keeps_weights:
            for history, w in zip(self.history, weights, strict=True):
                history.index_copy_(0, self.slot, w.unsqueeze(0))
        # All updates come from the weights before the sample (Algorithm 1), so none is written until all are known.
        moved = [apply_update(u, values, w) for u, w in zip(self.programs.step.updates, weights, strict=True)]
        _copy(weights, moved)
        self.time.add_(1)
        self.slot.add_(1)

    def _backward(self) -> None:
        """One sample's adjoint: cotangents and weights moved in place to before it, time and slot one back."""
        self.time.sub_(1)
        self.slot.sub_(1)
        pair, weights = self.programs.adjoint, self.stream.weights
        inputs = self._inputs()
        inputs |= {f"saved{n}": _take(trace, self.time) for n, trace in zip(pair.saved, self.saved, strict=True)}
        values = self.backward_run.run(inputs, self.theta, only=[not flag for flag in self.late])
        updates = pair.backward.updates
        if self.keeps_weights:
            before = [_take(history, self.slot) for history in self.history]
        else:
            own = [u for u in updates if not u.target.startswith("adjoint_")]
            before = [undo_update(u, values, w) for u, w in zip(own, weights, strict=True)]
        inputs |= {f"W{n}": w for n, w in enumerate(before)}
        inputs |= {f"adjoint_W{n}": c for n, c in enumerate(self.cotangents)}
        values = self.backward_run.run(inputs, self.theta, values, only=self.late)
        for name, number in pair.backward.outputs:
            self.gradient.select(-1, int(name[5:])).add_(values[number])  # type: ignore[arg-type]
        adjoint = [u for u in updates if u.target.startswith("adjoint_")]
        _copy(self.cotangents, [apply_update(u, values, c) for u, c in zip(adjoint, self.cotangents, strict=True)])
        _copy(weights, before)


def _copy(targets: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """All in one kernel: copies are most of the launches of a small network."""
    if targets:
        torch._foreach_copy_(list(targets), list(values))


def _take(trace: Tensor, time: Tensor) -> Tensor:
    """trace[time] where `time` is on the device: the CPU never learns which."""
    return trace.index_select(0, time).squeeze(0)


def _row(value: Value | None, trace: Tensor) -> Tensor:
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
_episodes: OrderedDict[tuple[object, ...], Episode] = OrderedDict()
"""The last few shapes of episodes: capturing takes longer than an episode, and their buffers take memory."""


def _episode(programs: StepPrograms, stream: Stream, theta: Tensor, keeps_weights: bool) -> Episode:
    key = (programs, keeps_weights, theta.shape, theta.dtype, theta.device, stream.x.shape, *stream.sizes.values())
    if key not in _episodes:
        _episodes[key] = Episode(programs, stream, theta, keeps_weights)
        while len(_episodes) > _KEPT:
            _episodes.popitem(last=False)
    _episodes.move_to_end(key)
    return _episodes[key]


@torch.no_grad()
def replay_engine(
    programs: StepPrograms, stream: Stream, theta: Tensor, x_query: Tensor, y_query: Tensor, keeps_weights: bool = False
) -> EngineResult:
    """As `rebuild_engine`; with `keeps_weights`, as `checkpoint_engine`."""
    if not stream.length:  # no sample to capture
        return checkpoint_engine(programs, stream, theta, x_query, y_query)
    episode = _episode(programs, stream, theta, keeps_weights)
    episode.load(stream, theta)
    run = _with_history if keeps_weights else _rebuilding
    return run(episode, stream, x_query, y_query)


def _finish(episode: Episode, x_query: Tensor, y_query: Tensor, engine: str) -> EngineResult:
    """The query loss after the stream; its gradient becomes the cotangent of the last weights."""
    final = [w.clone() for w in episode.stream.weights]
    query = query_loss(episode.programs, final, x_query, y_query)
    _copy(episode.cotangents, query.gradient)
    return EngineResult(query.loss, query.accuracy, episode.gradient, final, engine)


def _rebuilding(episode: Episode, stream: Stream, x_query: Tensor, y_query: Tensor) -> EngineResult:
    episode.at(0)
    for _ in range(stream.length):
        episode.forward()
    result = _finish(episode, x_query, y_query, "rebuild")
    episode.at(stream.length)
    for _ in range(stream.length):
        episode.backward()
    lost = lost_runs(episode.stream.weights, stream.weights, result.weights)
    return EngineResult(result.loss, result.accuracy, episode.gradient.clone(), result.weights, "rebuild", lost)


def _with_history(episode: Episode, stream: Stream, x_query: Tensor, y_query: Tensor) -> EngineResult:
    """Weights kept at the borders of segments; a segment is run again, keeping each W_t, before its adjoint."""
    borders: list[list[Tensor]] = []
    segments = [
        range(start, min(start + episode.stride, stream.length)) for start in range(0, stream.length, episode.stride)
    ]
    for segment in segments:
        borders.append([w.clone() for w in episode.stream.weights])
        episode.at(segment.start)
        for _ in segment:
            episode.forward()
    result = _finish(episode, x_query, y_query, "checkpoint")
    for segment, border in zip(reversed(segments), reversed(borders), strict=True):
        _copy(episode.stream.weights, border)
        episode.at(segment.start)
        for _ in segment:
            episode.forward()
        for _ in segment:
            episode.backward()
    return EngineResult(result.loss, result.accuracy, episode.gradient.clone(), result.weights, "checkpoint")
