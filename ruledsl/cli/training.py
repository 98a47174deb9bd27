"""`train`, `resume` and `rerun`: what they say before and after."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ruledsl.errors import RunError, SettingsError
from ruledsl.progress import TrainingProgress
from ruledsl.runs import Run, Spec, open_run
from ruledsl.statistics import Interval
from ruledsl.stopping import INTERRUPTED
from ruledsl.studies import check_writable, crews, default_folder, read_config_file
from ruledsl.studies import train as train_rule
from ruledsl.wording import counted


def train(
    files: tuple[str, ...],
    name: str | None,
    config: Path | None,
    out: Path | None,
    executor: str,
    quiet: bool,
    given: dict[str, Any],
) -> int:
    """Train, draw, print the result; the exit code."""
    rules = [f if name is None or ":" in f else f"{f}:{name}" for f in files]
    if config is not None:
        asked, given = read_config_file(config, given)
        rules = rules or asked
    if not rules:
        raise SettingsError(
            "name a rule to train: a `.rule` file, or a rule of the search path (`ruledsl list`)"
        )

    def announce(_: Run, spec: Spec) -> None:
        if not quiet:
            click.echo(_announcement(spec), err=True)

    return close(train_rule(rules, out=out, progress=not quiet, executor=executor, started=announce, **given))


def resume(folder: Path, episodes: int | None, executor: str, other_backend: bool, quiet: bool) -> int:
    """Continue a run folder; the exit code."""
    run = open_run(folder)
    total = episodes or run.asked
    _warn_of_versions(run, "the episodes from here on may differ in their last bits")
    if not quiet and run.episodes >= total and episodes in (None, run.episodes):
        click.echo(f"{folder} is finished; go on with `--episodes N`, N above {run.episodes}", err=True)
    with crews(executor) as hired, TrainingProgress(run.config.terms, total, quiet) as progress:
        outcome = run.resume(episodes, progress, other_backend=other_backend, crews=hired)
    return close(Run(outcome.folder))


def rerun(folder: Path, out: Path | None, quiet: bool) -> int:
    """Train again from a run folder alone, and compare; the exit code (1 when the numbers differ)."""
    run = open_run(folder)
    again = Run(out or default_folder(folder.resolve().name, "again"))
    check_writable(again.folder)
    _ = run.metrics  # what is to be compared with must be there before hours are spent
    _warn_of_versions(run, "the numbers may differ for that")
    with TrainingProgress(run.config.terms, run.config.settings.episodes, quiet) as progress:
        outcome = run.rerun(again.folder, progress)
    code = close(again)
    difference = run.difference(again)
    if difference:
        click.echo(f"not the same numbers as {folder}: {difference}", err=True)
        return 1
    both = min(run.episodes, outcome.episodes_done)
    click.echo(f"identical to {folder} in every number of {both} episodes × {len(run.config.runs)} runs")
    return code


def _warn_of_versions(run: Run, consequence: str) -> None:
    differences = run.other_versions
    if differences:
        click.echo(f"warning: made with other versions ({'; '.join(differences)}): {consequence}", err=True)


def _announcement(spec: Spec) -> str:
    settings = spec.config.settings
    terms, runs = counted(len(spec.rule.names), "term"), counted(len(spec.config.runs), "run")
    outputs, classes = settings.sizes[-1], spec.source.classes
    shared = (
        f"; {classes} classes share {outputs} outputs, drawn anew for each task" if outputs < classes else ""
    )
    return (
        f"training {spec.rule.name} ({terms}) on {spec.config.dataset}, "
        f"{'-'.join(map(str, settings.sizes))}, feedback {settings.network.feedback}, "
        f"{counted(settings.episodes, 'episode')}, {runs}{shared}"
    )


def close(run: Run) -> int:
    """Draw the figures, print the result, say how to go on; the exit code."""
    if run.episodes:
        print_result(run)
        try:
            click.echo(f"figures: {', '.join(str(p) for p in run.plot())}")
        except (RunError, OSError) as error:  # the numbers are safe
            click.echo(f"warning: {error}", err=True)
    if run.state != "finished":
        click.echo(f"stopped after {run.episodes} episodes; continue with: ruledsl resume {run.folder}")
        return INTERRUPTED
    if run.refused == run.episodes * len(run.config.runs):
        click.echo(
            "error: every episode diverged or was not finite: Θ is where it started and says nothing. Try a "
            "smaller start (`[init = …]` in the rule), a smaller `--lr`, or `--recipe robust`",
            err=True,
        )
        return 1
    return 0


def print_result(run: Run) -> None:
    """Accuracy on tasks that were never trained on, accuracy at the end of the training, and Θ,
    of each group."""
    result = run.result
    window, tasks = result["averaged_over_last_episodes"], result.get("fresh_tasks", 0)
    for group in result["groups"]:
        head = "" if len(result["groups"]) == 1 else f"{group['label']}: "
        if "fresh_accuracy" in group:
            click.echo(f"{head}accuracy on {tasks} fresh tasks: {_interval(group['fresh_accuracy'])}")
        click.echo(
            f"{head}meta-accuracy, mean of the last {counted(window, 'episode')}: "
            f"{_interval(group['meta_accuracy'])}"
        )
        width = max((len(name) for name in group["theta"]), default=0)
        for name, value in group["theta"].items():
            click.echo(f"  θ[{name}]{' ' * (width - len(name))}  {_interval(value, '.3e')}")
    refused = sum(r["diverged"] for r in result["runs"])
    if refused:
        total = sum(r["episodes"] for r in result["runs"])
        click.echo(
            f"{refused} of {total} episodes diverged or were not finite; their gradients did not move Θ"
        )
        click.echo(f"where the first one went wrong: ruledsl diagnose {run.folder}")
    click.echo(f"run folder: {run.folder}")


def _interval(document: Mapping[str, Any], form: str = ".3f") -> str:
    value = Interval.read(document)
    return value.text(form) + ("" if math.isnan(value.half) else " (95 %)")
