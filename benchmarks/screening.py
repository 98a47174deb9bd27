"""What foretells how much a term will help a rule? Screens, beside what long training of all terms shows."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.page import write_page
from benchmarks.recovery import SMALL, draw_teacher
from ruledsl import Alphabet, Locality, Rule, compile_rule, load
from ruledsl.discovery import Contender, Ground, Shelf, library_of
from ruledsl.meta import MetaTrainer
from ruledsl.selection import Fit, Stage
from ruledsl.settings import RunSpec

PARENTS = ("feedback_alignment", "ehebb", "bio", "balanced_three")
TRUTH_EPISODES, TRUTH_SEEDS = 90, 4
SCREEN_SEEDS, GRADIENT_EPISODES, GRADIENT_SEEDS = 2, 8, 4
TRIALS = (8, 16, 30)
KEPT = 12

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Screened:
    """A rule's absent terms: what each screen says of them, and what they gain."""

    parent: str
    gain: Array
    orders: Mapping[str, Array]
    """By screen: larger is more promising."""

    def rank_correlation(self, screen: str) -> float:
        """Spearman's, between the screen and the gain."""
        a, b = (np.argsort(np.argsort(v)) for v in (self.orders[screen], self.gain))
        return float(np.corrcoef(a, b)[0, 1])

    def best_kept(self, screen: str) -> tuple[float, int]:
        """The largest gain among the `KEPT` most promising, and how many of the five largest are there."""
        kept = np.argsort(-self.orders[screen])[:KEPT]
        return float(self.gain[kept].max()), len(set(kept) & set(np.argsort(-self.gain)[:5]))


def screened(parent: str, ground: Ground, said: str = "") -> Screened:
    """Every term of the library that a rule lacks, screened and then trained for long on other tasks."""
    shelf = ground.shelf
    theta = shelf.put(load(parent))
    terms = shelf.rule(theta).names
    start = Contender(terms, {name: theta[name] for name in terms})
    fit = ground.fits(Stage(f"{parent}-parent", "", TRUTH_EPISODES), [start], range(TRUTH_SEEDS))[0]
    learned = {name: value.mean for name, value in fit.theta.items()}
    absent = [name for name in shelf.library.names if name not in terms]
    contenders = [Contender(terms, learned)]
    contenders += [Contender(shelf.rule([*terms, n]).names, {**learned, n: 0.0}) for n in absent]

    def trained(episodes: int, seeds: Sequence[int]) -> Array:
        fits: list[Fit] = ground.fits(Stage(f"{parent}-{episodes}", "", episodes), contenders, seeds)
        return np.array([f.mean for f in fits[1:]]) - fits[0].mean

    orders = {f"{n} trial episodes": trained(n, range(1000, 1000 + SCREEN_SEEDS)) for n in TRIALS}
    orders["gradient at θ = 0"] = _clearness(ground, contenders[0], absent)
    return Screened(said or f"`{parent}`", trained(TRUTH_EPISODES, range(2000, 2000 + TRUTH_SEEDS)), orders)


def _clearness(ground: Ground, parent: Contender, absent: Sequence[str]) -> Array:
    """|mean| of the meta-gradient of absent terms in units of its standard error."""
    spec = ground.spec([*ground.shelf.library.names, *parent.terms])
    names = spec.rule.names
    theta = tuple(parent.theta.get(name, 0.0) for name in names)
    runs = [RunSpec(n, 1000 + n, 0.0, parent.terms, theta) for n in range(GRADIENT_SEEDS)]
    trainer = MetaTrainer(compile_rule(spec.rule), spec.config.settings, runs, spec.source)
    found = torch.cat([trainer.gradients(episode) for episode in range(GRADIENT_EPISODES)])
    found = found[found.isfinite().all(-1)][:, [names.index(name) for name in absent]]
    return (found.mean(0).abs() / (found.std(0) / len(found) ** 0.5 + 1e-300)).numpy()


def taught(number: int, folder: Path, library: Rule) -> Screened:
    """What F⁰ lacks of a planted rule, see `benchmarks.recovery`: a small network, and losses in nats."""
    teacher = draw_teacher(library, number, SMALL)
    given = {
        **SMALL, "dataset": "glyphs@search", "plant": dict(teacher.theta), "meta_batch": 1,
        "on_lost": "drop", "episodes": TRUTH_EPISODES,
    }  # fmt: skip
    ground = Ground(folder, Shelf(library), given, "loss", lambda stage, records: None)
    return screened("feedback_alignment", ground, f"F⁰, taught by `{teacher.text}`")


def rows_of(found: Sequence[Screened]) -> list[str]:
    lines = ["| rule | absent terms | screen | rank correlation | best gain kept (of all) | of the best 5 |"]
    lines.append("|---|---|---|---|---|---|")
    for each in found:
        for screen in each.orders:
            best, hits = each.best_kept(screen)
            lines.append(
                f"| {each.parent} | {len(each.gain)} | {screen} | {each.rank_correlation(screen):+.2f} | "
                f"{best:+.3f} ({each.gain.max():+.3f}) | {hits} |"
            )
    return lines


@click.command()
@click.option("--dataset", default="glyphs", show_default=True)
@click.option("--data-root", default="data", show_default=True)
@click.option("--parents", default=",".join(PARENTS), show_default=True)
@click.option("--teachers", default="", help="Planted rules by number, in place of parents.")
@click.option("--threads", default=2, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Also write the page here.")
def main(dataset: str, data_root: str, parents: str, teachers: str, threads: int, out: Path | None) -> None:
    """Screen every term that a few rules lack, and hold the screens against what training shows."""
    given: dict[str, Any] = {
        "dataset": f"{dataset}@search", "data_root": data_root, "meta_batch": 1, "on_lost": "drop",
        "episodes": TRUTH_EPISODES, "threads": threads,
    }  # fmt: skip
    library = library_of(load("feedback_alignment"), Alphabet(), Locality.axon, 5)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for parent in parents.split(",") if not teachers else ():
            ground = Ground(Path(folder), Shelf(library), given, "accuracy", lambda stage, records: None)
            found.append(screened(parent, ground))
            click.echo("\n".join(rows_of(found[-1:])), err=True)
        for number in map(int, teachers.split(",")) if teachers else ():
            found.append(taught(number, Path(folder) / str(number), library))
            click.echo("\n".join(rows_of(found[-1:])), err=True)
    page = [
        "# What foretells how much a term will help?",
        "",
        "Every term of a library of 48 (class `axon`, up to five symbols) that a rule lacks is added to it, "
        "from θ = 0, and the",
        f"rule trained on for {TRUTH_EPISODES} episodes with {TRUTH_SEEDS} seeds: its gain is the accuracy "
        "above the rule trained on alone.",
        f"A screen orders the terms by other tasks: by {GRADIENT_EPISODES * GRADIENT_SEEDS} gradients at "
        f"θ = 0, or by the accuracy of a short training with {SCREEN_SEEDS} seeds.",
        f"The last columns say what is kept when the {KEPT} most promising terms go on.",
        "",
        *rows_of(found),
    ]
    write_page("screening", page, out)


if __name__ == "__main__":
    main()
