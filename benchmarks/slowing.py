"""What plasticity that slows with the samples seen is worth by itself: rules with it and without."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import click

from benchmarks.page import write_page
from benchmarks.training import seeded, train_in_memory
from ruledsl import Interval, TrainSettings
from ruledsl import rule as rule_of
from ruledsl.runs import use_threads
from ruledsl.tasks import open_dataset

RULES: Mapping[str, tuple[str, str]] = {
    "backprop": ("term f0 = -ERROR * y_pre^T\nrule r = f0[init = 0.001]", "symmetric"),
    "`bio`": (
        "term f0 = -ERROR * y_pre^T\nterm f2 = -ERROR * e_pre^T\n"
        "term f9 = -(CELL * y_pre^T - CELL * y_post^T * W)\nrule r = f0[init = 0.001] + f2 + f9",
        "fixed",
    ),
    "`gated_rest`": (
        "term a = -ERROR * (y_pre - e_pre)^T\nterm b = (y_post .* ERROR) * 1_pre^T\n"
        "term c = (e_post .* ERROR) * 1_pre^T\nterm d = -CELL * (W^T * 1_post)^T\n"
        "rule r = a[init = 0.05] + b[init = 0.02] + c[init = 0.016] + d[init = 0.0008]",
        "fixed",
    ),
}
"""ERROR and CELL stand for e_post and y_post, as they are or slowing down."""


def written(text: str, slows: bool) -> str:
    """The rule's text with or without the divisor, which halves Θ over a stream: it starts twice as large."""
    if slows:
        text = re.sub(r"init = (\S+?)\]", lambda found: f"init = {2 * float(found[1]):g}]", text)
    for name, quantity in (("ERROR", "e_post"), ("CELL", "y_post")):
        text = text.replace(name, f"({quantity} / (1 + age / 100))" if slows else quantity)
    return text


@click.command()
@click.option("--data-root", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--episodes", type=click.IntRange(10), default=150, show_default=True)
@click.option("--seeds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Also write the table here.")
def main(data_root: Path, episodes: int, seeds: int, out: Path | None) -> None:
    """Train each rule with and without; print accuracies and what slowing gains."""
    use_threads(1)
    source = open_dataset("emnist-bymerge/test", data_root)
    lines = [
        "# Plasticity that slows with the samples seen",
        "",
        f"As in the [gallery](../gallery.md): EMNIST by-merge, {episodes} episodes, one task a step, {seeds}",
        "seeds, `robust`. Slowing: errors, and in terms without errors activities, divided by 1 + age / 100,",
        "from twice the Θ.",
        "",
        "| rule | steady | slowing | gained by slowing | above backprop that slows |",
        "|---|---|---|---|---|",
    ]
    first: list[float] = []
    for shown, (text, feedback) in RULES.items():
        settings = TrainSettings.of(episodes=episodes, meta_batch=1, threads=1, feedback=feedback)
        steady, slowing = (
            train_in_memory(rule_of(written(text, slows)), settings, seeded(seeds), source).accuracies(
                episodes // 5
            )
            for slows in (False, True)
        )
        first = first or slowing
        gained, above = (
            Interval.of([a - b for a, b in zip(slowing, other, strict=True)]).text("+.3f")
            for other in (steady, first)
        )
        shares = (Interval.of(values).text(".3f") for values in (steady, slowing))
        lines.append(
            f"| {shown} | {' | '.join(shares)} | {gained} | {above if slowing is not first else ''} |"
        )
        click.echo(lines[-1], err=True)
    write_page("slowing", lines, out)


if __name__ == "__main__":
    main()
