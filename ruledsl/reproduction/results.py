"""What experiments leave: numbers by seed, from which everything that is claimed is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruledsl.runs import Metrics, Run, RunConfig


@dataclass(frozen=True)
class TrainingResult:
    """A finished training."""

    run: Run
    config: RunConfig
    metrics: Metrics

    @classmethod
    def read(cls, run: Run) -> TrainingResult:
        """From the run folder that an experiment left."""
        return cls(run, run.config, run.metrics)

    @property
    def seeds(self) -> dict[int, int]:
        """Seed → run."""
        return {r.seed: r.run for r in self.config.runs}

    def final_theta(self) -> dict[str, float]:
        """Means of the last fifth of the episodes, over all seeds."""
        found = {}
        last = max(1, self.config.settings.episodes // 5)
        for name in self.metrics.terms:
            late = [v for run in self.metrics.runs for v in self.metrics.theta(run, name)[-last:]]
            found[name] = sum(late) / len(late)
        return found


@dataclass(frozen=True)
class StreamResult:
    """Curves of one long stream: `accuracy[seed][point]`, `alpha[seed][point][ℓ]` at `samples[point]`."""

    samples: tuple[int, ...]
    accuracy: tuple[tuple[float, ...], ...]
    alpha: Sequence[Sequence[Sequence[float]]]
    theta: Mapping[str, float]
    classes: int
    """Of the data set: a guess among them is chance."""

    @classmethod
    def read(cls, document: Mapping[str, Any], classes: int) -> StreamResult:
        """From the file that an experiment left."""
        alpha = tuple(
            tuple(tuple(_number(a) for a in point) for point in curve) for curve in document["alpha"]
        )
        accuracy = tuple(tuple(curve) for curve in document["accuracy"])
        return cls(tuple(document["samples"]), accuracy, alpha, document["theta"], classes)


@dataclass(frozen=True)
class TheoryResult:
    """What was measured of an equation: a number for every seed under each name."""

    values: Mapping[str, tuple[float, ...]]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> TheoryResult:
        """From the file that an experiment left."""
        return cls({name: tuple(_number(v) for v in row) for name, row in document["values"].items()})


Result = TrainingResult | StreamResult | TheoryResult


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
