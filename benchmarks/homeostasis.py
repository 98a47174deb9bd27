"""Feedback alignment in cells that hold their activity: what it takes, where it holds, what cells do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from torch.nn.functional import softplus

from benchmarks.discovered import VARIANTS, Column, transfer
from benchmarks.page import write_page
from benchmarks.training import Trained, seeded, train_in_memory
from ruledsl import Interval, Rule, TrainSettings, load, rule
from ruledsl.runs import use_threads
from ruledsl.statistics import finite_mean
from ruledsl.tasks import ImageSource, open_dataset

TARGET = 0.6757
"""Of the mean squared activity: the discovered rule's."""
FOUND = str(Path(__file__).parents[1] / "rules" / "discovered" / "homeostatic.rule")
F0 = "term f = -e_post * y_pre^T\n"


@dataclass(frozen=True)
class Variant:
    """A rule beside the discovered one, and how its network differs."""

    text: str
    says: str
    own: Mapping[str, Any]

    def rule(self) -> Rule:
        return rule(F0 + self.text) if "=" in self.text else load(self.text)


def _variants() -> dict[str, Variant]:
    start = "rule mine = f[init = 0.02] + "
    free = f"term up = 1_post * 1_pre^T\nterm down = (y_post .* y_post) * 1_pre^T\n{start}up + down"
    linear = f"term h = -(y_post - 0.82 * 1_post) * 1_pre^T\n{start}h[init = 0.0004]"
    bias = f"term h for bias = -(y_post .* y_post - {TARGET} * 1_post)\n{start}h[init = 0.02]"
    learned = f"term h for bias = -e_post\n{start}h"
    growth = f"term h = 1_post * 1_pre^T\n{start}h"
    return {
        "backprop": Variant("feedback_alignment", "", {"feedback": "symmetric"}),
        "feedback alignment": Variant("feedback_alignment", "", {}),
        "bio": Variant("bio", "", {}),
        "homeostatic": Variant(FOUND, "(y² − 0.68) 1ᵀ, two coefficients", {}),
        "target free": Variant(free, "y² 1ᵀ and 1 1ᵀ apart, from 0", {}),
        "linear": Variant(linear, "(y − 0.82) 1ᵀ in its place", {}),
        "in the bias": Variant(bias, "y² − 0.68 moves the bias only", {"bias": True}),
        "bias by its error": Variant(learned, "−e moves the bias, no homeostasis", {"bias": True}),
        "growth only": Variant(growth, "1 1ᵀ in its place, from 0", {}),
    }


SHOWN = ("backprop", "feedback alignment", "bio", "homeostatic")


def trained(
    variant: Variant, base: TrainSettings, seeds: int, source: ImageSource
) -> tuple[Trained, dict[str, float]]:
    """The training, and the mean of Θ over its seeds at the end."""
    known = variant.rule()
    settings = base.having(**{"feedback": known.definition.feedback or "fixed", **variant.own})
    found = train_in_memory(known, settings, seeded(seeds), source)
    late = max(1, settings.episodes // 5)
    theta = {
        name: finite_mean([r.theta[n] for rs in found.records.values() for r in rs[-late:]])
        for n, name in enumerate(known.names)
    }
    return found, theta


def activities(columns: Sequence[Column], base: TrainSettings, source: ImageSource, tasks: int) -> list[str]:
    """What learning leaves of the cells: by hidden layer, their mean squared activity over the queries, and
    how much it differs between cells."""
    rows = ["| rule | layer | mean of y² over cells | standard deviation over cells | slope σ′ below ½ |"]
    rows.append("|---|---|---|---|---|")
    depth = len(base.sizes) - 2
    for column in columns:
        found: list[list[list[float]]] = [[] for _ in range(depth)]
        for weights, queries in column.queried(base, source, tasks):
            y, beta = queries, base.network.beta
            for layer in range(depth):
                z = y @ weights[layer].transpose(1, 2)
                y = softplus(z, beta=beta)
                square = y.square().mean(1)  # (1, cells)
                low = (torch.sigmoid(beta * z) < 0.5).double().mean()
                found[layer].append([float(square.mean()), float(square.std()), float(low)])
        for layer, measured in enumerate(found, start=1):
            cells = [Interval.of(part).text(".2f") for part in zip(*measured, strict=True)]
            rows.append(f"| {column.name} | {layer} | " + " | ".join(cells) + " |")
    return rows


@click.command()
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option("--episodes", default=300, show_default=True)
@click.option("--seeds", default=5, show_default=True)
@click.option("--tasks", default=10, show_default=True)
@click.option("--threads", default=0, show_default=True)
@click.option("--elsewhere/--no-elsewhere", default=True, show_default=True, help="Also elsewhere.")
@click.option("--out", type=click.Path(path_type=Path), default=None)
def main(
    data_root: Path, episodes: int, seeds: int, tasks: int, threads: int, elsewhere: bool, out: Path | None
) -> None:
    """Train the discovered rule beside what lacks a part of it; then Θ elsewhere, and the cells."""
    use_threads(threads)
    base = TrainSettings.of(episodes=episodes, meta_batch=1, threads=threads, backend="compiled")
    source = open_dataset("emnist-bymerge/test", data_root)
    rows = ["| rule | | accuracy | angle to backprop | episodes refused | Θ |", "|---|---|---|---|---|---|"]
    columns = []
    for name, variant in _variants().items():
        found, theta = trained(variant, base, seeds, source)
        late = max(1, episodes // 5)
        shown = ", ".join(f"{value:.3g}" for value in theta.values())
        accuracy, angle = found.accuracy(late).text(".3f"), found.angle(late).text(".0f")
        rows.append(f"| {name} | {variant.says} | {accuracy} | {angle}° | {found.refused} | {shown} |")
        click.echo(rows[-1], err=True)
        if name in SHOWN:
            columns.append(Column(name, variant.rule(), theta, dict(variant.own)))

    def opened(data: str) -> ImageSource:
        return source if data == "@test" else open_dataset(data, data_root)

    first, *others = VARIANTS
    variants = {"as trained": VARIANTS[first], **{label: VARIANTS[label] for label in others}}
    further = transfer(columns, base, opened, seeds, tasks, variants) if elsewhere else []
    page = [
        "# Feedback alignment in cells that hold their activity",
        "",
        f"Every rule trained for {episodes} episodes with {seeds} seeds on EMNIST by-merge (test), recipe "
        "`robust`, one task an episode;",
        "accuracy and angle are means over the last fifth, ± 95 %.",
        "",
        *rows,
        "",
        "## What it leaves of the cells",
        "",
        f"After 250 samples, over the queries of {tasks} tasks, with the mean Θ.",
        "",
        *activities(columns, base, source, tasks),
        "",
        *(["## Elsewhere, with Θ as it is", "", *further] if further else []),
    ]
    write_page("homeostasis", page, out)


if __name__ == "__main__":
    main()
