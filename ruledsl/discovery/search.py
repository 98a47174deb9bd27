"""The search: ask for ideas, race them, keep a beam.

Every stage is a run folder: a stopped search goes on where it was, and equal seeds give equal fronts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, inf
from pathlib import Path
from random import Random

from ruledsl.discovery.described import Described, Ways
from ruledsl.discovery.ground import Contender, Ground
from ruledsl.discovery.ideas import Grown, Idea, Proposed, Scene, proposed
from ruledsl.discovery.question import Question
from ruledsl.discovery.shelf import Shelf
from ruledsl.evidence import refuse_edited_document, write_sealed
from ruledsl.ir import LOCALITY_NAMES, Locality
from ruledsl.language import RuleDefinition
from ruledsl.selection import Fit, Stage, Support
from ruledsl.storage import read_json

SEARCH_SEEDS, ROUND_SEEDS, QUALIFYING_SEED = 1_000_000, 1000, 900
"""Seeds of one search, and of one round: each round sees tasks of its own, and so does the heat before its
first."""
EXCHANGE_SEED, PRUNING_SEED, REFIT_SEED = 700_000, 800_000, 900_000
GROWTH, PACE = "growth.json", "pace.json"
END_ROUNDS = 3.0
"""How many rounds of growth take as long as all that comes after growth, measured."""
FIRST_SHARE = 0.25
"""Of a budget of time: while no more is spent, a round begins of which nobody knows how long it takes."""
OWN_MEASURES = ("accuracy", "products", "terms")
"""What is known of a candidate beside what its runs recorded."""


@dataclass(frozen=True, kw_only=True)
class Candidate(Described):
    """A rule that took part in a race, with what it scored there."""

    fit: Fit

    @property
    def kind(self) -> tuple[int, Locality, str, Ways]:
        """How it differs from rules that it cannot replace."""
        return len(self.products), self.locality, self.reads, self.ways

    @property
    def values(self) -> dict[str, float]:
        """Everything that a requirement may name."""
        own = (self.fit.accuracy_mean, float(len(self.products)), float(len(self.terms)))
        return {**dict(zip(OWN_MEASURES, own, strict=True)), **self.fit.measured}

    def contender(self) -> Contender:
        """The same rule, to be trained on from what it learned."""
        return Contender(self.terms, self.means, self.ways, self.why)


Said = Callable[[int, Sequence[Candidate], Sequence[Candidate]], None]
"""(round, the rules that it keeps, all that were found until then)"""


@dataclass
class Hunt:
    """A search at work in its folder."""

    question: Question
    ground: Ground
    start: Contender
    said: Said = lambda number, kept, found: None
    seconds: float | None = None
    """Asked for, of all that is still to be done: growth goes on, also where it had ended before."""
    began: float = field(default_factory=time.monotonic)
    promising: tuple[str, ...] = ()
    """Terms by how well rules that had them did in the last first heat, the best first."""

    @property
    def out(self) -> Path:
        return self.ground.out

    @property
    def shelf(self) -> Shelf:
        return self.ground.shelf

    @property
    def first_seed(self) -> int:
        """Searches with other seeds share no task and no network."""
        return self.question.search.seed * SEARCH_SEEDS

    def search(self) -> tuple[list[Candidate], int]:
        """Every candidate of the second heats after the rule that the search started from, and the number of
        rounds."""
        plan = self.question.search
        stage = Stage("start", "the rule that the search starts from", plan.start_episodes)
        seeds = range(self.first_seed, self.first_seed + 2 * plan.search_seeds)
        fit = self.ground.fits(stage, [self.start], seeds)[0]
        found = [self.candidate(self.start, fit, 0)]
        parents, done, last = found, 0, self._pace()
        self.said(0, parents, found)
        for number in range(1, self._last_round() + 1):
            begun, since = self._ideas(number).exists(), time.monotonic()
            if not begun and self._is_late(last):
                break
            parents = self._round(number, parents, found)
            if not begun:
                last = time.monotonic() - since
                write_sealed(self.out / PACE, {"seconds": last})
            if not parents:
                break
            done = number
            found = [*found, *parents]
            parents = beam_of(parents, plan.beam)
            self.said(number, parents, found)
        if self.seconds is not None or not self._growth.is_file():
            write_sealed(self._growth, {"rounds": done})
        return found, done

    @property
    def _growth(self) -> Path:
        return self.out / GROWTH

    def _last_round(self) -> int:
        """That of the plan, or with a budget of time any; growth that ended stays ended unless more time is
        given: what came after it was made from what was known then."""
        plan = self.question.search
        if self.seconds is None and self._growth.is_file():
            refuse_edited_document(self._growth)
            return int(read_json(self._growth)["rounds"])
        return plan.rounds or (MOST_ROUNDS if self.seconds is not None else USUAL_ROUNDS)

    def _ideas(self, number: int) -> Path:
        """Where a round's ideas are kept: one that was begun is gone on with, whatever the clock says."""
        return self.out / f"round-{number}-ideas.json"

    def _pace(self) -> float | None:
        """Seconds that the last round took, in whatever process that ran it from its beginning to its end."""
        path = self.out / PACE
        if not path.is_file():
            return None
        refuse_edited_document(path)
        return float(read_json(path)["seconds"])

    def _is_late(self, last: float | None) -> bool:
        """Whether another round, as long as the last one, would leave too little for what comes after."""
        if self.seconds is None:
            return False
        left = self.seconds - (time.monotonic() - self.began)
        return left < ((1 - FIRST_SHARE) * self.seconds if last is None else (1 + END_ROUNDS) * last)

    def _round(
        self, number: int, parents: Sequence[Candidate], found: Sequence[Candidate]
    ) -> list[Candidate]:
        """A round's best candidates, after their second heat."""
        plan, seeds = self.question.search, self.first_seed + number * ROUND_SEEDS
        scene = self._scene(number, parents)
        path = self._ideas(number)
        said = proposed(path, scene, str(plan.seed), self.ground.refuse_unfit)
        moves = self._moves(said, {c.key for c in found})
        if not moves:
            return []
        more = f", {said.refused} more were no rules ({path.name})" if said.refused else ""
        if len(moves) > plan.starters:
            moves = self._qualified(number, moves)
        first = Stage(f"round-{number}-heat-1", f"{len(moves)} candidates{more}", plan.tries)
        heat = self.ground.fits(first, moves, range(seeds, seeds + plan.search_seeds))
        self.promising = _promising(moves, heat)
        best = sorted(range(len(moves)), key=lambda n: -heat[n].mean)[: plan.kept]
        second = Stage(f"round-{number}-heat-2", f"the best {len(best)} of them", plan.heats)
        learned = [replace(moves[n], theta={k: v.mean for k, v in heat[n].theta.items()}) for n in best]
        fits = self.ground.fits(second, learned, range(seeds, seeds + 2 * plan.search_seeds))
        return [self.candidate(c, fit, number) for c, fit in zip(learned, fits, strict=True)]

    def _qualified(self, number: int, moves: Sequence[Contender]) -> list[Contender]:
        """Those that did best in a short heat, in the order in which they were proposed, as they started:
        what they learn in it is one seed's."""
        plan, seed = self.question.search, self.first_seed + number * ROUND_SEEDS + QUALIFYING_SEED
        stage = Stage(f"round-{number}-heat-0", f"{len(moves)} candidates, to qualify", plan.qualifying)
        heat = self.ground.fits(stage, moves, range(seed, seed + 1))
        best = sorted(range(len(moves)), key=lambda n: -heat[n].mean)[: plan.starters]
        return [moves[n] for n in sorted(best)]

    def _moves(self, said: Proposed, known: set[tuple[Support, Ways]]) -> list[Contender]:
        """Ideas as contenders, each rule once and none that raced before."""
        moves: dict[tuple[Support, Ways], Contender] = {}
        for idea, rule in said.ideas:
            theta = self.shelf.put(rule)
            terms = self.shelf.rule(theta).names
            found = Contender(terms, {name: theta[name] for name in terms}, self._ways(idea), idea.why)
            if found.key not in known:
                moves.setdefault(found.key, found)
        return list(moves.values())

    def _ways(self, idea: Idea) -> Ways:
        """What an idea changes of the search's settings."""
        usual = self.ground.spec(self.shelf.library.names).config.settings.network
        return tuple(sorted((k, v) for k, v in idea.ways.items() if getattr(usual, k) != v))

    def _scene(self, number: int, parents: Sequence[Candidate]) -> Scene:
        question, library = self.question, self.shelf.library
        settings = self.ground.spec(self.start.terms).config.settings
        taken = {name for parent in parents for name in parent.terms}
        promising = tuple(n for n in self.promising if n in library.names and n not in taken)
        return Scene(
            number, tuple(map(_grown, parents)), library, promising, question.alphabet,
            LOCALITY_NAMES[question.allow], question.search, settings.depth, settings.task.stream,
            Random(),
        )  # fmt: skip

    def candidate(self, contender: Contender, fit: Fit, number: int) -> Candidate:
        """What a contender is after its heat, in a round."""
        return Candidate(
            rule=self.shelf.rule(contender.terms), theta=fit.theta, ways=contender.ways, why=contender.why,
            round=number, fit=fit,
        )  # fmt: skip


