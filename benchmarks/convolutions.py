"""Θ meta-learned for networks with convolutions: where feedback alignment is said to struggle, what do others
do?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.page import write_page
from benchmarks.training import Trained, seeded, train_in_memory
from ruledsl import Interval, TrainSettings, load
from ruledsl.runs import use_threads
from ruledsl.statistics import finite_mean
from ruledsl.tasks import open_dataset

NETWORKS = {"two": "784-8x5/2-16x3/2-47", "three": "784-8x5/2-16x3-16x3/2-47"}
RULES: Mapping[str, tuple[str, str]] = {
    "F⁰, fixed B (feedback alignment)": ("feedback_alignment", "fixed"),
    "F⁰, direct": ("feedback_alignment", "direct"),
    "F⁰, signs of W": ("feedback_alignment", "sign_uniform"),
    "ehebb": ("ehebb", "fixed"),
    "bio": ("bio", "fixed"),
    "own_activity": ("rules/discovered/own_activity.rule", "fixed"),
    "outgoing_rest": ("rules/discovered/outgoing_rest.rule", "fixed"),
    "error_gated": ("rules/discovered/error_gated.rule", "fixed"),
    "backprop": ("backprop", "symmetric"),
}


@dataclass(frozen=True)
class Found:
    """Accuracies of one rule's seeds, and the angle of every hidden layer, from the first."""

    accuracies: Sequence[float]
    angles: Sequence[float]
    refused: int

    @classmethod
    def of(cls, trained: Trained, last: int) -> Found:
        late = [r for records in trained.records.values() for r in records[-last:]]
        hidden = range(1, len(late[0].alpha) - 1)
        return cls(
            trained.accuracies(last),
            [finite_mean([r.alpha[n] for r in late]) for n in hidden],
            trained.refused,
        )

    def row(self, shown: str, beside: Found | None) -> str:
        """`beside`: what feedback alignment reached, seed by seed on the same tasks."""
        gain = ""
        if beside is not None:
            pairs = zip(self.accuracies, beside.accuracies, strict=True)
            gain = Interval.of([a - b for a, b in pairs]).text("+.3f")
        angles = ", ".join(f"{a:.0f}°" for a in self.angles)
        return (
            f"| {shown} | {Interval.of(self.accuracies).text('.3f')} | {gain} | {angles} | {self.refused} |"
        )


@click.command()
@click.option("--dataset", default="emnist-bymerge/test", show_default=True)
@click.option("--data-root", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--episodes", type=click.IntRange(10), default=100, show_default=True)
@click.option("--seeds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--network", "wanted", multiple=True, type=click.Choice(list(NETWORKS)), help="Only these.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Also write the table here.")
def main(
    dataset: str, data_root: Path, episodes: int, seeds: int, wanted: Sequence[str], out: Path | None
) -> None:
    """Train rules in networks with convolutions; print accuracies and angles."""
    use_threads(1)
    source = open_dataset(dataset, data_root)
    lines = [
        "# Networks with convolutions",
        "",
        f"{dataset}, 5 ways, 50 shots, one sample at a time; {episodes} episodes, one task a step,",
        f"{seeds} seeds, `robust`. Accuracy on queries: last fifth, ± 95 % over seeds. Angles to backprop:",
        "hidden layers, from the first.",
    ]
    for key in wanted or NETWORKS:
        lines += ["", f"## {NETWORKS[key]}", "", "| rule | accuracy | above F⁰ | angles | episodes refused |"]
        lines.append("|---|---|---|---|---|")
        first: Found | None = None
        for shown, (name, feedback) in RULES.items():
            settings = TrainSettings.of(
                sizes=NETWORKS[key], feedback=feedback, episodes=episodes, meta_batch=1, threads=1
            )
            found = Found.of(train_in_memory(load(name), settings, seeded(seeds), source), episodes // 5)
            lines.append(found.row(shown, first))
            first = first or found
            click.echo(lines[-1], err=True)
    write_page("convolutions", lines, out)


if __name__ == "__main__":
    main()
