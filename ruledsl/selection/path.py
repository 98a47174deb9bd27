"""The sparsity path of a training: what each penalty leaves, and how often over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruledsl.errors import RunError
from ruledsl.runs import Run
from ruledsl.statistics import Interval

STABLE = 0.5
"""A term survives a penalty when its coefficient is not zero, with one sign,
in more than this share of the seeds."""


@dataclass(frozen=True)
class PathPoint:
    """The runs of one λ. `survives` is the share of seeds whose θ is not zero and has the commoner sign."""

    l1: float
    seeds: int
    accuracy: Interval
    """Over seeds, penalty in place."""
    survives: Mapping[str, float]
    theta: Mapping[str, float]
    """Means over seeds."""

    @property
    def support(self) -> tuple[str, ...]:
        """The terms that are stable over seeds."""
        return tuple(name for name, share in self.survives.items() if share > STABLE)


def sparsity_path(run: Run) -> list[PathPoint]:
    """The points of a finished training, by growing λ.

    Raises `RunError` for a folder that is no finished training of one set of terms.
    """
    config, result = run.config, run.result
    if not result.get("finished"):
        raise RunError(f"{run.folder} is not finished; go on with `resume {run.folder}` first")
    if len({r.terms for r in config.runs}) > 1:
        raise RunError(
            f"{run.folder} trained several sets of terms; `select` needs one pool, trained without "
            f"--separately"
        )
    penalties = sorted({r["l1"] for r in result["runs"]})
    return [
        _point(config.terms, [r for r in result["runs"] if r["l1"] == penalty], penalty)
        for penalty in penalties
    ]


def _point(terms: Sequence[str], rows: Sequence[Mapping[str, Any]], penalty: float) -> PathPoint:
    values = {name: [float(r["theta"][name] or 0.0) for r in rows] for name in terms}
    return PathPoint(
        penalty,
        len(rows),
        Interval.of([float("nan") if r["meta_accuracy"] is None else r["meta_accuracy"] for r in rows]),
        {name: max(sum(v > 0 for v in vs), sum(v < 0 for v in vs)) / len(vs) for name, vs in values.items()},
        {name: sum(vs) / len(vs) for name, vs in values.items()},
    )


def stable_support(path: Sequence[PathPoint]) -> tuple[PathPoint, tuple[str, ...]]:
    """Where the search for a smaller rule starts:
    the smallest penalty above 0, or, without one, every term."""
    penalised = [p for p in path if p.l1 > 0]
    if penalised:
        return penalised[0], penalised[0].support
    return path[0], tuple(path[0].survives)
