"""The rebuild engine in compiled form: one thread per run, each run through its whole stream in C++."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ruledsl.backend import build
from ruledsl.backend.cpp import KernelSource, NotPrintable, print_kernel, stride_of
from ruledsl.network.engines import EngineResult, StepPrograms, Stream, lost_runs, query_loss

Sizes = tuple[tuple[str, int], ...]
_REAL = {torch.float32: "float", torch.float64: "double"}


@dataclass(frozen=True)
class Kernel:
    """A loaded library and the layout of its arguments."""

    library: ctypes.CDLL
    source: KernelSource


@lru_cache(maxsize=64)
def kernel_source(programs: StepPrograms, sizes: Sizes, real: str) -> KernelSource | None:
    """Generated code for a rule in a network of these sizes; None where there is no fused form."""
    try:
        return print_kernel(programs.adjoint, dict(sizes), real)
    except NotPrintable:
        return None


@lru_cache(maxsize=64)
def _kernel(programs: StepPrograms, sizes: Sizes, real: str) -> Kernel | None:
    source = kernel_source(programs, sizes, real)
    if source is None:
        return None
    try:
        return Kernel(build.load(source.code), source)
    except build.CannotBuild:
        return None


def _key(stream: Stream) -> Sizes:
    return tuple(stream.sizes.items())


def is_ready(programs: StepPrograms, stream: Stream) -> bool:
    """Whether a compiled form is there already, so that using it costs nothing."""
    if stream.x.device.type != "cpu" or stream.x.dtype not in _REAL:
        return False
    source = kernel_source(programs, _key(stream), _REAL[stream.x.dtype])
    return source is not None and build.is_built(source.code)


def is_possible(programs: StepPrograms, stream: Stream) -> bool:
    """Whether this step can run compiled here; compiles it when it is not yet (seconds)."""
    if stream.x.device.type != "cpu" or stream.x.dtype not in _REAL:
        return False
    return _kernel(programs, _key(stream), _REAL[stream.x.dtype]) is not None


def compiled_engine(
    programs: StepPrograms, stream: Stream, theta: Tensor, x_query: Tensor, y_query: Tensor
) -> EngineResult:
    """As `rebuild_engine`."""
    kernel = _kernel(programs, _key(stream), _REAL[stream.x.dtype])
    assert kernel is not None, "is_possible() was not asked"
    count, length = stream.x.shape[:2]
    state = _State.of(kernel.source, stream, theta)
    with ThreadPoolExecutor(max(1, min(count, torch.get_num_threads()))) as pool:
        list(pool.map(lambda run: kernel.library.forward(*state.forward_arguments(run)), range(count)))
        final = state.weights(stream)
        query = query_loss(programs, final, x_query, y_query)
        adjoints = [_padded(g) for g in query.gradient]
        gradient = torch.zeros(count, theta.shape[1], dtype=torch.float64)
        list(
            pool.map(
                lambda run: kernel.library.backward(*state.backward_arguments(run, adjoints, gradient)), range(count)
            )
        )
    lost = lost_runs(state.weights(stream), stream.weights, final) if length else None
    return EngineResult(query.loss, query.accuracy, gradient.to(theta.dtype), final, "rebuild", lost)


def _padded(matrix: Tensor) -> Tensor:
    """(N, rows, columns) with rows that start on whole lanes; the gap is zero."""
    columns = matrix.shape[2]
    wide = matrix.new_zeros(matrix.shape[0], matrix.shape[1], stride_of(columns))
    wide[:, :, :columns] = matrix
    return wide


@dataclass
class _State:
    """Buffers of one call, with a pointer to each run's part."""

    theta: Tensor
    x: Tensor
    targets: Tensor
    trace: Tensor
    matrices: list[Tensor]

    @classmethod
    def of(cls, source: KernelSource, stream: Stream, theta: Tensor) -> _State:
        count, length = stream.x.shape[:2]
        named: Mapping[str, Tensor] = {f"W{n}": w for n, w in enumerate(stream.weights)} | {
            f"B{n}": b for n, b in enumerate(stream.feedback or [])
        }
        matrices = [_padded(named[name].detach()) for name in source.matrices]
        trace = torch.empty(count, length, source.trace_length, dtype=theta.dtype)
        return cls(theta.detach().contiguous(), stream.x.contiguous(), stream.targets.contiguous(), trace, matrices)

    def weights(self, stream: Stream) -> list[Tensor]:
        """The weights as they are now, without padding."""
        return [m[:, :, : w.shape[2]].clone() for m, w in zip(self.matrices, stream.weights, strict=False)]

    def forward_arguments(self, run: int) -> list[object]:
        parts = [_pointer(self.theta, run), ctypes.c_int(self.x.shape[1]), _pointer(self.x, run)]
        parts += [_pointer(self.targets, run), _pointer(self.trace, run)]
        return [*parts, *(_pointer(m, run) for m in self.matrices)]

    def backward_arguments(self, run: int, adjoints: list[Tensor], gradient: Tensor) -> list[object]:
        return [*self.forward_arguments(run), *(_pointer(a, run) for a in adjoints), _pointer(gradient, run)]


def _pointer(tensor: Tensor, run: int) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr() + run * tensor.stride(0) * tensor.element_size())
