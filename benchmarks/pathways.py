"""Every feedback pathway against fixed random feedback and backprop, on one data set: see --help."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.page import write_page
from benchmarks.training import seeded, train_in_memory
from ruledsl import Rule, TrainSettings, load
from ruledsl.language import union
from ruledsl.rules import check
from ruledsl.runs import use_threads
from ruledsl.tasks import ImageSource, open_dataset

PATHWAYS = {
    "fixed random B (FA)": ("fixed", None),
    "direct (DFA)": ("direct", None),
    "Kolen–Pollack": ("fixed", "kolen_pollack"),
    "weight mirror": ("fixed", "weight_mirror"),
    "signs of W, one magnitude (uSF)": ("sign_uniform", None),
    "signs of W, fixed magnitudes (frSF)": ("sign_fixed", None),
    "signs of W, redrawn magnitudes (brSF)": ("sign_redrawn", None),
    "learned mixture of layered and direct": ("mixture", None),
    "Wᵀ (backprop)": ("symmetric", None),
}
LAST = 50
"""Episodes that accuracies are averaged over."""


def rule_for(name: str, companion: str | None) -> Rule:
    """The rule for W, with what trains B beside it."""
    if companion is None:
        return load(name)
    both, _ = union([load(companion).definition, load(name).definition])
    return check(replace(both, feedback="fixed"))


def row(source: ImageSource, name: str, label: str, seeds: int, episodes: int) -> str:
    feedback, companion = PATHWAYS[label]
    rule = rule_for(name, companion)
    settings = TrainSettings.of(feedback=feedback, episodes=episodes, meta_batch=1, threads=1)
    began = time.monotonic()
    trained = train_in_memory(rule, settings, seeded(seeds), source)
    seconds = (time.monotonic() - began) / (episodes * seeds)
    accuracy, angle = trained.accuracy(LAST).text(".3f"), trained.angle(LAST)
    degrees = f"{angle.text('.0f')}°"
    last = f"{trained.refused} | {trained.engine} | {seconds:.2f}"
    return f"| {name} | {label} | {accuracy} | {degrees} | {last} |"


@click.command()
@click.option("--dataset", default="emnist-bymerge/test", show_default=True)
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option("--episodes", default=150, show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--only", default=None, help="Pathways whose label begins with this.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Also write the table to this file."
)
def main(
    dataset: str, data_root: Path, episodes: int, seeds: int, only: str | None, out: Path | None
) -> None:
    """Meta-train pseudo_gradient and bio through every pathway, and print one table."""
    use_threads(1)
    source = open_dataset(dataset, data_root)
    rows = []
    for label in PATHWAYS:
        for name in ("pseudo_gradient", "bio"):
            if only is None or label.startswith(only):
                rows.append(row(source, name, label, seeds, episodes))
                click.echo(rows[-1], err=True)
    page = [
        f"# Feedback pathways on {dataset}",
        "",
        f"{episodes} meta-training episodes, recipe robust with one task a step, seeds 0 … {seeds - 1}, the",
        f"paper's network. Accuracy and mean angle of layers 1 … L−1 to backprop are means of the last "
        f"{LAST}",
        "episodes, ± the 95 % Student-t half-width over seeds. *refused*: episodes that diverged. "
        "Seconds are per",
        "stream, on one thread: C++ where the pathway makes no matrix of its own, eager torch else.",
        "",
        "| rule | errors travel by | accuracy | angle | refused | engine | s |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]
    write_page("pathways", page, out)


if __name__ == "__main__":
    main()
