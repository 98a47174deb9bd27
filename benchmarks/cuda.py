"""Captured episodes on CUDA beside the same steps launched one by one; nothing where no device is."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

import ruledsl
from benchmarks.work import draw_work, on_device, small_theta
from ruledsl.engines import Backend

BATCHES = (8, 64, 256)


@dataclass(frozen=True)
class Timing:
    """Seconds per episode of one batch size."""

    batch: int
    captured: float
    eager: float


def timings() -> list[Timing]:
    """The pool's meta-gradient at several batch sizes; empty without a CUDA device."""
    return [
        Timing(n, _seconds(n, "auto"), _seconds(n, "eager")) for n in BATCHES if torch.cuda.is_available()
    ]


def _seconds(batch: int, backend: Backend) -> float:
    F = ruledsl.compile_rule(ruledsl.load("pool"))
    work = on_device(draw_work(batch), "cuda")
    theta = small_theta(len(F.names), batch).cuda()
    best = float("inf")
    for _ in range(4):  # the first captures
        torch.cuda.synchronize()
        started = time.perf_counter()
        result = ruledsl.meta_gradient(F, theta, work, backend=backend)
        torch.cuda.synchronize()
        assert result.engine == "rebuild"
        best = min(best, time.perf_counter() - started)
    return best / batch
