"""Rules without a term: what trained along and does nothing is found out, and left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import count

from ruledsl.discovery.ground import Contender, Key
from ruledsl.discovery.ideas import shown
from ruledsl.discovery.search import PRUNING_SEED, Candidate, Hunt, best_of_sizes, finalists
from ruledsl.rules import Rule
from ruledsl.selection import Stage
from ruledsl.wording import counted


def pruned(hunt: Hunt, found: Sequence[Candidate], rounds: int) -> tuple[list[Candidate], list[Candidate]]:
    """The best of each complexity once more, on tasks that they share, each beside itself without one of its
    terms; of the finalists among them the same, until nothing is left to be tried.

    Rules of different rounds had different tasks: which is better than a smaller one of another round, the
    start among them, is not known before. And the last round's were never tried with less. Every rule goes
    through one such heat, from the Θ with which growth left it: none has lived through its tasks before.

    Args:
        found: all that growth found, the start first.

    Returns:
        The finalists, see `finalists`, and all that raced here and never before.
    """
    plan = hunt.question.search
    seeds = range(hunt.first_seed + PRUNING_SEED, hunt.first_seed + PRUNING_SEED + 2 * plan.search_seeds)
    known = {c.key: c for c in found}
    start, *grown = best_of_sizes(found)
    chosen = [start, *grown[-(plan.finalists - 1) :]]
    whole = {c.key: c.contender() for c in chosen}
    source: dict[Key, Contender] = {}
    raced: list[Candidate] = []
    new = _unknown([*whole.values(), *_fewer(chosen, whole)], source)
    for number in count(1):
        if not new:
            break
        source |= {c.key: c for c in new}
        text = f"{counted(len(new), 'rule')}: finalists, or with one term less"
        fits = hunt.ground.fits(Stage(f"pruning-{rounds}-{number}", text, plan.heats), new, seeds)
        for contender, fit in zip(new, fits, strict=True):
            candidate = hunt.candidate(contender, fit, rounds)
            before = known.get(contender.key)
            raced.append(replace(candidate, round=before.round, why=before.why) if before else candidate)
        chosen = finalists(raced, plan.finalists)
        new = _unknown(_fewer(chosen, source), source)
    return chosen, [c for c in raced if c.key not in known]


def _fewer(chosen: Sequence[Candidate], source: Mapping[Key, Contender]) -> list[Contender]:
    """What is left of each but the start without one of its terms."""
    return [fewer for c in chosen[1:] for fewer in without_one(source[c.key], c.rule)]


def _unknown(contenders: Sequence[Contender], known: Collection[Key]) -> list[Contender]:
    """Each once, in the order in which they came."""
    found: dict[Key, Contender] = {}
    for contender in contenders:
        if contender.key not in known:
            found.setdefault(contender.key, contender)
    return list(found.values())


def without_one(contender: Contender, rule: Rule) -> list[Contender]:
    """A rule without each of its terms; none of a rule with one."""
    items = {item.name: item for item in rule.definition.terms}
    found: list[Contender] = []
    for gone in contender.terms if len(contender.terms) > 1 else ():
        theta = {term: value for term, value in contender.theta.items() if term != gone}
        why = f"leaves out {shown(items[gone])}"
        found.append(
            replace(contender, terms=tuple(t for t in contender.terms if t != gone), theta=theta, why=why)
        )
    return found
