"""The search: screen absent terms, race those that promise most, keep a beam.

Everything is a training of subsets of one library, so that one program serves every candidate, and every
stage is a run folder: a search that was stopped goes on where it was, and equal seeds give equal fronts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

import torch

from ruledsl.backend import CompiledRule, compile_rule
from ruledsl.discovery.budget import Search
from ruledsl.evidence import refuse_edited_document, write_sealed
from ruledsl.meta import MetaTrainer, naive_networks, worst_loss
from ruledsl.rules import Rule
from ruledsl.runs import Crews, Run, Spec
from ruledsl.selection import Fit, Stage, StageListener, Support, fit_of, train_groups
from ruledsl.settings import RunSpec
from ruledsl.storage import read_json

SCREEN_EPISODES, SCREEN_SEEDS = 8, 4
SEARCH_SEEDS, ROUND_SEEDS = 1_000_000, 1000
"""Seeds of one search, and of one round: each round sees tasks of its own."""
REFIT_SEED = 900_000
GROWTH_SHARE = 0.6
"""Of a budget of time: no round begins later; the rest is for the refits."""


@dataclass(frozen=True)
class Candidate:
    """A set of terms that took part in a race, with what it scored there."""

    fit: Fit
    round: int

    @property
    def terms(self) -> Support:
        return self.fit.terms

    @property
    def theta(self) -> dict[str, float]:
        return {name: value.mean for name, value in self.fit.theta.items()}


Said = Callable[[int, Sequence[Candidate], Rule], None]
"""(round, the rules that it keeps, the library)"""


@dataclass
class Hunt:
    """A search at work in its folder."""

    out: Path
    base: Spec
    """The library on the search's classes."""
    given: Mapping[str, Any]
    """Keywords of `train` for rules beside it."""
    start: Support
    plan: Search
    listen: StageListener
    said: Said = lambda number, found, library: None
    seconds: float = float("inf")
    crews: Crews | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def first_seed(self) -> int:
        """Searches with other seeds share no task and no network."""
        return self.plan.seed * SEARCH_SEEDS

    @cached_property
    def worst(self) -> float:
        settings = self.base.config.settings
        return worst_loss(settings, naive_networks(self.base.rule.program, settings, self.base.source))

    def fits(
        self,
        stage: Stage,
        groups: Sequence[Support],
        warm: Sequence[Mapping[str, float]],
        seeds: Sequence[int],
    ) -> list[Fit]:
        """Groups of terms trained on the search's classes, on the same tasks."""
        trained = train_groups(
            Run(self.out / stage.name), self.base, groups, warm, seeds, stage.episodes,
            lambda records: self.listen(stage, records), self.crews,
        )  # fmt: skip
        return [
            fit_of(run, terms, own, "accuracy", self.worst)
            for terms, (run, own) in zip(groups, trained, strict=True)
        ]

    def search(self) -> list[Candidate]:
        """Every candidate of the second heats, and the rule that the search started from."""
        stage = Stage("start", "the rule that the search starts from", self.plan.start_episodes)
        seeds = range(self.first_seed, self.first_seed + 2 * self.plan.search_seeds)
        first = Candidate(self.fits(stage, [self.start], [{}], seeds)[0], 0)
        found, parents = [first], [first]
        self.said(0, parents, self.base.rule)
        done = 0
        for number in range(1, self._last_round() + 1):
            if time.monotonic() - self.began > GROWTH_SHARE * self.seconds and not self._has(number):
                break
            parents = self._round(number, parents, {c.terms for c in found})
            if not parents:
                break
            done = number
            found += parents
            parents = sorted(parents, key=lambda c: -c.fit.mean)[: self.plan.beam]
            self.said(number, parents, self.base.rule)
        if not self._growth.is_file():
            write_sealed(self._growth, {"rounds": done})
        return found

    @property
    def _growth(self) -> Path:
        return self.out / "growth.json"

    def _last_round(self) -> int:
        """That of the plan, or the one at which growth ended before, for want of time say: what came after it
        was made from what was known then."""
        if not self._growth.is_file():
            return self.plan.rounds
        refuse_edited_document(self._growth)
        return int(read_json(self._growth)["rounds"])

    def _has(self, number: int) -> bool:
        """Whether a round was begun before: it is gone on with, whatever the clock says."""
        return (self.out / f"round-{number}-heat-1").exists()

    def _round(self, number: int, parents: Sequence[Candidate], known: set[Support]) -> list[Candidate]:
        """The best third of a round's candidates, after their second heat."""
        plan, seeds = self.plan, self.first_seed + number * ROUND_SEEDS
        moves: dict[Support, dict[str, float]] = {}
        for n, parent in enumerate(parents):
            absent = self._screened(f"round-{number}-screen-{n}", parent, seeds)[: plan.screened]
            for terms in (*self._grown(parent.terms, absent), *_shrunk(parent.terms)):
                if terms not in known:
                    moves.setdefault(terms, parent.theta)
        if not moves:
            return []
        groups, warm = list(moves), list(moves.values())
        first = Stage(f"round-{number}-heat-1", f"{len(groups)} candidates", plan.tries)
        heat = self.fits(first, groups, warm, range(seeds, seeds + plan.search_seeds))
        best = sorted(heat, key=lambda f: -f.mean)[: max(plan.beam, -(-len(heat) // 3))]
        second = Stage(f"round-{number}-heat-2", f"the best {len(best)} of them", plan.heats)
        learned = [{name: value.mean for name, value in f.theta.items()} for f in best]
        own = range(seeds, seeds + 2 * plan.search_seeds)
        return [Candidate(f, number) for f in self.fits(second, [f.terms for f in best], learned, own)]

    def _grown(self, terms: Support, absent: Sequence[str]) -> list[Support]:
        names = self.base.rule.names
        return [tuple(n for n in names if n in terms or n == new) for new in absent]

    def _screened(self, name: str, parent: Candidate, seed: int) -> list[str]:
        """Terms that the parent lacks: those first whose meta-gradient is clearest, over tasks and seeds.

        At θ_r = 0 the derivative by θ_r comes with every episode, so that a whole library is screened at the
        price of one rule.
        """
        path = self.out / f"{name}.json"
        if not path.is_file():
            write_sealed(path, {"terms": list(parent.terms), "clear": self._clearness(parent, seed)})
        refuse_edited_document(path)
        clear: dict[str, float] = read_json(path)["clear"]
        return sorted((n for n in clear if n not in parent.terms), key=lambda n: -clear[n])

    def _clearness(self, parent: Candidate, seed: int) -> dict[str, float]:
        """By term: |mean| of the meta-gradient in units of its own standard error."""
        names = self.base.rule.names
        theta = tuple(parent.theta.get(name, 0.0) for name in names)
        runs = [RunSpec(n, seed + n, 0.0, parent.terms, theta) for n in range(SCREEN_SEEDS)]
        trainer = MetaTrainer(self._compiled, self.base.config.settings, runs, self.base.source)
        found = torch.cat([trainer.gradients(episode) for episode in range(SCREEN_EPISODES)])
        found = found[found.isfinite().all(-1)]
        if len(found) < 2:  # the parent itself is hardly ever healthy: no order is better than another
            return dict.fromkeys(names, 0.0)
        error = found.std(0) / len(found) ** 0.5
        clear = torch.where(error > 0, found.mean(0).abs() / error, 0.0)
        return dict(zip(names, clear.tolist(), strict=True))

    @cached_property
    def _compiled(self) -> CompiledRule:
        return compile_rule(self.base.rule)


def _shrunk(terms: Support) -> list[Support]:
    """Without each of its terms, where at least two are left."""
    return [tuple(t for t in terms if t != name) for name in terms] if len(terms) > 2 else []


def finalists(found: Sequence[Candidate], count: int) -> list[Candidate]:
    """The start, then the best of each number of terms, smaller ones first; a larger one only where it scored
    higher than every smaller one.

    The start is always among them: it is what every other rule is beside.
    """
    start, grown = found[0], found[1:]
    chosen: list[Candidate] = []
    for size in sorted({len(c.terms) for c in grown}):
        best = max((c for c in grown if len(c.terms) == size), key=lambda c: c.fit.mean)
        if best.fit.mean > max((c.fit.mean for c in (*chosen, start) if len(c.terms) <= size), default=-inf):
            chosen.append(best)
    return [start, *chosen[-(count - 1) :]]
