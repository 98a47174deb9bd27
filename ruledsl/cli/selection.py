"""`select`: from a trained pool to a sparse rule."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ruledsl.cli.stages import StageProgress
from ruledsl.runs import open_run
from ruledsl.selection import SELECTED, SELECTION, Plan
from ruledsl.selection import select as search
from ruledsl.statistics import Interval
from ruledsl.stopping import INTERRUPTED
from ruledsl.studies import crews, portioned


def select(folder: Path, out: Path | None, executor: str, quiet: bool, given: Mapping[str, Any]) -> int:
    """Select, print the evidence, say where the rule is; the exit code."""
    run, out = open_run(folder), out or folder / "selection"
    try:
        with contextlib.ExitStack() as stack, crews(executor) as hired:
            plan = Plan(**{**given, "at_once": portioned(executor, given.get("at_once", 0))})
            progress = StageProgress(run.config.terms, quiet, stack)
            document = search(run, out, plan, progress, hired)
    except KeyboardInterrupt:
        click.echo("stopped; the same command goes on where this one was")
        return INTERRUPTED
    _print(document)
    if document["chosen"]["terms"]:
        click.echo(f"the rule: {out / SELECTED}")
    click.echo(f"the evidence: {out / SELECTION}")
    return 0


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title, box=None)
    for head in heads:
        table.add_column(head)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _text(document: Mapping[str, Any], form: str = ".3f") -> str:
    return Interval.read(document).text(form)


def _print(document: dict[str, Any]) -> None:
    points = []
    for point in document["path"]:
        kept = ", ".join(f"{name} {share:.0%}" for name, share in point["survives"].items() if share > 0)
        points.append((f"{point['l1']:g}", _text(point["meta_accuracy"]), kept or "none"))
    _table("sparsity path (penalty in place)", ("λ", "accuracy", "stable terms (share of seeds)"), points)
    for step in document["rounds"]:
        scores = ", ".join(f"{name} {score:.3f}" for name, score in step["without"].items())
        click.echo(
            f"{len(step['terms'])} terms, {step['score']:.3f}; without {scores}: {step['dropped']} goes"
        )
    chosen, refits = document["chosen"], []
    for fit in document["refits"]:
        mark = "← chosen" if fit["terms"] == chosen["terms"] else ""
        names = " + ".join(fit["terms"]) or "none"
        refits.append((names, _text(fit["meta_accuracy"]), _text(fit["difference"], "+.3f"), mark))
    _table(
        "refitted from scratch without penalty", ("terms", "accuracy", "against the full pool", ""), refits
    )
    if document["knock_outs"]:
        rows = [
            (
                name,
                _text(chosen["theta"][name], ".3e"),
                _text(fit["meta_accuracy"]),
                _text(fit["difference"], "+.3f"),
            )
            for name, fit in document["knock_outs"].items()
        ]
        heads = ("term", "θ", "accuracy without it", "difference")
        _table("the chosen rule, and what each of its terms is worth", heads, rows)
    if not chosen["terms"]:
        click.echo("no term is worth keeping: learning nothing does as well")
