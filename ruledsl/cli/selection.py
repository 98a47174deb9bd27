"""`select`: from a trained pool to a sparse rule."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ruledsl import runs
from ruledsl.cli.progress import TrainingProgress
from ruledsl.cli.training import INTERRUPTED
from ruledsl.selection import Plan, Stage, select
from ruledsl.settings import EpisodeRecord


def run(folder: Path, out: Path | None, plan: Plan, quiet: bool) -> int:
    """Select, print the evidence, say where the rule is; the exit code."""
    out = out or folder / "selection"
    names = runs.read_config(folder).terms
    try:
        with contextlib.ExitStack() as stack:
            document = select(folder, out, plan, _Progress(names, quiet, stack))
    except KeyboardInterrupt:
        click.echo(f"stopped; go on with: ruledsl select {folder}")
        return INTERRUPTED
    _print(document)
    if document["chosen"]["terms"]:
        click.echo(f"the rule: {out / 'selected.rule'}")
    click.echo(f"the evidence: {out / 'selection.json'}")
    return 0


class _Progress:
    """One progress line per stage."""

    def __init__(self, names: Sequence[str], quiet: bool, stack: contextlib.ExitStack) -> None:
        self.names, self.quiet, self.stack = names, quiet, stack
        self.stage: Stage | None = None
        self.line: TrainingProgress | None = None

    def __call__(self, stage: Stage, records: Sequence[EpisodeRecord]) -> None:
        if stage != self.stage or self.line is None:
            self.stack.close()
            if not self.quiet:
                click.echo(f"{stage.name}: {stage.text}, {len(records)} runs", err=True)
            self.stage = stage
            self.line = self.stack.enter_context(TrainingProgress(self.names, stage.episodes, self.quiet))
        self.line(records)


def _print(document: dict[str, Any]) -> None:
    console = Console()
    path = Table(title="sparsity path (penalty in place)", box=None)
    for head in ("λ", "accuracy", "stable terms (share of seeds)"):
        path.add_column(head)
    for point in document["path"]:
        kept = ", ".join(f"{name} {share:.0%}" for name, share in point["survives"].items() if share > 0)
        path.add_row(f"{point['l1']:g}", interval(point["meta_accuracy"]), kept or "none")
    console.print(path)
    for step in document["rounds"]:
        scores = ", ".join(f"{name} {score:.3f}" for name, score in step["without"].items())
        click.echo(f"{len(step['terms'])} terms, {step['score']:.3f}; without {scores}: {step['dropped']} goes")
    refits = Table(title="refitted from scratch without penalty", box=None)
    for head in ("terms", "accuracy", "against the full pool", ""):
        refits.add_column(head)
    for fit in document["refits"]:
        mark = "← chosen" if fit["terms"] == document["chosen"]["terms"] else ""
        names = " + ".join(fit["terms"]) or "none"
        refits.add_row(names, interval(fit["meta_accuracy"]), interval(fit["difference"], "+.3f"), mark)
    console.print(refits)
    if document["knock_outs"]:
        table = Table(title="the chosen rule, and what each of its terms is worth", box=None)
        for head in ("term", "θ", "accuracy without it", "difference"):
            table.add_column(head)
        for name, fit in document["knock_outs"].items():
            theta = interval(document["chosen"]["theta"][name], ".3e")
            table.add_row(name, theta, interval(fit["meta_accuracy"]), interval(fit["difference"], "+.3f"))
        console.print(table)
    if not document["chosen"]["terms"]:
        click.echo("no term is worth keeping: learning nothing does as well")


def interval(value: dict[str, float | None], form: str = ".3f") -> str:
    """`0.707 ± 0.005`, the 95 % half-width behind the mean."""
    mean, half = value["mean"], value["half_width_95"]
    if mean is None:
        return "not finite"
    return f"{mean:{form}}" if half is None else f"{mean:{form}} ± {half:{form.lstrip('+')}}"
