"""`evaluate`: Fig. 1 for any rule and any Θ."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ruledsl import runs
from ruledsl.cli.settings import (
    NETWORK_OPTIONS,
    SettingsError,
    default_folder,
    network_settings,
    read_coefficients,
    read_device,
    read_feedback,
    read_rule,
    read_sizes,
)
from ruledsl.meta import learning_curve
from ruledsl.network import programs_of
from ruledsl.pipeline import Rule, compile_rule
from ruledsl.report import draw_learning_curve
from ruledsl.settings import TrainSettings
from ruledsl.tasks import open_dataset


def evaluate(**options: Any) -> int:
    """Learning curves of naive networks; the exit code."""
    target = Path(options["rule_or_run"])
    run = target if (target / "config.toml").is_file() else None
    if run is not None:
        options |= _settings_of(run)
    sizes = read_sizes(options["sizes"])
    spec = str(target / "rule.rule") if run else options["rule_or_run"]
    rule = read_rule((spec,), None, options["allow"], len(sizes) - 1)
    feedback = read_feedback(options["feedback"], rule)
    device = read_device(options["device"])
    settings = TrainSettings(sizes=sizes, feedback=feedback, device=device, **network_settings(options))
    theta = _theta(rule, settings, run, options["given"])
    source = open_dataset(options["dataset"], Path(options["data_root"]), options["download"])
    folder = _output_folder(options["out"] or run or default_folder(rule.name, "evaluate"))
    runs.use_threads(options["threads"])
    seeds = range(options["seed"], options["seed"] + options["seeds"])

    def said(seen: int) -> None:
        if not options["quiet"]:
            click.echo(f"\r{seen} of {options['samples']} samples", nl=seen == options["samples"], err=True)

    curve = learning_curve(
        compile_rule(rule),
        list(theta.values()),
        settings,
        source,
        seeds,
        options["samples"],
        options["classes"],
        options["test_images"],
        said,
    )
    _write_csv(folder / "learning_curve.csv", curve.samples, seeds, curve.accuracy)
    chance = 1 / (options["classes"] or source.classes)
    title = f"{rule.name} on {options['dataset']}, feedback {feedback}, {len(seeds)} seeds"
    figures = draw_learning_curve(folder / "learning_curve.png", title, curve.samples, curve.accuracy, chance)
    click.echo("θ: " + "  ".join(f"{name} {value:.4g}" for name, value in theta.items()))
    click.echo(f"{'samples seen':>12}  accuracy")
    for number, samples in enumerate(curve.samples):
        mean, half = runs.mean_and_interval([row[number] for row in curve.accuracy])
        click.echo(f"{samples:>12}  {mean:.3f}" + ("" if math.isnan(half) else f" ± {half:.3f}"))
    click.echo(f"figures: {', '.join(map(str, figures))}")
    return 0


def _settings_of(run: Path) -> dict[str, Any]:
    """The run's own network and data, for every option that was not given."""
    config = runs.read_config(run)
    own = {
        "sizes": "-".join(map(str, config.settings.sizes)),
        **{name: getattr(config.settings, name) for name in ("feedback", *NETWORK_OPTIONS)},
        "dataset": config.dataset,
        "data_root": config.data_root,
    }
    context = click.get_current_context()
    return {name: value for name, value in own.items() if context.get_parameter_source(name) == ParameterSource.DEFAULT}


def _output_folder(folder: Path) -> Path:
    """The folder, made before anything is computed that could be lost."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{folder} cannot be used for results: {error.strerror or error}") from None
    return folder


def _theta(rule: Rule, settings: TrainSettings, run: Path | None, given: str | None) -> dict[str, float]:
    """Coefficients from the run's result, else the rule's own, with those given on the command line over them."""
    added = programs_of(rule.program, settings).pathway_coefficients
    theta = dict(zip(rule.names, rule.program.initial, strict=True)) | {c.name: c.start for c in added}
    named = read_coefficients(rule, given, "--theta", tuple(theta))
    if run is not None and set(named) != set(theta):
        groups = runs.read_json(run / "result.json").get("groups", [])
        if len(groups) != 1:
            labels = "; ".join(str(g["label"]) for g in groups) or "none"
            raise SettingsError(
                f"{run} must hold one group of runs, but holds: {labels}; give every coefficient with --theta"
            )
        theta |= {name: value["mean"] for name, value in groups[0]["theta"].items()}
    return theta | named


def _write_csv(path: Path, samples: tuple[int, ...], seeds: range, accuracy: tuple[tuple[float, ...], ...]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["seed", "samples", "accuracy"])
    for seed, row in zip(seeds, accuracy, strict=True):
        writer.writerows([seed, count, repr(value)] for count, value in zip(samples, row, strict=True))
    path.write_text(text.getvalue(), encoding="utf-8")
