"""What was found, on classes that the search never saw, beside rules that people wrote, trained as long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from statistics import fmean
from typing import Any

from ruledsl.backend import compile_rule
from ruledsl.discovery.described import Described
from ruledsl.discovery.ground import Contender, Ground, Trained
from ruledsl.discovery.search import REFIT_SEED, Candidate, Hunt
from ruledsl.discovery.settling import without_one
from ruledsl.evidence import refuse_edited_document, write_sealed
from ruledsl.meta import MetaTrainer, silent_theta
from ruledsl.rules import load
from ruledsl.runs import Run
from ruledsl.selection import Stage
from ruledsl.settings import RunSpec
from ruledsl.statistics import LEVEL, Interval
from ruledsl.storage import read_json
from ruledsl.tasks import ImageSource
from ruledsl.wording import counted

BASELINES = {
    "backprop": ("pseudo_gradient", {"feedback": "symmetric"}),
    "feedback alignment": ("pseudo_gradient", {"feedback": "fixed"}),
    "bio": ("bio", {"feedback": "fixed"}),
}
"""Rules that people wrote; backprop carries errors by the transposed weights, which no brain can."""
ACCURACY, LOSS = "accuracy", "loss"


@dataclass(frozen=True, kw_only=True)
class Judged(Described):
    """A rule with Θ from several seeds, and how it does, by seed, on each part of the classes."""

    name: str
    accuracy: Mapping[str, dict[int, float]]
    loss: Mapping[str, dict[int, float]]

    def mean(self, part: str) -> Interval:
        """Of the accuracy."""
        return Interval.of(self.accuracy[part].values())

    def scores(self, part: str, measure: str) -> dict[int, float]:
        """What the search is about, by seed; larger is better."""
        return self.accuracy[part] if measure == ACCURACY else {s: -v for s, v in self.loss[part].items()}

    def beside(self, other: Judged, part: str) -> Interval:
        """The difference in accuracy on the same tasks, seed by seed."""
        return Interval.minus(self.accuracy[part], other.accuracy[part], paired=True)

    def gain(self, other: Judged, part: str, measure: str, level: float = LEVEL) -> Interval:
        """By how much it is better, seed by seed, in what the search is about."""
        mine, theirs = (rule.scores(part, measure) for rule in (self, other))
        return Interval.minus(mine, theirs, paired=True, level=level)


def preferred(rules: Sequence[Judged], measure: str = ACCURACY, start: Judged | None = None) -> Judged:
    """The rule that is held at the end, on the choice's classes.

    From the smallest on, a larger rule takes the place of the one held until then where it is better by more
    than its interval; so what lost a seed, with an interval as wide as all, is never taken. Of equal ones the
    best comes first, but the start, the first of `rules` where it is not said, before them: what is not
    clearly better than it is no finding. All of them were candidates, so that the level is shared among them
    (Bonferroni): of searches in which nothing is better than the start, one in forty at most calls something
    better, since only one end of an interval of 95 % counts. The refits that are compared have seeds,
    networks and tasks that no race had, so that having been chosen there is no help.
    """
    start = start or rules[0]

    def order(rule: Judged) -> tuple[tuple[int, int], bool, float]:
        return rule.complexity, rule is not start, -fmean(rule.scores("choice", measure).values())

    best, *others = sorted(rules, key=order)
    level = 1 - (1 - LEVEL) / max(1, len(others))
    for rule in others:
        gain = rule.gain(best, "choice", measure, level)
        if gain.is_positive:
            best = rule
    return best


def refitted(
    hunt: Hunt, chosen: Sequence[Candidate], rounds: int, parts: Mapping[str, ImageSource]
) -> list[Judged]:
    """Finalists trained on from what the search found, without penalty, with seeds of their own; judged.

    A term that trained along may do nothing: the preferred rule is then trained without each of its terms,
    from where it came itself, until no smaller one is preferred.
    """
    episodes = hunt.question.search.refit_episodes
    stage = Stage(f"refits-{rounds}", f"{counted(len(chosen), 'rule')}, to be judged", episodes)
    sources = [c.contender() for c in chosen]
    found = _judged(hunt, stage, sources, parts)
    found = [replace(judged, round=c.round) for judged, c in zip(found, chosen, strict=True)]
    known = dict(zip([rule.key for rule in found], sources, strict=True))
    for number in count(1):
        best = preferred(found, hunt.question.search.measure)
        fewer = [c for c in without_one(known[best.key], best.rule) if c.key not in known]
        if not fewer:
            break
        text = f"the preferred rule without each of its terms, {counted(len(fewer), 'rule')}"
        stage = Stage(f"refits-{rounds}-without-{number}", text, episodes)
        known |= {contender.key: contender for contender in fewer}
        found += [replace(judged, round=best.round) for judged in _judged(hunt, stage, fewer, parts)]
    start, *others = found
    ordered = [start, *sorted(others, key=lambda rule: rule.complexity)]
    return [replace(rule, name=f"rule-{n}") for n, rule in enumerate(ordered, start=1)]


def knock_outs(hunt: Hunt, rule: Judged, rounds: int, source: ImageSource) -> dict[str, Interval]:
    """By term: a rule's accuracy without it, Θ of the others as it is (the mean over seeds), less that of the
    whole rule; on the same tasks, seed by seed. What a pathway adds to Θ is where it starts, for all of
    them."""
    path = hunt.out / f"knock-outs-{rounds}.json"
    if not path.is_file():
        write_sealed(path, {"rule": rule.name, "without": _without_each(hunt, rule, source)})
    refuse_edited_document(path)
    found: dict[str, dict[str, float]] = read_json(path)["without"]
    whole = _by_seed(found.pop(""))
    return {term: Interval.minus(_by_seed(by), whole, paired=True) for term, by in found.items()}


def _without_each(hunt: Hunt, rule: Judged, source: ImageSource) -> dict[str, dict[str, float]]:
    """By the term that is left out (by nothing, for the whole rule) and seed: the accuracy."""
    spec, seeds = hunt.ground.spec(rule.terms, rule.ways), _refit_seeds(hunt)
    silent, learned = silent_theta(spec.rule.program, spec.config.settings), rule.means
    runs: list[RunSpec] = []
    for gone in ("", *rule.terms):
        kept = {name: learned[name] for name in rule.terms if name != gone}
        theta = tuple({**silent, **kept}.values())
        runs += [RunSpec(len(runs) + k, seed, 0.0, rule.terms, theta) for k, seed in enumerate(seeds)]
    trainer = MetaTrainer(compile_rule(spec.rule), spec.config.settings, runs, source)
    judged = trainer.judge_fresh(hunt.question.search.judged_tasks)
    return {
        gone: {str(s): judged[n * len(seeds) + k].accuracy for k, s in enumerate(seeds)}
        for n, gone in enumerate(("", *rule.terms))
    }


def _by_seed(values: Mapping[str, float]) -> dict[int, float]:
    return {int(seed): value for seed, value in values.items()}


def _refit_seeds(hunt: Hunt) -> range:
    first = hunt.first_seed + REFIT_SEED
    return range(first, first + hunt.question.search.refit_seeds)


def baselines(hunt: Hunt, rounds: int, parts: Mapping[str, ImageSource]) -> list[Judged]:
    """What people wrote, trained from its start for as many episodes as lie behind any found rule; judged."""
    found = []
    episodes = hunt.question.search.behind(rounds)
    for name, (text, own) in BASELINES.items():
        theta = hunt.shelf.put(load(text))
        terms = hunt.shelf.rule(theta).names
        contender = Contender(terms, {t: theta[t] for t in terms}, tuple(own.items()))
        stage = Stage(f"baseline-{name.replace(' ', '-')}-{rounds}", f"{name}, to be judged", episodes)
        found.append(replace(_judged(hunt, stage, [contender], parts)[0], name=name, ways=()))
    return found


def _judged(
    hunt: Hunt, stage: Stage, contenders: Sequence[Contender], parts: Mapping[str, ImageSource]
) -> list[Judged]:
    plan, ground = hunt.question.search, hunt.ground
    seeds = _refit_seeds(hunt)
    trained = ground.train(stage, contenders, seeds, own=True)
    runs = {t.run.folder: t.run for t in trained}
    fresh = {folder: _fresh(ground, run, parts, plan.judged_tasks) for folder, run in runs.items()}
    return [_judgement(hunt, t, seeds, fresh[t.run.folder]) for t in trained]


def _judgement(hunt: Hunt, trained: Trained, seeds: Sequence[int], fresh: Mapping[str, Any]) -> Judged:
    learned = {r["run"]: r["theta"] for r in trained.run.result["runs"]}
    rule, own = hunt.shelf.rule(trained.contender.terms), trained.numbers

    def by_seed(what: str) -> dict[str, dict[int, float]]:
        return {
            part: {s: found[what][str(n)] for s, n in zip(seeds, own, strict=True)}
            for part, found in fresh.items()
        }

    theta = {t: Interval.of([float(learned[n][t] or 0.0) for n in own]) for t in rule.names}
    return Judged(
        name="", rule=rule, theta=theta, ways=trained.contender.ways, why=trained.contender.why,
        accuracy=by_seed(ACCURACY), loss=by_seed(LOSS),
    )  # fmt: skip


def _fresh(
    ground: Ground, run: Run, parts: Mapping[str, ImageSource], tasks: int
) -> dict[str, dict[str, dict[str, float]]]:
    """By part, measure and run: how a Θ does on tasks that no training saw; kept, to be computed once."""
    path = run.folder.with_suffix(".json")
    if not path.is_file():
        learned = {r["run"]: r["theta"] for r in run.result["runs"]}
        names, settings = run.config.terms, run.config.settings
        runs = [
            replace(spec, initial=tuple(float(learned[spec.run][name] or 0.0) for name in names))
            for spec in run.config.runs
        ]
        rule = compile_rule(run.trained_rule())
        found: dict[str, dict[str, dict[str, float]]] = {}
        for part, source in parts.items():
            judged = MetaTrainer(rule, settings, runs, source).judge_fresh(tasks, ground.worst)
            found[part] = {
                ACCURACY: {str(n): fresh.accuracy for n, fresh in judged.items()},
                LOSS: {str(n): fresh.loss for n, fresh in judged.items()},
            }
        write_sealed(path, {"fresh": found})
    refuse_edited_document(path)
    return read_json(path)["fresh"]
