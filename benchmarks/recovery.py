"""Is a search to be trusted? Planted rules that it must find; a planted start that nothing may improve."""

from __future__ import annotations

import itertools
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import click
import torch
from torch import Tensor

from benchmarks.page import write_page
from ruledsl import Alphabet, Locality, Rule, Search, compile_rule, load, meta_gradient
from ruledsl.discovery import Front, Judged, Question, discover, factored, formula, library_of
from ruledsl.meta import MetaTrainer
from ruledsl.network import query_outputs
from ruledsl.rules import check, rule_difference
from ruledsl.settings import RunSpec
from ruledsl.studies import specify

START, START_THETA = "pseudo_gradient", 0.06
SMALL = {
    "sizes": (100, 20, 16, 47), "shots": 15, "queries": 20, "learning_rate": 2e-3, "threads": 1,
    "backend": "compiled",
}  # fmt: skip
"""A small network whose answers a teacher gives, on the product's own glyphs."""
SEARCH = Search(
    rounds=2, search_seeds=2, pairs=1100, qualifying=16, heats=60, kept=24, exchanges=2,
    refit_episodes=360, judged_tasks=60, measure="loss", proposers=("enumeration", "pairs", "merging"),
)  # fmt: skip
NULL_ROUNDS = 2
SIZE = 5
TAUGHT = 0.15
"""Nats by which a teacher's answers change, at least, when one of its terms is left out."""
LEARNED = 0.5
"""Nats, at least, between a teacher's answers and those of networks that never learned."""
SMOOTH = 0.05
"""Nats by which they change, at most, when Θ* is a tenth larger: what answers chaotically teaches nothing."""
LEARNABLE = 0.05
"""Nats that are lost, at least, when the other terms are trained without it: what others make up for, nobody
finds out from answers."""
TASKS = 16


@dataclass(frozen=True)
class Teacher:
    """A planted Θ*."""

    theta: Mapping[str, float]
    library: Rule

    @property
    def complexity(self) -> tuple[int, int]:
        """As that of rules on a front: products, then terms."""
        return len(factored(self.theta, self.rule)), len(self.theta)

    @property
    def rule(self) -> Rule:
        """Its terms alone."""
        terms = tuple(t for t in self.library.definition.terms if t.name in self.theta)
        return check(replace(self.library.definition, terms=terms), max(Locality))

    @property
    def text(self) -> str:
        return formula(self.theta, self.library)


class Class:
    """Naive networks, and what they answer after they learned by some Θ."""

    def __init__(self, library: Rule, seed: int, settings: Mapping[str, Any]) -> None:
        spec = specify(library, dataset="glyphs@search", episodes=2, meta_batch=TASKS, **settings)
        self.names = library.names
        self.trainer = MetaTrainer(
            compile_rule(library), spec.config.settings, [RunSpec(0, 10_000 + seed)], spec.source
        )
        self.episode = self.trainer.draw_fresh(0)

    @torch.no_grad()
    def answers(self, theta: Mapping[str, float]) -> Tensor:
        """(tasks, queries, outputs) log probabilities."""
        programs = self.trainer.streams.programs
        wide = torch.tensor([[theta.get(name, 0.0) for name in self.names]]).expand(TASKS, -1)
        learned = meta_gradient(
            self.trainer.rule, wide, self.episode, programs.network, engine="none",
            backend=self.trainer.streams.backend,
        ).carried  # fmt: skip
        return query_outputs(programs, learned, self.episode.queries[0]).log_softmax(-1)

    def apart(self, theta: Mapping[str, float], other: Mapping[str, float]) -> float:
        """Nats between the answers of two Θ; infinite where a network is lost."""
        ours, theirs = self.answers(theta), self.answers(other)
        found = (ours.exp() * (ours - theirs)).sum(-1).mean().item()
        return found if math.isfinite(found) else math.inf

    def size_of(self, theta: Mapping[str, float], name: str, sign: int) -> float | None:
        """Where a further term changes the answers by twice `TAUGHT`; None where networks are lost before."""
        low, high = 1e-7, 1.0
        for _ in range(30):
            middle = math.sqrt(low * high)
            changed = self.apart({**theta, name: sign * middle}, theta)
            low, high = (middle, high) if changed < 2 * TAUGHT else (low, middle)
        reached = self.apart({**theta, name: sign * low}, theta)
        return sign * low if TAUGHT < reached < 4 * TAUGHT else None


