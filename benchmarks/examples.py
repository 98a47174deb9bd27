"""Do the shipped extensions learn? Each beside a fair baseline, seed by seed, on the same tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.page import write_page
from benchmarks.training import seeded, train_in_memory
from ruledsl import Interval, Rule, TrainSettings, load
from ruledsl import rule as rule_of
from ruledsl.rules import apart
from ruledsl.runs import use_threads
from ruledsl.tasks import ImageSource, open_dataset

ONE_HIDDEN = (784, 300, 47)
FOUR_HIDDEN = (784, 170, 130, 100, 70, 47)
KOLEN_POLLACK = """
rule both = pseudo_gradient[init = 0.001] + error_hebb + oja_subspace
          + kp_feedback[same = pseudo_gradient] + kp_decay[init = 0.001, sign = positive]
          + kp_feedback_decay[same = kp_decay]
"""
PROTOTYPES = """
term prototype = relu(-e_post) * (y_pre - mean(y_pre) * 1_pre)^T
rule prototypes = prototype[init = 0.02, layers = 2]
"""
LATE = """
term late = -third * e_post * (trace(y_pre, 2) - mean(trace(y_pre, 2)) * 1_pre)^T
rule waits = late[init = 0.03, layers = 2]
"""
AT_ONCE = """
term at_once = -third * e_post * (y_pre - mean(y_pre) * 1_pre)^T
rule hurries = at_once[init = 0.03, layers = 2]
"""


@dataclass(frozen=True)
class Contestant:
    """A rule, by name or as text, in a network on a task."""

    shown: str
    rule: str
    settings: dict[str, Any]
    per: str = "network"

    def trained(self, source: ImageSource, episodes: int, seeds: int) -> list[float]:
        """By seed: the mean query score of the last fifth of the episodes."""
        settings = TrainSettings.of(
            episodes=episodes, meta_batch=1, threads=1, backend="compiled", **self.settings
        )
        rule = apart(self._rule(), self.per, settings.depth)
        return train_in_memory(rule, settings, seeded(seeds), source).accuracies(episodes // 5)

    def _rule(self) -> Rule:
        return rule_of(self.rule) if "=" in self.rule else load(self.rule)


@dataclass(frozen=True)
class Example:
    """What was extended, beside what it should be compared with."""

    title: str
    extended: Contestant
    baselines: tuple[Contestant, ...]


def contest(title: str, settings: dict[str, Any], *named: tuple[str, str, dict[str, Any]]) -> Example:
    """(shown, rule, further settings) of each contestant; the first is the example."""
    first, *others = (Contestant(shown, rule, settings | more) for shown, rule, more in named)
    return Example(title, first, tuple(others))


def _union(*names: str) -> str:
    """The terms of several rules as one."""
    return "rule both = " + " + ".join(names)


def dale(sizes: tuple[int, ...]) -> Example:
    """Dale's law in a network of so many cells."""
    return Example(
        f"Dale's law, a Θ for each pair of populations ({'-'.join(map(str, sizes))})",
        Contestant(
            "bio, a fifth of cells inhibitory", "bio", {"inhibitory": 0.2, "sizes": sizes}, "population"
        ),
        (Contestant("bio", "bio", {"sizes": sizes}),),
    )


BACKPROP = ("backprop", "backprop", {"feedback": "symmetric"})
REGRESSION = {"tasks": "teacher_network", "output": "linear", "activation": "tanh", "beta": 1.0,
              "sizes": (784, 100, 47)}  # fmt: skip
INCREMENTAL = {"tasks": "incremental", "sizes": ONE_HIDDEN}
DELAYED = {"tasks": "delayed", "third": "task", "sizes": ONE_HIDDEN}
EXAMPLES = {
    "biases": contest(
        "Biases, with `bio`", {},
        ("bio, and biases", _union("bio", "bias_gradient[same = pseudo_gradient]"), {"bias": True}),
        ("bio", "bio", {}),
    ),
    "shrink": contest(
        "A plugin's function, with `bio`", {},
        ("bio, and F⁰ of strong activity", _union("bio", "shrunk_gradient"), {}), ("bio", "bio", {}),
    ),
    "kolen_pollack": contest(
        "Feedback weights that learn, as Kolen and Pollack's", {},
        ("F⁰, rules for B", "kolen_pollack", {}), ("F⁰", "feedback_alignment", {}),
    ),
    "kolen_pollack_bio": contest(
        "The same with `bio`", {}, ("bio, rules for B", KOLEN_POLLACK, {}), ("bio", "bio", {}),
    ),
    "regression": contest(
        "A teacher's targets (explained variance; 784-100-47, tanh)", REGRESSION,
        ("bio", "bio", {}), ("F⁰", "feedback_alignment", {}), BACKPROP,
    ),
    "incremental": contest(
        "One class after another (784-300-47)", INCREMENTAL,
        ("prototypes", PROTOTYPES, {}), ("bio", "bio", {}), BACKPROP,
    ),
    "shuffled": contest(
        "The same, classes shuffled (784-300-47)", {"sizes": ONE_HIDDEN},
        ("prototypes", PROTOTYPES, {}), ("bio", "bio", {}), BACKPROP,
    ),
    "delayed": contest(
        "Labels that come late (784-300-47)", DELAYED,
        ("a trace of y_pre, and a third factor", LATE, {}), ("without the trace", AT_ONCE, {}),
    ),
    "dale": dale(ONE_HIDDEN), "dale_two": dale((784, 170, 100, 47)), "dale_four": dale(FOUR_HIDDEN),
}  # fmt: skip


def rows_of(example: Example, source: ImageSource, episodes: int, seeds: int) -> list[str]:
    """A row for each contestant, with the example's gain over it."""
    own = example.extended.trained(source, episodes, seeds)
    rows = [f"| **{example.title}** | | |"]
    rows.append(f"| {example.extended.shown} | {Interval.of(own).text('.3f')} | |")
    for other in example.baselines:
        theirs = other.trained(source, episodes, seeds)
        gain = Interval.of([a - b for a, b in zip(own, theirs, strict=True)])
        rows.append(f"| {other.shown} | {Interval.of(theirs).text('.3f')} | {gain.text('+.3f')} |")
    return rows


@click.command()
@click.option("--dataset", default="emnist-bymerge/test", show_default=True)
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option("--episodes", type=click.IntRange(5), default=100, show_default=True)
@click.option("--seeds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--only", multiple=True, type=click.Choice(list(EXAMPLES)), help="These examples alone.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Also write the table here.")
def main(
    dataset: str, data_root: Path, episodes: int, seeds: int, only: Sequence[str], out: Path | None
) -> None:
    """Print the table of docs/results/examples.md."""
    use_threads(1)
    source = open_dataset(dataset, data_root)
    page = [
        "# Do extensions learn?",
        "",
        f"{dataset}, 250 samples, {episodes} meta-training episodes of one task, {seeds} seeds, recipe "
        "`robust`; 784-170-130-100-70-47",
        "unless said. Score on the queries, mean of the last fifth of the episodes, ± 95 % over seeds; "
        "*gain*: of the example over",
        "its baseline, seed by seed.",
        "",
        "| | score | gain over it |",
        "|---|---|---|",
    ]
    for name in only or EXAMPLES:
        rows = rows_of(EXAMPLES[name], source, episodes, seeds)
        page += rows
        click.echo("\n".join(rows), err=True)
    write_page("examples", page, out)


if __name__ == "__main__":
    main()
