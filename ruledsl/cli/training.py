"""`train` and `resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ruledsl import runs
from ruledsl.cli.progress import TrainingProgress
from ruledsl.cli.settings import (
    SettingsError,
    default_folder,
    network_settings,
    read_coefficients,
    read_device,
    read_feedback,
    read_numbers,
    read_objective,
    read_positive,
    read_rule,
    read_sizes,
)
from ruledsl.ir.kinds import LOCALITY_NAMES
from ruledsl.meta import coefficient_names
from ruledsl.pipeline import Rule, apart, load
from ruledsl.registry import find
from ruledsl.report import draw_training
from ruledsl.settings import RunSpec, TrainSettings
from ruledsl.tasks import draw_task, open_dataset

INTERRUPTED = 130


def train(**options: Any) -> int:
    """Check everything, then train; the exit code."""
    sizes = read_sizes(options["sizes"])
    rule = read_rule(options["files"], options["rule_name"], options["allow"], len(sizes) - 1)
    rule = apart(rule, options["theta_per"], len(sizes) - 1)
    settings = _settings(options, sizes, rule)
    source = open_dataset(options["dataset"], options["data_root"], options["download"])
    # Before a folder is made for a run that cannot start:
    draw_task(source, settings.task, sizes, 0, 0, 0, settings.tasks, settings.output)
    names = coefficient_names(rule.program, settings)
    penalties = dict.fromkeys(read_numbers(options["l1"], "--l1"))  # the same λ twice would be no second run
    seeds = range(options["seed"], options["seed"] + options["seeds"])
    groups = _groups(options["files"], options["allow"]) if options["separately"] else [()]
    each = ((terms, l1, seed) for terms in groups for l1 in penalties for seed in seeds)
    specs = tuple(RunSpec(n, seed, l1, terms) for n, (terms, l1, seed) in enumerate(each))
    folder = options["out"] or default_folder(rule.name)
    config = runs.RunConfig(rule.name, options["dataset"], str(options["data_root"]), settings, specs, names)
    _announce(rule, config, options["quiet"])
    with TrainingProgress(names, settings.episodes, options["quiet"]) as progress:
        outcome = runs.start(folder, rule, config, source, progress)
    return _close(outcome)


def resume(folder: Path, episodes: int | None, quiet: bool) -> int:
    """Continue a run folder; the exit code."""
    config = runs.read_config(folder)
    total = episodes or config.settings.episodes
    _warn_of_versions(folder, "the episodes from here on may differ in their last bits")
    if not quiet and recorded_episodes(folder) >= total:
        click.echo(f"{folder} is finished; go on with `--episodes N`, N above {total}", err=True)
    with TrainingProgress(config.terms, total, quiet) as progress:
        outcome = runs.resume(folder, progress, episodes)
    return _close(outcome)


def rerun(folder: Path, out: Path | None, quiet: bool) -> int:
    """Train again from a run folder alone, and compare; the exit code (1 when the numbers differ)."""
    config = runs.read_config(folder)
    out = out or default_folder(folder.resolve().name, "again")
    _warn_of_versions(folder, "the numbers may differ for that")
    with TrainingProgress(config.terms, config.settings.episodes, quiet) as progress:
        outcome = runs.rerun(folder, out, progress)
    code = _close(outcome)
    difference = runs.first_difference(folder, out)
    if difference:
        click.echo(f"not the same numbers as {folder}: {difference}", err=True)
        return 1
    both = min(recorded_episodes(folder), outcome.episodes_done)
    click.echo(f"identical to {folder} in every number of {both} episodes × {len(config.runs)} runs")
    return code


def recorded_episodes(folder: Path) -> int:
    """Episodes that the checkpoint knows; 0 when there is none to read."""
    try:
        return int(runs.read_json(folder / "checkpoint.json")["episodes_done"])
    except (runs.RunError, KeyError, TypeError, ValueError):
        return 0


def _warn_of_versions(folder: Path, consequence: str) -> None:
    differences = runs.version_differences(folder)
    if differences:
        click.echo(f"warning: made with other versions ({'; '.join(differences)}): {consequence}", err=True)


def _groups(files: tuple[str, ...], allow: str) -> list[tuple[str, ...]]:
    """The terms of each file on its own: runs of one batch that differ in what they may use."""
    rules = [load(f, allow=LOCALITY_NAMES[allow]) for f in files]
    feedbacks = {r.definition.feedback for r in rules if r.definition.feedback}
    if len(feedbacks) > 1:
        raise SettingsError(
            "these rules ask for different feedback pathways, which cannot share a batch; train them apart"
        )
    return list(dict.fromkeys(r.names for r in rules))


def _known(options: dict[str, Any]) -> None:
    """Refuse names of plugins that do not exist before anything is made."""
    names = [("recipe", options["recipe"])] + ([("optimiser", options["optimiser"])] if options["optimiser"] else [])
    for kind, name in (*names, *(("diagnostic", d) for d in options["diagnostics"])):
        find(kind, name)


def _settings(options: dict[str, Any], sizes: tuple[int, ...], rule: Rule) -> TrainSettings:
    _known(options)
    return TrainSettings(
        sizes=sizes,
        labels=options["labels"],
        shots=options["shots"],
        queries=options["queries"],
        episodes=options["episodes"],
        learning_rate=read_positive(options["learning_rate"], "--lr"),
        feedback=read_feedback(options["feedback"], rule),
        recipe=options["recipe"],
        meta_batch=options["meta_batch"] or (2 if options["recipe"] == "robust" else 1),
        engine=options["engine"],
        backend=options["backend"],
        device=read_device(options["device"]),
        dtype=options["dtype"],
        threads=options["threads"],
        teacher=_teacher(options["teacher"], rule),
        tasks=options["tasks"],
        objective=read_objective(options["objective"]),
        optimiser=options["optimiser"] or "",
        diagnostics=options["diagnostics"],
        **network_settings(options),
    )


def _teacher(text: str | None, rule: Rule) -> tuple[float, ...]:
    """The planted Θ*; terms that are not named have none."""
    named = read_coefficients(rule, text, "--teacher")
    return tuple(named.get(name, 0.0) for name in rule.names) if text is not None else ()


def _announce(rule: Rule, config: runs.RunConfig, quiet: bool) -> None:
    for warning in rule.warnings:
        click.echo(warning.render(), err=True)
    if not quiet:
        count = f"{len(config.runs)} run{'s' if len(config.runs) > 1 else ''}"
        sizes = "-".join(map(str, config.settings.sizes))
        click.echo(
            f"training {rule.name} ({len(rule.names)} terms) on {config.dataset}, {sizes}, "
            f"feedback {config.settings.feedback}, {config.settings.episodes} episodes, {count}",
            err=True,
        )


def _close(outcome: runs.Outcome) -> int:
    """Draw the figures, print the result, say how to go on."""
    folder = outcome.folder
    if outcome.episodes_done:
        figures = draw_training(folder)
        _print_result(folder)
        click.echo(f"figures: {', '.join(str(p) for p in figures)}")
    if outcome.interrupted:
        click.echo(f"stopped after {outcome.episodes_done} episodes; continue with: ruledsl resume {folder}")
        return INTERRUPTED
    return 0


def _print_result(folder: Path) -> None:
    result = runs.read_json(folder / "result.json")
    window = min(result["averaged_over_last_episodes"], *(r["episodes"] for r in result["runs"]))
    for group in result["groups"]:
        head = "" if len(result["groups"]) == 1 else f"{group['label']}: "
        click.echo(f"{head}meta-accuracy, mean of the last {window} episodes: {_interval(group['meta_accuracy'])}")
        width = max(len(name) for name in group["theta"])
        for name, value in group["theta"].items():
            click.echo(f"  θ[{name}]{' ' * (width - len(name))}  {_interval(value, '.3e')}")
    refused = sum(r["diverged"] for r in result["runs"])
    if refused:
        total = sum(r["episodes"] for r in result["runs"])
        click.echo(f"{refused} of {total} episodes diverged or were not finite; their gradients did not move Θ")
        click.echo(f"where the first one went wrong: ruledsl diagnose {folder}")
    click.echo(f"run folder: {folder}")


def _interval(value: dict[str, float | None], form: str = ".3f") -> str:
    mean, half = value["mean"], value["half_width_95"]
    if mean is None:
        return "not finite"
    return f"{mean:{form}}" if half is None else f"{mean:{form}} ± {half:{form}} (95 %)"