def is_learnable(teacher: Teacher, settings: Mapping[str, Any], episodes: int = 60, seeds: int = 3) -> bool:
    """Whether no rule with one term less, trained for it, answers almost as the teacher does."""
    spec = specify(
        teacher.rule, dataset="glyphs@search", episodes=episodes, plant=dict(teacher.theta), **settings
    )
    names = teacher.rule.names
    start = tuple(teacher.theta[name] for name in names)
    groups = [names, *(tuple(n for n in names if n != gone) for gone in names if gone != START)]
    runs = [
        RunSpec(n * seeds + seed, seed, 0.0, group, start)
        for n, group in enumerate(groups)
        for seed in range(seeds)
    ]
    trainer = MetaTrainer(compile_rule(teacher.rule), spec.config.settings, runs, spec.source)
    for episode in range(episodes):
        trainer.step(episode)
    fresh = trainer.judge_fresh(60, worst=10.0)
    own, *others = (
        sum(fresh[n * seeds + seed].loss for seed in range(seeds)) / seeds for n in range(len(groups))
    )
    return all(loss - own > LEARNABLE for loss in others)


def draw_learnable(library: Rule, count: int, settings: Mapping[str, Any]) -> list[Teacher]:
    """The first teachers, by the numbers that they are drawn by, whose terms one can find out."""
    found: list[Teacher] = []
    for seed in itertools.count():
        if len(found) == count:
            break
        teacher = draw_teacher(library, seed, settings)
        if is_learnable(teacher, settings):
            found.append(teacher)
            click.echo(f"teacher {seed}: {teacher.text}", err=True)
    return found


def draw_teacher(library: Rule, seed: int, settings: Mapping[str, Any]) -> Teacher:
    """F⁰ and one to three further terms, each of which matters to the answers."""
    chance, naive = Random(seed), Class(library, seed, settings)
    theta: dict[str, float] = {START: START_THETA}
    further = 1 + seed % 3
    others = [name for name in library.names if name != START]
    chance.shuffle(others)
    for name in others:
        if len(theta) == 1 + further:
            break
        size = naive.size_of(theta, name, chance.choice((-1, 1)))
        if size is None:
            continue
        now = {**theta, name: size}
        larger = {k: 1.1 * v for k, v in now.items()}
        needed = all(naive.apart(now, {k: v for k, v in now.items() if k != gone}) > TAUGHT for gone in now)
        if needed and naive.apart(now, {}) > LEARNED and naive.apart(now, larger) < SMOOTH:
            theta = now
    return Teacher({name: float(f"{theta[name]:.4g}") for name in library.names if name in theta}, library)


def search(folder: Path, teacher: Teacher, seed: int, settings: Mapping[str, Any], plan: Search) -> Front:
    """From F⁰ alone, taught by the teacher's answers."""
    asked = Question(
        START, "axon", SIZE, Alphabet(), replace(plan, seed=seed), dict(settings), dict(teacher.theta)
    )
    return discover(asked, folder)


def equals(teacher: Teacher, rule: Judged) -> bool:
    """Whether every update of one is one of the other, as `diff` says it."""
    return not rule.ways and rule_difference(teacher.rule, rule.rule).same_family


