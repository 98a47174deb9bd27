"""Compiled steps: built once, kept, and called with the buffers of a stream."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ruledsl.backend import (
    CannotBuild,
    Inputs,
    KernelSource,
    NotPrintable,
    is_built,
    load_library,
    print_kernel,
    stride_of,
)
from ruledsl.engines.traces import forget_traces, take_trace
from ruledsl.ir import InternalError, Slot
from ruledsl.network import State, StepPrograms, Stream

Sizes = tuple[tuple[str, int], ...]
IN_HAND = 2
"""Samples that a step has in hand: a sample and the next one."""
_REAL = {torch.float32: "float", torch.float64: "double"}


@dataclass(frozen=True)
class Kernel:
    """A loaded library and the layout of its arguments."""

    library: ctypes.CDLL
    source: KernelSource


@lru_cache(maxsize=64)
def kernel_source(programs: StepPrograms, sizes: Sizes, real: str) -> KernelSource:
    """Generated code for a rule in a network of these sizes. Raises `NotPrintable`."""
    return print_kernel(programs.adjoint, dict(sizes), real, tuple(programs.further_signals))


def build_step(programs: StepPrograms, sizes: Sequence[int], dtype: torch.dtype) -> None:
    """Build the compiled form of a step on the CPU, if it is not yet (seconds).

    Raises:
        NotPrintable: this rule in this network has none.
        CannotBuild: there is no compiler, or it refused the code.
    """
    named = tuple((f"n{n}", size) for n, size in enumerate(sizes))
    load_library(*kernel_source(programs, named, _REAL[dtype]).units)


@lru_cache(maxsize=64)
def _kernel(programs: StepPrograms, sizes: Sizes, real: str) -> Kernel | None:
    try:
        source = kernel_source(programs, sizes, real)
        return Kernel(load_library(*source.units), source)
    except (CannotBuild, NotPrintable):
        return None


def forget_kernels() -> None:
    """Build from the programs anew: what a plugin does may have been replaced."""
    kernel_source.cache_clear()
    _kernel.cache_clear()
    forget_traces()


def _key(stream: Stream) -> Sizes:
    return tuple(stream.sizes.items())


def is_ready(programs: StepPrograms, stream: Stream) -> bool:
    """Whether a compiled form is there already, so that using it costs nothing."""
    if not _on_cpu(stream):
        return False
    try:
        return is_built(*kernel_source(programs, _key(stream), _real(stream)).units)
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


def loaded(programs: StepPrograms, stream: Stream) -> Kernel:
    """The compiled form of a step of which `is_possible` or `is_ready` said that there is one."""
    kernel = _kernel(programs, _key(stream), _real(stream))
    if kernel is None:
        raise InternalError("a compiled step was asked for that cannot be built")
    return kernel


def _padded(value: Tensor, turned: bool = False) -> Tensor:
    """(N, rows, columns), or transposed, with rows that start on whole lanes; the gap is zero. Vectors (N, n)
    as they are."""
    if value.dim() == 2:
        return value.contiguous().clone()
    if turned:
        value = value.mT
    columns = value.shape[2]
    wide = value.new_zeros(value.shape[0], value.shape[1], stride_of(columns))
    wide[:, :, :columns] = value
    return wide


@dataclass
class Buffers:
    """Buffers of one call, with a pointer to each run's part from a sample on."""

    inputs: Inputs
    theta: Tensor
    present: Tensor
    x: Tensor
    targets: Tensor
    trace: Tensor
    """(N, samples, numbers): what is saved of each sample, or of those in hand."""
    forgets: bool
    """Whether it is of those in hand."""
    state: State
    """What the step updates, in the order of the arguments: matrices padded, then vectors."""
    matrices: State
    constants: State
    signals: State

    @classmethod
    def of(
        cls,
        source: KernelSource,
        stream: Stream,
        theta: Tensor,
        present: Tensor | None = None,
        forgets: bool = False,
    ) -> Buffers:
        """`present` (N, R) says which coefficients a run has: all by default, and in any case what is not
        0. With `forgets` nothing is kept for `backward`; what samples cost is."""
        given, named = source.inputs, stream.state | stream.constants
        forgets = forgets and not source.costs
        held = min(stream.length, IN_HAND) if forgets else stream.length
        trace = take_trace(source, stream.count, held, theta.dtype)
        there = torch.ones(theta.shape, dtype=torch.bool) if present is None else present | (theta != 0)
        return cls(
            given, theta.detach().contiguous(), there.contiguous(), stream.signals["x"].contiguous(),
            stream.signals["target"].contiguous(), trace, forgets,
            {name: _padded(named[name].detach(), given.is_turned(name)) for name in given.carried},
            {name: _padded(named[name].detach(), given.is_turned(name)) for name in given.matrices},
            {name: named[name].detach().contiguous() for name in given.constants},
            {name: stream.signals[name].detach().contiguous() for name in given.signals},
        )  # fmt: skip

    def carried(self, stream: Stream) -> State:
        """What the step updates, as it is now, without padding."""
        return {
            name: self.unpadded(name, self.state[name], value).clone(memory_format=torch.contiguous_format)
            for name, value in stream.state.items()
        }

    def unpadded(self, name: str, value: Tensor, like: Tensor) -> Tensor:
        """A view of the entries that are not padding, as whoever reads them expects them."""
        if self.inputs.is_turned(Slot.read(name)):
            return value[..., : like.shape[-2]].mT
        return value[..., : like.shape[-1]]

    @property
    def looked_back(self) -> State:
        """The matrices of the state that `backward` needs as they were before each sample."""
        return {name: self.state[name] for name in self.inputs.weights if name in self.inputs.looked_back}

    def forward(
        self, run: int, start: int, end: int, kept: Mapping[str, Tensor] | None = None
    ) -> list[object]:
        """Arguments of `forward` for samples start … end − 1 of one run. `kept` (samples, rows, stride) takes
        the weights before each sample, of the matrices it has."""
        kept = kept or {}
        weights = {name: self.state[name] for name in self.inputs.weights}
        vectors = {name: self.state[name] for name in self.inputs.vectors}
        parts = [_pointer(self.theta, run), _pointer(self.present, run), ctypes.c_int(end - start)]
        parts += [_pointer(t, run, start) for t in (self.x, self.targets)]
        held = self.trace.shape[1] if self.forgets else self.trace.shape[1] - start
        parts += [_pointer(self.trace, run, 0 if self.forgets else start), ctypes.c_int(held)]
        for named in (weights, self.matrices, vectors, self.constants):
            parts += [_pointer(value, run) for value in named.values()]
        parts += [_pointer(value, run, start) for value in self.signals.values()]
        return [*parts, *(_pointer(kept[name]) if name in kept else ctypes.c_void_p() for name in weights)]

    def backward(
        self,
        run: int,
        start: int,
        end: int,
        cotangents: State,
        gradient: Tensor,
        kept: Mapping[str, Tensor] | None = None,
    ) -> list[object]:
        """Arguments of `backward`: cotangents are moved in place from the end to the start."""
        adjoints = [_pointer(cotangents[name], run) for name in self.state]
        return [*self.forward(run, start, end, kept), *adjoints, _pointer(gradient, run)]


def _pointer(tensor: Tensor, *place: int) -> ctypes.c_void_p:
    """To tensor[place]; indexing itself would take as long as some samples of a small network."""
    offset = sum(index * stride for index, stride in zip(place, tensor.stride(), strict=False))
    return ctypes.c_void_p(tensor.data_ptr() + offset * tensor.element_size())


def copy_run(run: int, target: State, given: State) -> None:
    """One run's part of every value, contiguous ones, by the thread that asks: torch would wake others for
    it, and these wait a while for more, in the way of whatever runs kernels."""
    for name, value in given.items():
        size = value[0].numel() * value.element_size()
        ctypes.memmove(_pointer(target[name], run), _pointer(value, run), size)
