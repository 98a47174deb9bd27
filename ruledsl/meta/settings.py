"""Everything that decides what a meta-training computes, with the paper's values as defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ruledsl.tasks import TaskShape

PAPER_SIZES = (784, 170, 130, 100, 70, 47)


@dataclass(frozen=True)
class TrainSettings:
    """Settings shared by all runs of one training (Algorithm 1, Methods 4.1–4.3)."""

    sizes: tuple[int, ...] = PAPER_SIZES
    beta: float = 10.0
    labels: int = 5
    shots: int = 50
    queries: int = 10
    episodes: int = 500
    learning_rate: float = 1e-3
    feedback: str = "fixed"
    meta_batch: int = 1
    """Tasks whose gradients are averaged in one meta-step; 1 is the paper's."""
    engine: Literal["auto", "rebuild", "checkpoint", "autograd"] = "auto"
    backend: Literal["auto", "compiled", "eager"] = "auto"
    device: str = "cpu"
    dtype: Literal["float32", "float64"] = "float32"
    threads: int = 0
    """CPU threads; 0 takes every core."""

    @property
    def task(self) -> TaskShape:
        return TaskShape(self.labels, self.shots, self.queries)


@dataclass(frozen=True)
class RunSpec:
    """One independent run of a batch: its own seed and penalty λ."""

    run: int
    seed: int
    l1: float = 0.0
