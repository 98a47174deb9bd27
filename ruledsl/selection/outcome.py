"""What a selection leaves behind: selection.json with all the evidence, and the rule as a `.rule` file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ruledsl.errors import RunError
from ruledsl.evidence import refuse_edited_document, write_sealed
from ruledsl.rules import Rule, rule_source
from ruledsl.runs import INTERVAL, Run, checked
from ruledsl.selection.fits import Fit, Round
from ruledsl.selection.path import PathPoint
from ruledsl.selection.plan import Plan
from ruledsl.settings import checks
from ruledsl.statistics import Interval
from ruledsl.storage import read_json, write_text

FIT = checks.record(
    {
        "terms": checks.names,
        "score": checks.maybe_number,
        "meta_accuracy": INTERVAL,
        "difference": INTERVAL,
        "theta": checks.mapping(INTERVAL),
    }
)
POINT = checks.record(
    {
        "l1": checks.not_negative,
        "meta_accuracy": INTERVAL,
        "survives": checks.mapping(checks.number),
        "support": checks.names,
    }
)
ROUND = checks.record(
    {
        "terms": checks.names,
        "score": checks.maybe_number,
        "without": checks.mapping(checks.maybe_number),
        "dropped": checks.text,
    }
)
SELECTION_FILE = checks.record(
    {
        "plan": checks.record({"tolerance": checks.not_negative, "measure": checks.text}),
        "path": checks.each(POINT),
        "rounds": checks.each(ROUND),
        "refits": checks.each(FIT),
        "chosen": FIT,
        "knock_outs": checks.mapping(FIT),
    },
    {"run": checks.text, "rule": checks.text, "dataset": checks.text, "started_from_l1": checks.not_negative},
)

SELECTION, SELECTED = "selection.json", "selected.rule"


@dataclass(frozen=True)
class Outcome:
    """All the evidence of a finished selection."""

    path: Sequence[PathPoint]
    start: PathPoint
    rounds: Sequence[Round]
    full: Fit
    smaller: Sequence[Fit]
    chosen: Fit
    knocked: Mapping[str, Fit]

    def document(self, run: Run, plan: Plan) -> dict[str, Any]:
        """As selection.json holds it."""
        return {
            "run": run.folder.name,
            "rule": run.rule.name,
            "dataset": run.config.dataset,
            "plan": asdict(plan),
            "path": [
                {
                    "l1": p.l1,
                    "seeds": p.seeds,
                    "meta_accuracy": p.accuracy.json(),
                    "survives": dict(p.survives),
                    "support": list(p.support),
                }
                for p in self.path
            ],
            "started_from_l1": self.start.l1,
            "rounds": [asdict(r) for r in self.rounds],
            "refits": [_fit(f, self.full) for f in (self.full, *self.smaller)],
            "chosen": _fit(self.chosen, self.full),
            "knock_outs": {name: _fit(f, self.chosen) for name, f in self.knocked.items()},
        }


def selected_rule(rule: Rule, theta: Mapping[str, float], comment: str) -> str:
    """A `.rule` text with the terms named in `theta`, each starting at its value; held ones stay held.

    Raises `ValueError` when no term is left: a rule needs one.
    """
    if not theta:
        raise ValueError("a rule needs at least one term")
    kept = tuple(
        t if not t.trainable else replace(t, options=replace(t.options, init=float(f"{theta[t.name]:.6g}")))
        for t in rule.definition.terms
        if t.name in theta
    )
    definition = replace(rule.definition, name=f"{rule.name}_selected".replace("+", "_"), terms=kept)
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    return lines + rule_source(definition)


def write_selection(out: Path, run: Run, plan: Plan, found: Outcome) -> dict[str, Any]:
    """Write selection.json and, unless nothing is worth keeping, selected.rule; the document."""
    document = found.document(run, plan)
    write_sealed(out / SELECTION, document)
    chosen = found.chosen
    if chosen.terms:
        comment = (
            f"Selected from {run.rule.name} on {run.config.dataset} ({len(chosen.accuracy)} seeds): the "
            f"smallest rule "
            f"within\n{plan.tolerance:g} ({plan.measure}) of the best; refitted meta-accuracy "
            f"{Interval.of(chosen.accuracy).text('.3f')} (95 %)."
        )
        theta = {name: value.mean for name, value in chosen.theta.items()}
        write_text(out / SELECTED, selected_rule(run.rule, theta, comment))
    else:
        (out / SELECTED).unlink(missing_ok=True)
    return document


def _fit(fit: Fit, reference: Fit) -> dict[str, Any]:
    return {
        "terms": list(fit.terms),
        "score": fit.mean,
        "meta_accuracy": Interval.of(fit.accuracy).json(),
        "difference": fit.against(reference).json(),
        "theta": {name: value.json() for name, value in fit.theta.items()},
    }


def read_selection(folder: Path) -> dict[str, Any]:
    """The document of a selection folder.

    Raises `RunError` when it holds none that is finished, or one that was changed since.
    """
    if not (folder / SELECTION).exists():
        raise RunError(f"{folder} holds no finished selection")
    refuse_edited_document(folder / SELECTION)
    return checked(folder / SELECTION, SELECTION_FILE, read_json(folder / SELECTION))
