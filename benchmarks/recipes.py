"""The two recipes on the ten-term pool, over seeds: `python -m benchmarks.recipes --help`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from benchmarks.page import write_page
from benchmarks.training import Trained, train_in_memory
from ruledsl import Interval, TrainSettings, load
from ruledsl.registry import find
from ruledsl.runs import use_threads
from ruledsl.settings import RunSpec
from ruledsl.tasks import ImageSource, open_dataset

ABLATIONS: dict[str, Callable[[], dict[str, float]]] = {
    "no shortening of long gradients": lambda: {"CLIP": 1e9},
    "no refusal of chaotic gradients": lambda: {"CHAOS": 1e300},
    "no schedule": lambda: {"FLOOR": 1.0},
}


def train(
    rule: str, source: ImageSource, seeds: int, l1: tuple[float, ...] = (0.0,), **settings: object
) -> list[str]:
    """One table row per λ: accuracy by seed, refused episodes, terms left."""
    chosen = TrainSettings.of(**settings)
    specs = [
        RunSpec(n, seed, penalty)
        for n, (penalty, seed) in enumerate((p, s) for p in l1 for s in range(seeds))
    ]
    trained = train_in_memory(load(rule), chosen, specs, source)
    return [_row(penalty, trained) for penalty in l1]


def _row(penalty: float, trained: Trained) -> str:
    states = [s for s in trained.trainer.states if s.spec.l1 == penalty]
    accuracies = trained.accuracies(100)
    last = [accuracies[s.spec.run] for s in states]
    refused = sum(s.diverged for s in states)
    not_finite = sum(r.meta_loss != r.meta_loss for s in states for r in trained.records[s.spec.run])
    names = trained.trainer.rule.names
    kept = {n: sum(float(s.recipe.theta[r]) != 0.0 for s in states) for r, n in enumerate(names)}
    survivors = ", ".join(f"{n} {k}/{len(states)}" for n, k in kept.items() if k)
    shown = "all" if all(k == len(states) for k in kept.values()) else survivors
    by_seed = " ".join(f"{a:.3f}" for a in last)
    return f"{penalty:g} | {Interval.of(last).text('.3f')} | {by_seed} | {refused} | {not_finite} | {shown} |"


@click.command()
@click.option("--dataset", default="emnist-bymerge/test", show_default=True)
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option("--episodes", default=500, show_default=True)
@click.option("--seeds", default=8, show_default=True)
@click.option("--l1", default="1,3,10", show_default=True, help="λ's of the path; empty to leave it out.")
@click.option("--ablations/--no-ablations", default=False, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(
    dataset: str, data_root: Path, episodes: int, seeds: int, l1: str, ablations: bool, out: Path
) -> None:
    """Train pool and bio under both recipes and write one table."""
    use_threads(0)
    source = open_dataset(dataset, data_root)
    rows: list[str] = []

    def add(label: str, rule: str, penalties: tuple[float, ...] = (0.0,), **settings: object) -> None:
        for row in train(rule, source, seeds, penalties, episodes=episodes, **settings):
            rows.append(f"| {label} | {rule} | {row}")
            click.echo(rows[-1], err=True)

    add("robust", "pool")
    add("robust", "bio")
    add("paper", "pool", recipe="paper", meta_batch=1)
    add("paper", "bio", recipe="paper", meta_batch=1)
    if l1:
        add("robust", "pool", tuple(float(p) for p in l1.split(",")), meta_batch=1)
    robust = find("recipe", "robust").item
    for label, change in ABLATIONS.items() if ablations else ():
        before = {name: getattr(robust, name) for name in change()}
        for name, value in change().items():
            setattr(robust, name, value)
        add(f"robust, {label}", "pool")
        for name, value in before.items():
            setattr(robust, name, value)
    lines = [
        f"# Recipes on {dataset}",
        "",
        f"{episodes} episodes, seeds 0 … {seeds - 1}; accuracy is the mean of the last 100 episodes, ± the "
        f"95 %",
        "Student-t half-width over seeds. *refused*: episodes whose gradient did not move Θ; *not finite*: "
        "those whose",
        "loss was not. *terms left*: coefficients that are not exactly zero, and in how many seeds. Rows "
        "with λ > 0",
        "take one task a step.",
        "",
        "| recipe | rule | λ | accuracy | by seed | refused | not finite | terms left |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    ]
    write_page("recipes", lines, out)


if __name__ == "__main__":
    main()
