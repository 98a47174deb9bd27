"""What experiments leave: numbers by seed, from which everything that is claimed is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ruledsl.runs import Metrics, RunConfig


@dataclass(frozen=True)
class TrainingResult:
    """A finished training."""

    folder: Path
    config: RunConfig
    metrics: Metrics

    @property
    def seeds(self) -> dict[int, int]:
        """Seed → run."""
        return {r.seed: r.run for r in self.config.runs}

    def final_theta(self) -> dict[str, float]:
        """Means of the last fifth of the episodes, over all seeds."""
        found = {}
        last = max(1, self.config.settings.episodes // 5)
        for name in self.metrics.terms:
            late = [v for run in self.metrics.runs for v in self.metrics.column(run, f"theta[{name}]")[-last:]]
            found[name] = sum(late) / len(late)
        return found


@dataclass(frozen=True)
class StreamResult:
    """Curves of one long stream: `accuracy[seed][point]`, `alpha[seed][point][ℓ]` at `samples[point]`."""

    samples: tuple[int, ...]
    accuracy: tuple[tuple[float, ...], ...]
    alpha: tuple[tuple[tuple[float, ...], ...], ...]
    theta: Mapping[str, float]


@dataclass(frozen=True)
class TheoryResult:
    """What was measured of an equation: a number for every seed under each name."""

    values: Mapping[str, tuple[float, ...]]


Result = TrainingResult | StreamResult | TheoryResult
