"""`evaluate`: Fig. 1 for any rule and any Θ."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import click

from ruledsl import runs
from ruledsl.cli.settings import SettingsError, default_folder, read_device, read_rule, read_sizes
from ruledsl.language import closest
from ruledsl.meta import learning_curve
from ruledsl.pipeline import Rule, compile_rule
from ruledsl.report import draw_learning_curve
from ruledsl.settings import TrainSettings
from ruledsl.tasks import open_dataset


def evaluate(**options: Any) -> int:
    """Learning curves of naive networks; the exit code."""
    target = Path(options["rule_or_run"])
    is_run = (target / "config.toml").is_file()
    sizes = read_sizes(options["sizes"])
    spec = str(target / "rule.rule") if is_run else options["rule_or_run"]
    rule = read_rule((spec,), None, options["allow"], len(sizes) - 1)
    feedback = options["feedback"] or rule.definition.feedback or "fixed"
    if is_run:
        config = runs.read_config(target)
        feedback = options["feedback"] or config.settings.feedback
    theta = _theta(rule, target if is_run else None, options["given"])
    settings = TrainSettings(
        sizes=sizes, beta=options["beta"], feedback=feedback, device=read_device(options["device"])
    )
    source = open_dataset(options["dataset"], options["data_root"], options["download"])
    runs.use_threads(options["threads"])
    seeds = range(options["seed"], options["seed"] + options["seeds"])

    def said(seen: int) -> None:
        if not options["quiet"]:
            click.echo(f"\r{seen} of {options['samples']} samples", nl=seen == options["samples"], err=True)

    curve = learning_curve(
        compile_rule(rule),
        theta,
        settings,
        source,
        seeds,
        options["samples"],
        options["classes"],
        options["test_images"],
        said,
    )
    folder = options["out"] or (target if is_run else default_folder(rule.name, "evaluate"))
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(folder / "learning_curve.csv", curve.samples, seeds, curve.accuracy)
    chance = 1 / (options["classes"] or source.classes)
    title = f"{rule.name} on {options['dataset']}, feedback {feedback}, {len(seeds)} seeds"
    figures = draw_learning_curve(folder / "learning_curve.png", title, curve.samples, curve.accuracy, chance)
    click.echo("θ: " + "  ".join(f"{name} {value:.4g}" for name, value in zip(rule.names, theta, strict=True)))
    click.echo(f"{'samples seen':>12}  accuracy")
    for number, samples in enumerate(curve.samples):
        mean, half = runs.mean_and_interval([row[number] for row in curve.accuracy])
        click.echo(f"{samples:>12}  {mean:.3f}" + ("" if math.isnan(half) else f" ± {half:.3f}"))
    click.echo(f"figures: {', '.join(map(str, figures))}")
    return 0


def _theta(rule: Rule, run: Path | None, given: str | None) -> list[float]:
    """Coefficients from the run's result, else the rule's own, with those given on the command line over them."""
    theta = dict(zip(rule.names, rule.program.initial, strict=True))
    if run is not None:
        groups = runs.read_json(run / "result.json")["groups"]
        if len(groups) > 1:
            labels = "; ".join(g["label"] for g in groups)
            raise SettingsError(f"{run} holds several groups of runs ({labels}); give the coefficients with --theta")
        theta |= {name: value["mean"] for name, value in groups[0]["theta"].items()}
    for part in given.split(",") if given else []:
        name, _, value = part.partition("=")
        if name.strip() not in theta:
            near = closest(name.strip(), theta)
            raise SettingsError(
                f"--theta: `{name}` is not a term of {rule.name}" + (f"; did you mean `{near}`?" if near else "")
            )
        try:
            theta[name.strip()] = float(value)
        except ValueError:
            raise SettingsError(f"--theta: `{value}` is not a number") from None
    return list(theta.values())


def _write_csv(path: Path, samples: tuple[int, ...], seeds: range, accuracy: tuple[tuple[float, ...], ...]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["seed", "samples", "accuracy"])
    for seed, row in zip(seeds, accuracy, strict=True):
        writer.writerows([seed, count, repr(value)] for count, value in zip(samples, row, strict=True))
    path.write_text(text.getvalue(), encoding="utf-8")
