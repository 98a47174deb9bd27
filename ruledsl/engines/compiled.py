"""Engines in compiled form: one thread per run, each run through its whole stream in C++."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import isqrt

import torch
from torch import Tensor

from ruledsl.engines.base import Backend, Case, EngineResult, Learning
from ruledsl.engines.ending import Ending
from ruledsl.engines.kernels import Buffers, Kernel, is_possible, is_ready, loaded, padded, unpadded
from ruledsl.engines.rebuild import lost_runs
from ruledsl.network import State, Stream

Segments = list[tuple[int, int]]


class CompiledLoss(Learning):
    """The objective alone, and learning alone, in C++."""

    name = "none"

    def can_run(self, case: Case, backend: Backend) -> bool:
        if backend == "eager":
            return False
        usable = is_ready if backend == "auto" else is_possible
        return usable(case.programs, case.stream)

    def run(self, case: Case, ending: Ending) -> EngineResult:
        ending.differentiable = True  # nothing is differentiated here, so no gradients of its own either
        with _episode(case, ending) as episode:
            return episode.judged(episode.segments([]))

    def advance(self, case: Case) -> State:
        with _episode(case, None) as episode:
            episode.forward(0, case.stream.length)
            return episode.buffers.carried(case.stream)


class CompiledRebuild(CompiledLoss):
    """As `Rebuild`. The kernels run from point to point, where objectives look at the weights."""

    name = "rebuild"

    def can_run(self, case: Case, backend: Backend) -> bool:
        return not case.programs.has_dense_rest and super().can_run(case, backend)

    def run(self, case: Case, ending: Ending) -> EngineResult:
        with _episode(case, ending) as episode:
            segments = episode.segments([])
            result = episode.judged(segments)
            for start, end, cotangents in episode.cotangents(segments, result.state):
                episode.backward(start, end, cotangents)
            lost = episode.lost(result.state) if case.stream.length else None
            return episode.differentiated(result, self.name, lost)


class CompiledCheckpoint(CompiledLoss):
    """As `Checkpoint`: everything that a step updates is kept every √T samples; a segment is run again when
    backward enters it, and leaves its weights before each sample."""

    name = "checkpoint"

    def run(self, case: Case, ending: Ending) -> EngineResult:
        stride = max(1, isqrt(case.stream.length))
        with _episode(case, ending) as episode:
            borders: dict[int, State] = {start: {} for start in range(0, case.stream.length, stride)}
            segments = episode.segments(list(borders))
            result = episode.judged(segments, borders)
            kept = episode.room_for(stride)
            within = -1
            for start, end, cotangents in episode.cotangents(segments, result.state):
                if start // stride != within:
                    within = start // stride
                    episode.restore(borders.pop(within * stride))
                    episode.forward(within * stride, end, kept)
                episode.backward(start, end, cotangents, kept, within * stride)
            return episode.differentiated(result, self.name, None)


class _Episode:
    """A stream on its way through a kernel, one thread per run."""

    def __init__(self, case: Case, kernel: Kernel, ending: Ending | None, pool: ThreadPoolExecutor) -> None:
        self.case, self.kernel, self._ending, self.pool = case, kernel, ending, pool
        self.stream: Stream = case.stream
        self.buffers = Buffers.of(kernel.source, case.stream, case.theta)
        self.gradient = torch.zeros(self.stream.count, case.theta.shape[1], dtype=torch.float64)

    @property
    def ending(self) -> Ending:
        assert self._ending is not None
        return self._ending

    def segments(self, borders: list[int]) -> Segments:
        """From point to point of the ending, and from border to border."""
        points = sorted({*self.ending.points, *borders, self.stream.length} - {0})
        return list(itertools.pairwise([0, *points]))

    def _each(self, work: Callable[[int], object]) -> None:
        list(self.pool.map(work, range(self.stream.count)))

    def forward(self, start: int, end: int, kept: State | None = None) -> None:
        call = self.kernel.library.forward
        self._each(lambda run: call(*self.buffers.forward(run, start, end, _of(kept, run, 0))))

    def backward(
        self, start: int, end: int, cotangents: State, kept: State | None = None, first: int = 0
    ) -> None:
        """Move cotangents from `end` to `start` in place; `kept` begins with sample `first`."""
        call = self.kernel.library.backward
        self._each(
            lambda run: call(
                *self.buffers.backward(
                    run, start, end, cotangents, self.gradient, _of(kept, run, start - first)
                )
            )
        )

    def judged(self, segments: Segments, borders: Mapping[int, State] | None = None) -> EngineResult:
        """Live through the stream; the ending sees every point, each border takes what is carried there."""
        ending, points = self.ending, {*self.ending.points, self.stream.length}
        for start, end in segments:
            if borders is not None and start in borders:
                borders[start].update(self.snapshot())
            self.forward(start, end)
            if end in points:
                ending.see(end, self.buffers.carried(self.stream))
        costs = self.kernel.source.costs
        if costs:
            ending.pay(self.buffers.trace[:, :, costs[0]].sum(1))
        final = self.buffers.carried(self.stream)
        loss, accuracy = ending.total(final)
        return EngineResult(loss, accuracy, self.gradient.to(self.case.theta.dtype), final, "none")

    def cotangents(self, segments: Segments, final: State) -> Iterator[tuple[int, int, State]]:
        """Segments from the last to the first, each with padded cotangents of its end,
        which the caller moves in place to its beginning."""
        moved = {name: padded(torch.zeros_like(value)) for name, value in final.items()}
        for start, end in reversed(segments):
            for name, part in self.ending.cotangents(end, self.stream.state).items():
                view = unpadded(moved[name], part)
                view += part
            yield start, end, moved

    def lost(self, final: State) -> Tensor:
        """(N,) runs whose matrices did not come back to what they were."""
        rebuilt = {n: v for n, v in self.buffers.carried(self.stream).items() if v.dim() == 3}
        return lost_runs(rebuilt, self.stream.state, final)

    def differentiated(self, result: EngineResult, name: str, lost: Tensor | None) -> EngineResult:
        gradient = (self.gradient / self.ending.scale).to(self.case.theta.dtype)
        return EngineResult(result.loss, result.accuracy, gradient, result.state, name, lost)

    def snapshot(self) -> State:
        return {name: value.clone() for name, value in self.buffers.state.items()}

    def restore(self, snapshot: State) -> None:
        for name, value in snapshot.items():
            self.buffers.state[name].copy_(value)

    def room_for(self, samples: int) -> State:
        """(N, samples, rows, stride) for every matrix that the step updates."""
        return {
            name: value.new_empty(value.shape[0], samples, *value.shape[1:])
            for name, value in self.buffers.weights.items()
        }


def _of(kept: State | None, run: int, first: int) -> State | None:
    return None if kept is None else {name: value[run, first:] for name, value in kept.items()}


@contextmanager
def _episode(case: Case, ending: Ending | None) -> Iterator[_Episode]:
    workers = max(1, min(case.stream.count, torch.get_num_threads()))
    with ThreadPoolExecutor(workers) as pool:
        yield _Episode(case, loaded(case.programs, case.stream), ending, pool)