@dataclass
class Count:
    """Of how many searches the planted rule was on the front, was preferred, and no longer one was."""

    there: int = 0
    exact: int = 0
    no_longer: int = 0

    def add(self, teacher: Teacher, front: Front) -> str:
        """What is to be said of the planted rule."""
        exact, there = equals(teacher, front.best), any(equals(teacher, rule) for rule in front.rules)
        self.exact, self.there = self.exact + exact, self.there + there
        self.no_longer += front.best.complexity <= teacher.complexity
        return "preferred" if exact else "on the front" if there else "no"


def _row(number: int, teacher: Teacher, front: Front, verdict: str, seconds: float) -> str:
    best = front.best
    gap = best.gain(front.rules[0], "choice", "loss").text("+.3f")
    return f"| {number} | `{teacher.text}` | {verdict} | `{best.text}` | {gap} | {seconds:.0f} s |"


HEAD = [
    "| | planted | found | preferred | nats above F⁰ | time |",
    "|---|---|---|---|---|---|",
]


def rows_of(
    teachers: Sequence[Teacher], settings: Mapping[str, Any], plan: Search
) -> tuple[list[str], Count]:
    """A row for each teacher; and how many were found."""
    lines, count = [*HEAD], Count()
    for number, teacher in enumerate(teachers):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            front = search(Path(folder) / "found", teacher, number, settings, plan)
        seconds = time.monotonic() - began
        lines.append(_row(number, teacher, front, count.add(teacher, front), seconds))
        click.echo(lines[-1], err=True)
    return lines, count


def _introduction(terms: int) -> list[str]:
    return [
        "# Are searches to be trusted?",
        "",
        "Labels of queries are drawn from networks that learned by a planted Θ*; `discover` starts from F⁰ "
        "alone and is",
        f"asked for the rule, among {terms} terms of class `axon`. A teacher has F⁰ and one to three further "
        "terms, drawn at random,",
        f"each so large that the answers change by {2 * TAUGHT:g} nats; without any one of them they must "
        f"change by {TAUGHT:g} nats, they must be",
        f"{LEARNED:g} nats from those of networks that never learned; a Θ* a tenth larger may change them "
        f"by {SMOOTH:g} at most;",
        f"and the others, trained without any one of them, must lose {LEARNABLE:g} nats: what others make up "
        "for, nobody finds out.",
        "*Found* is what `diff` calls equal; *preferred*: from the smallest rule of the front upwards, a",
        "larger one takes over where it is clearly better on classes never searched.",
        "Scores are losses, in nats.",
        "",
    ]


def _verdicts(planted: Sequence[str], found: Count, null: Sequence[str], quiet: Count) -> list[str]:
    teachers, nulls = len(planted) - len(HEAD), len(null) - len(HEAD)
    return [
        f"**Planted: on the front in {found.there} of {teachers}, preferred in {found.exact}; no longer rule "
        f"preferred in {found.no_longer} of {teachers}.**",
        "",
        *planted,
        "",
        "F⁰ through Wᵀ as teacher, and as start: nothing is to be gained.",
        "",
        f"**Null: no added term is called a gain in {quiet.exact} of {nulls}.**",
        "",
        *null,
    ]


@click.command()
@click.option("--teachers", type=click.IntRange(1), default=10, show_default=True)
@click.option("--nulls", type=click.IntRange(0), default=20, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Also write the page to this file."
)
def main(teachers: int, nulls: int, out: Path | None) -> None:
    """Search for rules that are known to be there, and for rules that are known not to be."""
    library = library_of(load(START), Alphabet(), Locality.axon, SIZE)
    drawn = draw_learnable(library, teachers, SMALL)
    planted, found = rows_of(drawn, SMALL, SEARCH)
    symmetric = {**SMALL, "feedback": "symmetric"}
    nothing = [Teacher({START: START_THETA}, library)] * nulls
    null, quiet = rows_of(nothing, symmetric, replace(SEARCH, rounds=NULL_ROUNDS))
    page = [*_introduction(len(library.names)), *_verdicts(planted, found, null, quiet)]
    write_page("recovery", page, out)


if __name__ == "__main__":
    main()
