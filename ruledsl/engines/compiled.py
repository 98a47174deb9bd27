"""The rebuild engine in compiled form: one thread per run, each run through its whole stream in C++."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ruledsl.backend import (
    CannotBuild,
    KernelSource,
    NotPrintable,
    is_built,
    load_library,
    print_kernel,
    stride_of,
)
from ruledsl.engines.base import Backend, Case, EngineResult, Learning
from ruledsl.engines.ending import Ending
from ruledsl.engines.rebuild import lost_runs
from ruledsl.network import State, StepPrograms, Stream

Sizes = tuple[tuple[str, int], ...]
_REAL = {torch.float32: "float", torch.float64: "double"}


@dataclass(frozen=True)
class Kernel:
    """A loaded library and the layout of its arguments."""

    library: ctypes.CDLL
    source: KernelSource


@lru_cache(maxsize=64)
def kernel_source(programs: StepPrograms, sizes: Sizes, real: str) -> KernelSource:
    """Generated code for a rule in a network of these sizes. Raises `NotPrintable`."""
    return print_kernel(programs.adjoint, dict(sizes), real)


def build_step(programs: StepPrograms, sizes: Sequence[int], dtype: torch.dtype) -> None:
    """Build the compiled form of a step on the CPU, if it is not yet (seconds).

    Raises:
        NotPrintable: this rule in this network has none.
        CannotBuild: there is no compiler, or it refused the code.
    """
    named = tuple((f"n{n}", size) for n, size in enumerate(sizes))
    load_library(kernel_source(programs, named, _REAL[dtype]).code)


@lru_cache(maxsize=64)
def _kernel(programs: StepPrograms, sizes: Sizes, real: str) -> Kernel | None:
    try:
        source = kernel_source(programs, sizes, real)
        return Kernel(load_library(source.code), source)
    except (CannotBuild, NotPrintable):
        return None


def forget_kernels() -> None:
    """Build from the programs anew: what a plugin does may have been replaced."""
    kernel_source.cache_clear()
    _kernel.cache_clear()


def _key(stream: Stream) -> Sizes:
    return tuple(stream.sizes.items())


def is_ready(programs: StepPrograms, stream: Stream) -> bool:
    """Whether a compiled form is there already, so that using it costs nothing."""
    if not _on_cpu(stream):
        return False
    try:
        return is_built(kernel_source(programs, _key(stream), _real(stream)).code)
    except NotPrintable:
        return False


def is_possible(programs: StepPrograms, stream: Stream) -> bool:
    """Whether this step can run compiled here; compiles it when it is not yet (seconds)."""
    return _on_cpu(stream) and _kernel(programs, _key(stream), _real(stream)) is not None


def _on_cpu(stream: Stream) -> bool:
    x = stream.signals["x"]
    return x.device.type == "cpu" and x.dtype in _REAL


def _real(stream: Stream) -> str:
    return _REAL[stream.signals["x"].dtype]


class CompiledLoss(Learning):
    """The objective alone, and learning alone, in C++."""

    name = "none"

    def can_run(self, case: Case, backend: Backend) -> bool:
        if backend == "eager" or case.programs.has_dense_rest:
            return False
        usable = is_ready if backend == "auto" else is_possible
        return usable(case.programs, case.stream)

    def run(self, case: Case, ending: Ending) -> EngineResult:
        ending.differentiable = True  # nothing is differentiated here, so no gradients of its own either
        return _run(case, ending, with_gradient=False)

    def advance(self, case: Case) -> State:
        stream, theta = case.stream, case.theta
        kernel = _loaded(case)
        buffers = _Buffers.of(kernel.source, stream, theta)
        with ThreadPoolExecutor(max(1, min(stream.count, torch.get_num_threads()))) as pool:
            call = kernel.library.forward
            list(pool.map(lambda run: call(*buffers.forward(run, 0, stream.length)), range(stream.count)))
        return buffers.carried(stream)


class CompiledRebuild(CompiledLoss):
    """As `Rebuild`. The kernels run from point to point, where objectives look at the weights."""

    name = "rebuild"

    def run(self, case: Case, ending: Ending) -> EngineResult:
        return _run(case, ending, with_gradient=True)


def _loaded(case: Case) -> Kernel:
    kernel = _kernel(case.programs, _key(case.stream), _real(case.stream))
    assert kernel is not None, "can_run() was not asked"
    return kernel


def _run(case: Case, ending: Ending, with_gradient: bool) -> EngineResult:
    stream, theta = case.stream, case.theta
    kernel = _loaded(case)
    state = _Buffers.of(kernel.source, stream, theta)
    points = sorted({*ending.points, stream.length} - {0})
    segments = list(itertools.pairwise([0, *points]))
    runs = range(stream.count)
    gradient = torch.zeros(stream.count, theta.shape[1], dtype=torch.float64)
    lost = None
    with ThreadPoolExecutor(max(1, min(stream.count, torch.get_num_threads()))) as pool:
        for start, end in segments:
            list(
                pool.map(lambda run, a=start, b=end: kernel.library.forward(*state.forward(run, a, b)), runs)
            )
            ending.see(end, state.carried(stream))
        if kernel.source.costs:
            ending.pay(state.trace[:, :, kernel.source.costs[0]].sum(1))
        final = state.carried(stream)
        loss, accuracy = ending.total(final)
        if with_gradient:
            for start, end, cotangents in _cotangents(segments, stream, ending, final):
                call = kernel.library.backward
                list(
                    pool.map(
                        lambda run, a=start, b=end, c=cotangents, f=call: f(
                            *state.backward(run, a, b, c, gradient)
                        ),
                        runs,
                    )
                )
            lost = lost_runs(state.carried(stream), stream.state, final) if stream.length else None
    gradient = (gradient / ending.scale).to(theta.dtype)
    return EngineResult(loss, accuracy, gradient, final, "rebuild" if with_gradient else "none", lost)


def _cotangents(
    segments: list[tuple[int, int]], stream: Stream, ending: Ending, final: State
) -> Iterator[tuple[int, int, State]]:
    """Segments from the last to the first, each with padded cotangents of its end,
    which the caller moves in place to its beginning."""
    padded = {name: _padded(torch.zeros_like(value)) for name, value in final.items()}
    for start, end in reversed(segments):
        for name, part in ending.cotangents(end, stream.state).items():
            padded[name][:, :, : part.shape[2]] += part
        yield start, end, padded


def _padded(matrix: Tensor) -> Tensor:
    """(N, rows, columns) with rows that start on whole lanes; the gap is zero."""
    columns = matrix.shape[2]
    wide = matrix.new_zeros(matrix.shape[0], matrix.shape[1], stride_of(columns))
    wide[:, :, :columns] = matrix
    return wide


@dataclass
class _Buffers:
    """Buffers of one call, with a pointer to each run's part from a sample on."""

    theta: Tensor
    x: Tensor
    targets: Tensor
    trace: Tensor
    matrices: dict[str, Tensor]

    @classmethod
    def of(cls, source: KernelSource, stream: Stream, theta: Tensor) -> _Buffers:
        named: Mapping[str, Tensor] = stream.state | stream.constants
        matrices: State = {name: _padded(named[name].detach()) for name in source.matrices}
        trace = torch.empty(stream.count, stream.length, source.trace_length, dtype=theta.dtype)
        x, targets = stream.signals["x"].contiguous(), stream.signals["target"].contiguous()
        return cls(theta.detach().contiguous(), x, targets, trace, matrices)

    def carried(self, stream: Stream) -> State:
        """What the step updates, as it is now, without padding."""
        return {n: self.matrices[n][:, :, : v.shape[2]].clone() for n, v in stream.state.items()}

    def forward(self, run: int, start: int, end: int) -> list[object]:
        """Arguments of `forward` for samples start … end − 1 of one run."""
        parts = [_pointer(self.theta[run]), ctypes.c_int(end - start)]
        parts += [_pointer(t[run, start:]) for t in (self.x, self.targets, self.trace)]
        return [*parts, *(_pointer(m[run]) for m in self.matrices.values())]

    def backward(self, run: int, start: int, end: int, cotangents: State, gradient: Tensor) -> list[object]:
        # In the order of the updates: that of the state, whatever else holds matrices.
        adjoints = [_pointer(cotangents[name][run]) for name in self.matrices if name in cotangents]
        return [*self.forward(run, start, end), *adjoints, _pointer(gradient[run])]


def _pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())
