"""`evaluate`: Fig. 1 for any rule and any Θ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ruledsl.runs import Run
from ruledsl.storage import make_folder
from ruledsl.studies import check_writable, default_folder
from ruledsl.studies import evaluate as evaluate_rule


def evaluate(target: str, out: Path | None, quiet: bool, given: dict[str, Any]) -> None:
    """Evaluate, write the curve, print it."""
    run = Run(Path(target))
    stem = Path(target.partition(":")[0]).stem
    folder = out or (run.folder if run.exists else default_folder(stem, "evaluate"))
    check_writable(folder)  # before anything is computed that could not be kept
    found = evaluate_rule(target, progress=not quiet, **given)
    found.save(make_folder(folder))
    click.echo("θ: " + "  ".join(f"{name} {value:.4g}" for name, value in found.theta.items()))
    click.echo(f"{'samples seen':>12}  accuracy")
    for samples, accuracy in zip(found.curve.samples, found.accuracy, strict=True):
        click.echo(f"{samples:>12}  {accuracy.text('.3f')}")
    click.echo(f"{'chance':>12}  {found.chance:.3f}")
    click.echo(f"figures: {', '.join(map(str, found.plot(folder)))}")
