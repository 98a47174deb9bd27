"""A training does not care how many terms it is given, nor how dangerous some are: a library of 28 plain
terms, and F⁰ beside one term of the grammar each, under the default recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import click

from benchmarks.page import write_page
from benchmarks.training import Trained, seeded, train_in_memory
from ruledsl import Alphabet, Interval, Locality, Rule, TrainSettings, load
from ruledsl.discovery import library_of
from ruledsl.language import print_expression
from ruledsl.rules import check
from ruledsl.settings import RunSpec
from ruledsl.tasks import ImageSource, open_dataset

WHOLE = ("library", "pool", "bio")
FIRST = 50
"""Episodes at the beginning, when nothing is known of the terms yet."""
GRADIENT = "pseudo_gradient"
SIZE, DRAWN = 7, 60
"""Of so many symbols, so many terms."""


def row(name: str, trained: Trained, episodes: int) -> str:
    by_seed = trained.accuracies(-(-episodes // 5))
    shown = " ".join(f"{value:.3f}" for value in by_seed)
    runs = trained.records.values()
    lost = [sum(r.diverged for r in records) for records in runs]
    first = [sum(r.diverged for r in records[:FIRST]) for records in runs]
    total = sum(len(records) for records in runs)
    return (
        f"| {name} | {Interval.of(by_seed).text('.3f')} | {shown} | {sum(lost)} of {total} | {sum(first)} |"
    )


def pairs(source: ImageSource, seeds: int) -> tuple[list[str], str]:
    """F⁰ with one term each, all in one program: a row for each term that does worse than F⁰ alone or loses
    streams, and a sentence on all of them."""
    library = drawn_terms()
    subsets = [(GRADIENT,), *((GRADIENT, name) for name in library.names[1:])]
    runs = [RunSpec(n * seeds + s, s, 0.0, terms) for n, terms in enumerate(subsets) for s in range(seeds)]
    settings = TrainSettings.of(meta_batch=1, episodes=FIRST, on_lost="drop", at_once=128)
    trained = train_in_memory(library, settings, runs, source)
    ends = trained.accuracies(FIRST // 5)
    losses = [sum(r.diverged for r in records) for records in trained.records.values()]
    alone = Interval.of(ends[:seeds]).mean
    lines, worse = [], 0
    for n in range(1, len(subsets)):
        own = slice(n * seeds, (n + 1) * seeds)
        accuracy, lost = Interval.of(ends[own]), sum(losses[own])
        worse += accuracy.mean < alone - 0.05
        text = library.definition.terms[n].term
        if lost or accuracy.mean < alone - 0.05:
            lines.append(f"| `{printed(text)}` | {accuracy.text('.3f')} | {lost} of {seeds * FIRST} |")
    count = len(subsets) - 1
    told = (
        f"{count} terms, {seeds} seeds: {sum(losses)} of {count * seeds * FIRST} streams lost "
        f"({sum(losses) / (count * seeds * FIRST):.1%}); F⁰ alone is at {alone:.3f}, and {worse} of them are "
        "more than 0.05 below it at the end."
    )
    return lines, told


def drawn_terms() -> Rule:
    """F⁰ and terms drawn from the grammar, of every class of locality, sums and a function among them."""
    whole = library_of(load("feedback_alignment"), Alphabet(functions=("tanh",)), Locality.layer, SIZE)
    first, *others = whole.definition.terms
    terms = (first, *Random(0).sample(others, DRAWN))
    return check(replace(whole.definition, terms=terms), Locality.layer)


def printed(term: object) -> str:
    return print_expression(term.expression)  # type: ignore[attr-defined]


@click.command()
@click.option("--data-root", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--episodes", type=click.IntRange(10), default=500, show_default=True)
@click.option("--seeds", type=click.IntRange(0), default=8, show_default=True, help="0: pairs alone.")
@click.option("--pair-seeds", type=click.IntRange(0), default=8, show_default=True, help="0: no pairs.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Also write the page here.")
def main(data_root: Path, episodes: int, seeds: int, pair_seeds: int, out: Path | None) -> None:
    """Train the library, the pool and `bio` alike; then F⁰ with each term of a grammar."""
    source = open_dataset("emnist-bymerge/test", data_root)
    rows = []
    for name in WHOLE if seeds else ():
        settings = TrainSettings.of(episodes=episodes, meta_batch=1)
        trained = train_in_memory(load(name, allow=Locality.layer), settings, seeded(seeds), source)
        rows.append(row(name, trained, episodes))
        click.echo(rows[-1], err=True)
    page = [
        "# Any term, at any scale",
        "",
        *(page_of_rules(rows, episodes, seeds) if seeds else []),
        *(page_of_pairs(source, pair_seeds) if pair_seeds else []),
    ]
    write_page("scales", page, out)


def page_of_rules(rows: list[str], episodes: int, seeds: int) -> list[str]:
    return [
        f"EMNIST by-merge, recipe `robust`, {episodes} episodes of one task, seeds 0 to {seeds - 1}.",
        "Accuracy: mean of the last fifth, ± 95 % over seeds. *First*: streams lost in the first",
        f"{FIRST} episodes of all seeds.",
        "",
        "| rule | accuracy | by seed | episodes refused | first |",
        "|---|---|---|---|---|",
        *rows,
    ]


def page_of_pairs(source: ImageSource, seeds: int) -> list[str]:
    lines, told = pairs(source, seeds)
    return [
        "",
        f"## F⁰ and one term each, {FIRST} episodes",
        "",
        told,
        "Those that lost a stream, or did worse than F⁰ alone:",
        "",
        "| term | accuracy of the last fifth | streams lost |",
        "|---|---|---|",
        *lines,
    ]


if __name__ == "__main__":
    main()
