"""Engines in compiled form: one thread per run, each run through its whole stream in C++."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import isqrt
from queue import Empty, SimpleQueue
from types import MappingProxyType

import torch
from torch import Tensor

from ruledsl.engines.base import Backend, Case, EngineResult, Learning
from ruledsl.engines.ending import Ending
from ruledsl.engines.kernels import Buffers, Kernel, copy_run, is_possible, is_ready, loaded
from ruledsl.engines.rebuild import lost_runs, rebuild_tolerance
from ruledsl.engines.traces import leave_trace
from ruledsl.network import State, Stream

Segments = list[tuple[int, int]]
CLOSE = 0.1
"""Part of what is accepted of a whole stream, for what is undone between two states that are known."""


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
        with _episode(case, alone=True) as episode:
            return episode.judged(ending, episode.segments(ending))

    def advance(self, case: Case) -> State:
        with _episode(case, alone=True) as episode:
            episode.forward(0, case.stream.length)
            return episode.buffers.carried(case.stream)


class CompiledRebuild(CompiledLoss):
    """As `Rebuild`. The kernels run from point to point, where objectives look at the weights."""

    name = "rebuild"

    def can_run(self, case: Case, backend: Backend) -> bool:
        return not case.programs.has_dense_rest and super().can_run(case, backend)

    def run(self, case: Case, ending: Ending) -> EngineResult:
        with _episode(case) as episode:
            segments = episode.segments(ending)
            result = episode.judged(ending, segments)
            backward = _Backward(episode, ending)
            episode.each(lambda run: backward.unwind(run, segments))
            lost = episode.lost(result.state) if case.stream.length else None
            return backward.result(result, self.name, lost)


class CompiledCheckpoint(CompiledLoss):
    """As `Checkpoint`: everything that a step updates is kept every √T samples.

    Where updates can be undone, they are, from one border to the one before, which must be met; rounding has
    no time to grow. Else, or where it was not met, the segment is run again, and leaves its weights before
    each sample in a room of its thread's.
    """

    name = "checkpoint"

    def run(self, case: Case, ending: Ending) -> EngineResult:
        stride = max(1, isqrt(case.stream.length))
        with _episode(case) as episode:
            borders = {start: episode.room() for start in range(0, case.stream.length, stride)}
            segments = episode.segments(ending, borders)
            result = episode.judged(ending, segments, borders)
            backward = _Backward(episode, ending, stride)
            borders[case.stream.length] = episode.copied()
            episode.each(lambda run: backward.unwind_all(run, segments, borders))
            return backward.result(result, self.name, None)


class _Episode:
    """A stream on its way through a kernel, one thread per run."""

    def __init__(self, case: Case, kernel: Kernel, buffers: Buffers, pool: ThreadPoolExecutor) -> None:
        self.case, self.kernel, self.buffers, self._pool = case, kernel, buffers, pool
        self.stream: Stream = case.stream

    def segments(self, ending: Ending, borders: Iterable[int] = ()) -> Segments:
        """From point to point of the ending, and from border to border."""
        points = sorted({*ending.points, *borders, self.stream.length} - {0})
        return list(itertools.pairwise([0, *points]))

    def each(self, work: Callable[[int], object]) -> None:
        """Do something for every run."""
        list(self._pool.map(work, range(self.stream.count)))

    def forward(self, start: int, end: int) -> None:
        self.each(lambda run: self._go(run, [(start, end)], {}))

    def judged(
        self, ending: Ending, segments: Segments, borders: Mapping[int, State] = MappingProxyType({})
    ) -> EngineResult:
        """Live through the stream; the ending sees every point, the last of them its end; each border takes
        what is carried there."""
        final = self.buffers.carried(self.stream) if not segments else {}
        for point in sorted({end for _, end in segments}.intersection(ending.points)):
            way = [pair for pair in segments if pair[1] <= point]
            segments = segments[len(way) :]
            self.each(lambda run, way=way: self._go(run, way, borders))
            final = self.buffers.carried(self.stream)
            ending.see(point, final)
        costs = self.kernel.source.costs
        if costs:
            ending.pay(self.buffers.trace[:, :, costs[0]].sum(1))
        loss, accuracy = ending.total(final)
        none = torch.zeros_like(self.case.theta)
        return EngineResult(loss, accuracy, none, final, "none")

    def _go(self, run: int, segments: Segments, borders: Mapping[int, State]) -> None:
        """One run through some segments."""
        for start, end in segments:
            if start in borders:
                copy_run(run, borders[start], self.buffers.state)
            self.kernel.library.forward(*self.buffers.forward(run, start, end))

    def room(self) -> State:
        """Room for what the step updates, padding and all."""
        return {name: torch.empty_like(value) for name, value in self.buffers.state.items()}

    def copied(self) -> State:
        """What the step updates, as it is now, padding and all."""
        return {name: value.clone() for name, value in self.buffers.state.items()}

    def lost(self, final: State) -> Tensor:
        """(N,) runs of which a matrix that was looked back at did not come back to what it was."""
        start, weights = self.stream.state, self.buffers.looked_back
        rebuilt = {name: self.buffers.unpadded(name, w, start[name]) for name, w in weights.items()}
        return lost_runs(rebuilt, start, final)


class _Backward:
    """Cotangents on their way from the last sample to the first, each run by itself."""

    def __init__(self, episode: _Episode, ending: Ending, stride: int = 0) -> None:
        self.episode, self.scale = episode, ending.scale
        self.buffers, self.kernel = episode.buffers, episode.kernel
        self.gradient = torch.zeros(episode.case.theta.shape, dtype=torch.float64)
        self.cotangents = {name: torch.zeros_like(value) for name, value in episode.buffers.state.items()}
        self.parts = {end: ending.cotangents(end, episode.stream.state) for end in ending.gradients}
        for name, part in self.parts.pop(ending.length, {}).items():
            self._own(name).add_(part)
        self.stride = stride
        self.hopeless: set[int] = set()
        """Runs of which a segment could not be undone: with the others it is not tried again."""
        self.rooms: SimpleQueue[State] = SimpleQueue()

    def _own(self, name: str) -> Tensor:
        """Cotangents of what a point of the ending saw: without padding."""
        return self.buffers.unpadded(name, self.cotangents[name], self.episode.stream.state[name])

    def unwind(self, run: int, segments: Segments, kept: State | None = None) -> None:
        """Through some segments of a run; `kept` holds the weights before each of their samples."""
        first = segments[0][0] if segments else 0
        for start, end in reversed(segments):
            for name, part in self.parts.get(end, {}).items():
                self._own(name)[run].add_(part[run])
            here = None if kept is None else {n: w[start - first :] for n, w in kept.items()}
            self.kernel.library.backward(
                *self.buffers.backward(run, start, end, self.cotangents, self.gradient, here)
            )

    def unwind_all(self, run: int, segments: Segments, borders: Mapping[int, State]) -> None:
        """Through all segments of a run, from border to border; the last one is the end."""
        for border, following in reversed(list(itertools.pairwise(sorted(borders)))):
            block = [pair for pair in segments if border <= pair[0] < following]
            self._unwind_to(run, block, borders[border], borders[following])

    def _unwind_to(self, run: int, segments: Segments, before: State, after: State) -> None:
        """As `unwind`, between two states that are known: undone, if that meets the one before."""
        if self.kernel.source.inputs.rebuilds and run not in self.hopeless:
            moving = [value[run] for value in self.cotangents.values()] + [self.gradient[run]]
            untouched = [value.clone() for value in moving]
            copy_run(run, self.buffers.state, after)
            self.unwind(run, segments)
            if self._meets(run, before, after):
                return
            self.hopeless.add(run)
            for value, saved in zip(moving, untouched, strict=True):
                value.copy_(saved)
        self._unwind_again(run, segments, before)

    def _meets(self, run: int, before: State, after: State) -> bool:
        """Whether all matrices of a run that are looked back at were rebuilt. By their largest entries: a
        maximum is the same to the bit however many threads look for it."""
        for name, value in self.buffers.looked_back.items():
            true, found = before[name][run], value[run]
            # Traces start from zero: their error is measured by what they grew to.
            size = float(true.abs().max()) or float(after[name][run].abs().max()) or 1.0
            if not float((found - true).abs().max()) / size <= CLOSE * rebuild_tolerance(true.dtype):
                return False
        return True

    def _unwind_again(self, run: int, segments: Segments, before: State) -> None:
        """As `unwind`, with weights that are kept on a second way through the segments from the state
        before them."""
        try:
            room = self.rooms.get_nowait()
        except Empty:
            room = {n: w.new_empty(self.stride, *w.shape[1:]) for n, w in self.buffers.looked_back.items()}
        copy_run(run, self.buffers.state, before)
        self.kernel.library.forward(*self.buffers.forward(run, segments[0][0], segments[-1][1], room))
        self.unwind(run, segments, room)
        self.rooms.put(room)

    def result(self, judged: EngineResult, name: str, lost: Tensor | None) -> EngineResult:
        gradient = (self.gradient / self.scale).to(judged.gradient.dtype)
        return EngineResult(judged.loss, judged.accuracy, gradient, judged.state, name, lost)


def _workers(stream: Stream) -> int:
    return max(1, min(stream.count, torch.get_num_threads()))


@contextmanager
def _episode(case: Case, alone: bool = False) -> Iterator[_Episode]:
    """`alone`: without gradients. Whatever is 0 need not be there then, and no sample is looked back upon but
    for what it costs."""
    with ThreadPoolExecutor(_workers(case.stream)) as pool:
        kernel = loaded(case.programs, case.stream)
        present = case.theta != 0 if alone else case.present
        buffers = Buffers.of(kernel.source, case.stream, case.theta, present, forgets=alone)
        yield _Episode(case, kernel, buffers, pool)
        leave_trace(kernel.source, buffers.trace)
