"""result.json: Θ and accuracy of each run, and their means over the seeds of each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruledsl.runs.config import RunConfig
from ruledsl.runs.metrics import Metrics
from ruledsl.runs.names import RESULT
from ruledsl.runs.schema import RESULT_FILE, checked
from ruledsl.settings import ACCURACY, DIVERGED, LOSS, RunSpec
from ruledsl.statistics import Interval, finite_mean
from ruledsl.storage import read_json

LONGEST_WINDOW = 100


def late_episodes(count: int) -> int:
    """How many last episodes stand for the end of a training: a fifth of it, 100 at most."""
    return max(1, min(LONGEST_WINDOW, count // 5))


def read_result(folder: Path) -> dict[str, Any]:
    """The document of result.json. Raises `RunError` when it is missing or damaged."""
    return checked(folder / RESULT, RESULT_FILE, read_json(folder / RESULT))


@dataclass(frozen=True)
class Learned:
    """What the trainer knows when it stops: each run's Θ,
    and its accuracy on fresh tasks where that was measured."""

    theta: Mapping[int, Sequence[float]]
    fresh: Mapping[int, float]
    fresh_tasks: int = 0


def grouped(runs: Sequence[RunSpec]) -> dict[str, list[RunSpec]]:
    """Runs that differ in their seed only, under a label that says how the groups differ."""
    penalties = {r.l1 for r in runs}
    term_sets = {r.terms for r in runs}
    groups: dict[str, list[RunSpec]] = {}
    for run in runs:
        parts = [" + ".join(run.terms)] if len(term_sets) > 1 else []
        parts += [f"λ = {run.l1:g}"] if len(penalties) > 1 else []
        groups.setdefault(", ".join(parts) or "all runs", []).append(run)
    return groups


def recorded_groups(config: RunConfig, metrics: Metrics) -> dict[str, list[int]]:
    """Those runs of each group that have episodes, by its label."""
    found = {
        label: [r.run for r in rs if r.run in metrics.runs] for label, rs in grouped(config.runs).items()
    }
    return {label: runs for label, runs in found.items() if runs}


def summary(config: RunConfig, metrics: Metrics, learned: Learned, interrupted: bool) -> dict[str, Any]:
    """The document of result.json: `groups` with means and 95 % intervals over seeds, and every run."""
    rows = {r.run: _run_row(r, metrics, learned) for r in config.runs if r.run in metrics.runs}
    groups = [
        _group_row(label, [rows[r.run] for r in members if r.run in rows], metrics.terms)
        for label, members in grouped(config.runs).items()
    ]
    return {
        "finished": not interrupted,
        "averaged_over_last_episodes": late_episodes(metrics.episodes),
        "fresh_tasks": learned.fresh_tasks,
        "groups": groups,
        "runs": list(rows.values()),
    }


def _run_row(spec: RunSpec, metrics: Metrics, learned: Learned) -> dict[str, Any]:
    columns = metrics.runs[spec.run]
    late = -late_episodes(len(columns[LOSS]))
    fresh = {"fresh_accuracy": learned.fresh[spec.run]} if spec.run in learned.fresh else {}
    return {
        "run": spec.run,
        "seed": spec.seed,
        "l1": spec.l1,
        "terms": list(spec.terms or metrics.terms),
        "episodes": len(columns[LOSS]),
        **fresh,
        "meta_accuracy": finite_mean(columns[ACCURACY][late:]),
        "meta_loss": finite_mean(columns[LOSS][late:]),
        "diverged": int(sum(columns[DIVERGED])),
        "theta": dict(zip(metrics.terms, learned.theta[spec.run], strict=True)),
    }


def _group_row(label: str, rows: Sequence[Mapping[str, Any]], terms: Sequence[str]) -> dict[str, Any]:
    measured = [name for name in ("fresh_accuracy", "meta_accuracy") if rows and name in rows[0]]
    return {
        "label": label,
        "runs": [r["run"] for r in rows],
        **{name: Interval.of([r[name] for r in rows]).json() for name in measured},
        "theta": {
            name: Interval.of([r["theta"][name] for r in rows]).json()
            for name in terms
            if rows and name in rows[0]["terms"]
        },
    }
