"""Every rule that ships, trained alike on real images: what the gallery shows, and whether coefficients have
the signs that theory derives."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from benchmarks.page import write_page
from benchmarks.training import Trained, seeded, train_in_memory
from ruledsl import Interval, Locality, Rule, TrainSettings, load
from ruledsl.language import packaged_files
from ruledsl.statistics import finite_mean, moving_average
from ruledsl.tasks import open_dataset
from ruledsl.theory import explain_rule

ELSEWHERE = {"library"}
"""`benchmarks.scales` trains it."""
NEEDS = {"biased": {"bias": True}}
"""Settings without which a rule makes no sense."""
HEAD = ("rule", "what", "at", "mean", "half")
EVERY = 5
Row = tuple[str, str, str, float, float]


def rows_of(name: str, rule: Rule, trained: Trained) -> Iterator[Row]:
    """Numbers of one rule, over seeds: accuracy along the training, angles and Θ at its end."""
    runs = list(trained.records.values())
    episodes = len(runs[0])
    late = -(-episodes // 5)

    def row(what: str, at: str, values: Sequence[float]) -> Row:
        found = Interval.of(values)
        return name, what, at, found.mean, found.half

    smooth = [moving_average([r.meta_accuracy for r in records]) for records in runs]
    for episode in range(0, episodes, EVERY):
        yield row("accuracy", str(episode), [curve[episode] for curve in smooth])
    yield row("end", "accuracy", trained.accuracies(late))
    yield row("end", "refused", [float(trained.refused)])
    for layer in range(1, len(runs[0][0].alpha) - 1):  # the output's own error is exact
        yield row("angle", str(layer), [finite_mean([r.alpha[layer] for r in rs[-late:]]) for rs in runs])
    for r, term in enumerate(rule.names):
        yield row("theta", term, [finite_mean([e.theta[r] for e in rs[-late:]]) for rs in runs])


def predictions(name: str, rule: Rule, rows: Sequence[Row]) -> Iterator[str]:
    """A line per term: what was derived, whether sampling agrees, and what the training found."""
    learned = {at: Interval(mean, half) for _, what, at, mean, half in rows if what == "theta"}
    for term in explain_rule(rule, learned, input_mean=True).terms:
        check = "–" if term.check is None else f"{term.check.farthest:.1f}"
        wanted = "not derived" if term.drift is None else "; ".join(term.wanted) or "nothing clear"
        shown = learned[term.name].text(".2e")
        yield f"| {name} | `{term.name}` | {check} | {wanted} | {shown} | {term.verdict or '–'} |"


@click.command()
@click.option("--data-root", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--episodes", type=click.IntRange(10), default=150, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--rule", "wanted", multiple=True, help="Only these, beside the numbers that are there.")
@click.option("--numbers", type=click.Path(path_type=Path), default=None, help="Also keep all numbers here.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Also write the table here.")
def main(
    data_root: Path, episodes: int, seeds: int, wanted: Sequence[str], numbers: Path | None, out: Path | None
) -> None:
    """Train every shipped rule; print accuracies and signs."""
    source = open_dataset("emnist-bymerge/test", data_root)
    kept = known(numbers) if wanted else []
    for path in packaged_files():
        if path.stem in ELSEWHERE or (wanted and path.stem not in wanted):
            continue
        rule = load(path, allow=Locality.layer)
        needed = NEEDS.get(path.stem, {}) | {"feedback": rule.definition.feedback or "fixed"}
        settings = TrainSettings.of(episodes=episodes, meta_batch=1, threads=1, **needed)
        rows = list(rows_of(path.stem, rule, train_in_memory(rule, settings, seeded(seeds), source)))
        kept = [*(row for row in kept if row[0] != path.stem), *rows]
        click.echo(end_of(path.stem, rows), err=True)
        if numbers:
            with numbers.open("w", encoding="utf-8", newline="") as file:
                shown = [(*r[:3], *(f"{value:.6g}" for value in r[3:])) for r in kept]
                csv.writer(file, lineterminator="\n").writerows([HEAD, *shown])
    ends, signs = [], []
    for path in packaged_files():
        rows = [row for row in kept if row[0] == path.stem]
        if not rows:
            continue
        ends.append(end_of(path.stem, rows))
        signs += predictions(path.stem, load(path, allow=Locality.layer), rows)
    write_page("gallery", page(episodes, seeds, ends, signs), out)


def known(numbers: Path | None) -> list[Row]:
    """The rows of an earlier run, which a rule that is trained again replaces."""
    if numbers is None or not numbers.exists():
        return []
    with numbers.open(encoding="utf-8") as file:
        return [
            (r["rule"], r["what"], r["at"], float(r["mean"]), float(r["half"])) for r in csv.DictReader(file)
        ]


def end_of(name: str, rows: Sequence[Row]) -> str:
    """Accuracy, lost episodes and angles at the end."""
    known = {r[1:3]: Interval(r[3], r[4]) for r in rows}
    angles = ", ".join(f"{r[3]:.0f}°" for r in rows if r[1] == "angle")
    accuracy, refused = known["end", "accuracy"].text(".3f"), known["end", "refused"].mean
    return f"| {name} | {accuracy} | {refused:.0f} | {angles} |"


def page(episodes: int, seeds: int, ends: Sequence[str], signs: Sequence[str]) -> list[str]:
    return [
        "# Every shipped rule, trained alike",
        "",
        "EMNIST by-merge, all 47 classes, those that searches used among them;",
        f"{episodes} episodes, one task a step, {seeds} seeds, `robust`, fixed random feedback unless the",
        "rule says otherwise. Accuracy: of queries, the last fifth of the episodes, ± 95 % over seeds;",
        f"refused: of {episodes * seeds} episodes, those whose network was lost,",
        "so that Θ was not moved; angles α_1 … at the end.",
        "",
        "| rule | accuracy | episodes refused | angles |",
        "|---|---|---|---|",
        *ends,
        "",
        "## Signs: derived and found",
        "",
        "By `explain --mean`: the formula's worst entry in standard errors of what was measured (below 5 is",
        "agreement, in five networks of 20 000 samples each), the sign of θ that helps to first order in a",
        "naive network, and the θ that the training above found.",
        "",
        "| rule | term | worst entry | to first order | θ found | it is |",
        "|---|---|---|---|---|---|",
        *signs,
    ]


if __name__ == "__main__":
    main()
