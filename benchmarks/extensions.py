"""Every way to extend ruledsl at full size; optimisers on one term; forward mode on long streams."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.page import write_page
from benchmarks.training import seeded, train_in_memory
from ruledsl import TrainSettings, load
from ruledsl.contracts import SETTINGS, toy_source
from ruledsl.registry import declared
from ruledsl.rules import apart
from ruledsl.runs import use_threads
from ruledsl.statistics import finite_mean
from ruledsl.tasks import ImageSource, open_dataset

FULL = TrainSettings.of(episodes=50, meta_batch=1, threads=1)
EXAMPLES: dict[str, tuple[str, TrainSettings, str, str]] = {
    "feedback `direct`": ("bio", FULL.having(feedback="direct"), "network", "feedback"),
    "feedback `mixture`": ("bio", FULL.having(feedback="mixture"), "network", "feedback"),
    "activation `tanh`": ("bio", FULL.having(activation="tanh", beta=1.0), "network", "activation"),
    "function `shrink`": ("shrunk", FULL, "network", "function"),
    "task `permuted`": ("bio", FULL.having(tasks="permuted"), "network", "task"),
    "task `incremental`": ("bio", FULL.having(tasks="incremental"), "network", "task"),
    "task `teacher_network`": (
        "bio",
        FULL.having(
            tasks="teacher_network", output="linear", activation="tanh", beta=1.0, sizes=(784, 100, 47)
        ),
        "network",
        "task",
    ),
    "objective `area`": ("bio", FULL.having(objective=(("area", 1.0),)), "network", "objective"),
    "objective `query + 0.1*activity`": (
        "bio", FULL.having(objective=(("query", 1.0), ("activity", 0.1))), "network", "objective",
    ),
    "objective `weight_noise`": (
        "bio", FULL.having(objective=(("weight_noise", 1.0),)), "network", "objective",
    ),
    "objective `query + 0.5*feedback_noise`": (
        "bio", FULL.having(objective=(("query", 1.0), ("feedback_noise", 0.5))), "network", "objective",
    ),
    "optimiser `cma`, relu": ("bio", FULL.having(optimiser="cma", activation="relu"), "network", "optimiser"),
    "optimiser `genetic`, relu": (
        "bio", FULL.having(optimiser="genetic", activation="relu"), "network", "optimiser",
    ),
    "optimiser `adam`": ("bio", FULL.having(optimiser="adam"), "network", "optimiser"),
    "recipe `paper`": ("bio", FULL.having(recipe="paper"), "network", "recipe"),
    "diagnostic `confidence`": ("bio", FULL.having(diagnostics=("confidence",)), "network", "diagnostic"),
    "rules for B: kolen_pollack": ("kolen_pollack", FULL, "network", "rule"),
    "biases: biased": ("biased", FULL.having(bias=True), "network", "rule"),
    "traces and third: three_factor": ("three_factor", FULL, "network", "rule"),
    "a Θ per layer": ("bio", FULL, "layer", "option"),
    "a Θ per pair of populations, Dale": ("bio", FULL.having(inhibitory=0.2), "population", "option"),
}  # fmt: skip


def example_row(label: str, source: ImageSource) -> str:
    """Query score before and after 50 episodes, one seed: it runs, and it learns."""
    name, settings, per, _ = EXAMPLES[label]
    rule = apart(load(name), per, len(settings.sizes) - 1)
    began = time.monotonic()
    trained = train_in_memory(rule, settings, seeded(1), source)
    seconds = (time.monotonic() - began) / settings.episodes
    records = trained.records[0]
    first, last = (finite_mean([r.meta_accuracy for r in part]) for part in (records[:10], records[-10:]))
    engines = ", ".join(sorted({r.engine for r in records}))
    return f"| {label} | {name} | {first:.3f} | {last:.3f} | {trained.refused} | {engines} | {seconds:.2f} |"


def kinds_table() -> list[str]:
    """Plugin kind, lines of its shortest shipped example, file."""
    rows = ["| plugin kind | lines a user writes | example |", "|---|---|---|"]
    by_kind: dict[str, list[tuple[int, str, str]]] = {}
    for d in declared().found.values():
        by_kind.setdefault(d.kind, []).append((d.lines, d.name, d.path.name))
    for kind, found in by_kind.items():
        lines, name, file = min(found)
        rows.append(f"| {kind} | {lines} | `{name}` in plugins/{file} |")
    return rows


def one_term(source: ImageSource, seeds: int, episodes: int) -> list[str]:
    """θ_0 of backprop by gradient and without: mean of the last fifth of the meta-steps, over seeds."""
    rows = ["| meta-optimiser | θ_0 | accuracy |", "|---|---|---|"]
    small = TrainSettings.of(
        sizes=(784, 60, 40, 47), feedback="symmetric", episodes=episodes, meta_batch=4, threads=1
    )
    for name, settings in (
        ("recipe robust (Adam)", small),
        ("adam", small.having(optimiser="adam")),
        ("cma", small.having(optimiser="cma")),
    ):
        trained = train_in_memory(load("pseudo_gradient"), settings, seeded(seeds), source)
        tail = -(-episodes // 5)
        rows.append(
            f"| {name} | {trained.coefficient(tail).text('.4f')} | {trained.accuracy(tail).text('.3f')} |"
        )
    return rows


def one_term_toy(seeds: int) -> list[str]:
    """The same on the plugins' toy problem, where both have time to arrive:
    the last third of the meta-steps."""
    rows = ["| meta-optimiser | meta-steps | rate | θ_0 |", "|---|---|---|---|"]
    for name, steps, rate in (("adam", 200, 4e-3), ("cma", 100, 1e-3)):
        settings = SETTINGS.having(
            feedback="symmetric", meta_batch=16, optimiser=name, episodes=steps, learning_rate=rate,
            backend="compiled",
        )  # fmt: skip
        trained = train_in_memory(load("pseudo_gradient"), settings, seeded(seeds), toy_source())
        rows.append(f"| {name} | {steps} | {rate:g} | {trained.coefficient(steps // 3).text('.4f')} |")
    return rows


LONG = """
import resource, sys, torch, ruledsl
from tests.calls import meta_gradient
from tests.drawing import draw_episode
samples, engine = int(sys.argv[1]), sys.argv[2]
rule = ruledsl.compile_rule(ruledsl.load("bio"))
theta = torch.full((3,), 1e-3, dtype=torch.float64)
short, long = (draw_episode((20, 12, 8, 4), n) for n in (3, samples))
meta_gradient(rule, theta, *short.arguments(), engine=engine, backend="eager")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = meta_gradient(rule, theta, *long.arguments(), engine=engine, backend="eager")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, *found.grad.tolist())
"""


def long_streams() -> list[str]:
    """Peak memory above the idle process, and the gradient, by engine and length;
    each in a process of its own."""
    rows = ["| samples | engine | memory above idle | ∂loss/∂θ |", "|---|---|---|---|"]
    for samples in (1_000, 10_000):
        for engine in ("forward", "rebuild", "autograd"):
            done = subprocess.run(
                [sys.executable, "-c", LONG, str(samples), engine], capture_output=True, text=True, check=True
            )
            memory, *gradient = (float(v) for v in done.stdout.split())
            shown = ", ".join(f"{g:.8g}" for g in gradient)
            rows.append(f"| {samples} | {engine} | {memory:.0f} MB | {shown} |")
    return rows


def document(
    dataset: str, rows: Sequence[str], terms: Sequence[str], toy: Sequence[str], long: Sequence[str]
) -> list[str]:
    """docs/results/extensions.md."""
    return [
        "# Extensions",
        "",
        *kinds_table(),
        "",
        f"## Every example at full size, {dataset}",
        "",
        "784-170-130-100-70-47, 250 samples, 50 meta-training episodes, one task a step, seed 0: score "
        "on the",
        "queries, mean of the first and last ten episodes (explained variance for the regression).",
        "",
        "| example | rule | first 10 | last 10 | refused | engine | s an episode |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        "## One term, by gradient and without",
        "",
        "θ_0 of `pseudo_gradient` under backprop, 784-60-40-47, 4 seeds, 600 meta-steps of 4 tasks, mean "
        "of the",
        "last 120, ± 95 % over seeds. `cma` tries 8 candidates a step.",
        "",
        *terms,
        "",
        "The toy problem of `plugin-test`, backprop, 4 seeds, 16 tasks a meta-step, mean of the last third:",
        "",
        *toy,
        "",
        "## Long streams",
        "",
        "`bio`, 20-12-8-4, float64; memory is the peak of the process above what it held before.",
        "",
        *long,
    ]


@click.command()
@click.option("--dataset", default="emnist-bymerge/test", show_default=True)
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Also write the tables to this file."
)
def main(dataset: str, data_root: Path, out: Path | None) -> None:
    """Print the tables of docs/results/extensions.md."""
    use_threads(1)
    source = open_dataset(dataset, data_root)
    long = long_streams()
    terms = one_term(source, 4, 600)
    toy = one_term_toy(4)
    rows = []
    for label in EXAMPLES:
        rows.append(example_row(label, source))
        click.echo(rows[-1], err=True)
    write_page("extensions", document(dataset, rows, terms, toy, long), out)


if __name__ == "__main__":
    main()
