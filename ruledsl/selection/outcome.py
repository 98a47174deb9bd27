"""What a selection leaves behind: selection.json with all the evidence, and the rule as a `.rule` file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruledsl.pipeline import Rule, rule_source
from ruledsl.runs import RunConfig, RunError, mean_and_interval, read_json, write_json
from ruledsl.storage import write_atomically

if TYPE_CHECKING:
    from ruledsl.selection.path import PathPoint
    from ruledsl.selection.search import Fit, Plan, Round


def selected_rule(rule: Rule, theta: Mapping[str, float], comment: str) -> str:
    """A `.rule` text with the terms named in `theta`, each starting at its value; held ones stay held.

    Raises `ValueError` when no term is left: a rule needs one.
    """
    if not theta:
        raise ValueError("a rule needs at least one term")
    kept = tuple(
        t if not t.trainable else replace(t, settings=replace(t.settings, init=float(f"{theta[t.name]:.6g}")))
        for t in rule.definition.terms
        if t.name in theta
    )
    definition = replace(rule.definition, name=f"{rule.name}_selected".replace("+", "_"), terms=kept)
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    return lines + rule_source(definition)


def write_selection(
    out: Path,
    folder: Path,
    rule: Rule,
    config: RunConfig,
    plan: Plan,
    path: Sequence[PathPoint],
    start: PathPoint,
    rounds: Sequence[Round],
    full: Fit,
    smaller: Sequence[Fit],
    chosen: Fit,
    knocked: Mapping[str, Fit],
) -> dict[str, Any]:
    """Write selection.json and selected.rule; the document."""
    document: dict[str, Any] = {
        "run": folder.name,
        "rule": rule.name,
        "dataset": config.dataset,
        "plan": asdict(plan),
        "path": [
            {
                "l1": p.l1,
                "seeds": p.seeds,
                "meta_accuracy": _interval(p.accuracy),
                "survives": dict(p.survives),
                "support": list(p.support),
            }
            for p in path
        ],
        "started_from_l1": start.l1,
        "rounds": [asdict(r) for r in rounds],
        "refits": [_fit(f, full) for f in (full, *smaller)],
        "chosen": _fit(chosen, full),
        "knock_outs": {name: _fit(f, chosen) for name, f in knocked.items()},
    }
    write_json(out / "selection.json", document)
    if chosen.terms:
        mean, half = mean_and_interval(chosen.accuracy)
        comment = (
            f"Selected from {rule.name} on {config.dataset} ({len(chosen.accuracy)} seeds): the smallest rule within\n"
            f"{plan.tolerance:g} ({plan.measure}) of the best; refitted meta-accuracy {mean:.3f} ± {half:.3f} (95 %)."
        )
        text = selected_rule(rule, {name: mean for name, (mean, _) in chosen.theta.items()}, comment)
        write_atomically(out / "selected.rule", lambda file: file.write(text.encode("utf-8")))
    return document


def _fit(fit: Fit, reference: Fit) -> dict[str, Any]:
    return {
        "terms": list(fit.terms),
        "score": fit.mean,
        "meta_accuracy": _interval(mean_and_interval(fit.accuracy)),
        "difference": _interval(fit.against(reference)),
        "theta": {name: _interval(value) for name, value in fit.theta.items()},
    }


def _interval(value: tuple[float, float]) -> dict[str, float]:
    return {"mean": value[0], "half_width_95": value[1]}


def read_selection(folder: Path) -> dict[str, Any]:
    """The document of a selection folder; raises `RunError` when it holds none that is finished."""
    if not (folder / "selection.json").exists():
        raise RunError(f"{folder} holds no finished selection")
    return read_json(folder / "selection.json")