def _grown(candidate: Candidate) -> Grown:
    """A candidate as proposers see it: its terms start where its Θ is."""
    theta = candidate.means
    terms = tuple(
        t if t.options.fixed is not None else replace(t, options=replace(t.options, init=theta[t.name]))
        for t in candidate.rule.definition.terms
    )
    definition: RuleDefinition = replace(candidate.rule.definition, terms=terms)
    return Grown(definition, candidate.theta, candidate.fit.accuracy_mean, dict(candidate.ways))


def _promising(moves: Sequence[Contender], heat: Sequence[Fit]) -> tuple[str, ...]:
    """Terms by the best score of a rule that had them, the best first."""
    best: dict[str, float] = {}
    for move, fit in zip(moves, heat, strict=True):
        for name in move.terms:
            best[name] = max(best.get(name, -inf), fit.mean)
    return tuple(sorted(best, key=lambda name: -best[name]))


USUAL_ROUNDS, MOST_ROUNDS = 4, 1000
"""Of growth, where nobody says how many: without a budget of time, and with one."""


def beam_of(found: Sequence[Candidate], width: int) -> list[Candidate]:
    """The best candidates, but with one number of products no more than two thirds: a smaller rule that can
    still be changed is worth more than the third of its kind."""
    most = ceil(2 * width / 3)
    kept: list[Candidate] = []
    for candidate in sorted(found, key=lambda c: -c.fit.mean):
        alike = sum(len(c.products) == len(candidate.products) for c in kept)
        if len(kept) < width and alike < most:
            kept.append(candidate)
    return kept


def best_of_sizes(found: Sequence[Candidate]) -> list[Candidate]:
    """The start, then the best of each complexity (products, then terms), smaller ones first."""
    start, grown = found[0], found[1:]
    sizes = sorted({c.complexity for c in grown})
    return [start, *(max((c for c in grown if c.complexity == s), key=lambda c: c.fit.mean) for s in sizes)]


def finalists(found: Sequence[Candidate], count: int) -> list[Candidate]:
    """The start, then the best of each complexity, a larger one only where it scored higher than every
    smaller one: all of them on the same tasks.

    The start is always among them: it is what every other rule is beside.
    """
    start, *grown = best_of_sizes(found)
    chosen: list[Candidate] = []
    for best in grown:
        smaller = (c for c in (*chosen, start) if c.complexity <= best.complexity)
        if best.fit.mean > max((c.fit.mean for c in smaller), default=-inf):
            chosen.append(best)
    return [start, *chosen[-(count - 1) :]]
