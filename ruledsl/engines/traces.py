"""Where kernels keep what `backward` reads of every sample: megabytes a run, used again by the next episode.

Memory that is new is handed out page by page while kernels run, which takes as long as a tenth of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ruledsl.backend import KernelSource

_left: list[tuple[KernelSource, Tensor]] = []
"""The trace of the last episode and whose it was: at most one."""


def take_trace(source: KernelSource, runs: int, samples: int, dtype: torch.dtype) -> Tensor:
    """(runs, samples, numbers) of a kernel's trace. Gaps between values are 0, and no kernel writes there;
    the rest holds anything, or 0 if the kernel reads what it did not write."""
    count = runs * samples * source.trace_length
    try:
        owner, numbers = _left.pop()
    except IndexError:
        owner, numbers = None, torch.empty(0, dtype=dtype)
    if owner is not source or numbers.numel() < count:
        del numbers  # before there is a second one
        numbers = torch.zeros(count, dtype=dtype)
    elif source.reads_absent:
        numbers[:count].zero_()
    return numbers[:count].view(runs, samples, source.trace_length)


def leave_trace(source: KernelSource, trace: Tensor) -> None:
    """For the next episode of the same kernel; nobody must read it any more."""
    whole = torch.empty(0, dtype=trace.dtype).set_(trace.untyped_storage())
    _left[:] = [(source, whole)]


def forget_traces() -> None:
    """Free what is left."""
    _left.clear()
