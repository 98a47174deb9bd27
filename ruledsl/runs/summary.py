"""What a training found: Θ and accuracy of each run, and their means over the seeds of each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruledsl.runs.folder import RunConfig
from ruledsl.runs.metrics import Metrics, read_metrics
from ruledsl.runs.statistics import mean_and_interval
from ruledsl.settings import RunSpec

AVERAGED_EPISODES = 100
"""Accuracies are reported as means over this many last episodes."""


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


def summary(
    folder: Path, config: RunConfig, learned: Mapping[int, Sequence[float]], interrupted: bool
) -> dict[str, Any]:
    """The document of result.json: `groups` with means and 95 % intervals over seeds, and every run."""
    metrics = read_metrics(folder)
    rows = {r.run: _run_row(r, metrics, learned[r.run]) for r in config.runs if r.run in metrics.runs}
    groups = [
        _group_row(label, [rows[r.run] for r in members if r.run in rows], metrics.terms)
        for label, members in grouped(config.runs).items()
    ]
    return {
        "finished": not interrupted,
        "averaged_over_last_episodes": AVERAGED_EPISODES,
        "groups": groups,
        "runs": list(rows.values()),
    }


def _run_row(spec: RunSpec, metrics: Metrics, theta: Sequence[float]) -> dict[str, Any]:
    columns = metrics.runs[spec.run]
    return {
        "run": spec.run,
        "seed": spec.seed,
        "l1": spec.l1,
        "terms": list(spec.terms or metrics.terms),
        "episodes": len(columns["episode"]),
        "meta_accuracy": mean_and_interval(columns["meta_accuracy"][-AVERAGED_EPISODES:])[0],
        "meta_loss": mean_and_interval(columns["meta_loss"][-AVERAGED_EPISODES:])[0],
        "diverged": int(sum(columns["diverged"])),
        "theta": dict(zip(metrics.terms, theta, strict=True)),
    }


def _group_row(label: str, rows: Sequence[Mapping[str, Any]], terms: Sequence[str]) -> dict[str, Any]:
    return {
        "label": label,
        "runs": [r["run"] for r in rows],
        "meta_accuracy": _interval([r["meta_accuracy"] for r in rows]),
        "theta": {
            name: _interval([r["theta"][name] for r in rows]) for name in terms if rows and name in rows[0]["terms"]
        },
    }


def _interval(values: Sequence[float]) -> dict[str, float]:
    mean, half = mean_and_interval(values)
    return {"mean": mean, "half_width_95": half}
