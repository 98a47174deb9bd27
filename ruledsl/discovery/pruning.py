"""Rules without a term: what trained along and does nothing is found out, and left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count

from ruledsl.discovery.ground import Contender
from ruledsl.discovery.ideas import shown
from ruledsl.discovery.search import PRUNING_SEED, Candidate, Hunt, finalists
from ruledsl.rules import Rule
from ruledsl.selection import Stage
from ruledsl.wording import counted


def pruned(hunt: Hunt, chosen: Sequence[Candidate], rounds: int) -> tuple[list[Candidate], list[Candidate]]:
    """Finalists once more, on tasks that they share, each beside itself without one of its terms; of what is
    best then the same, until nothing is left to be tried.

    Rules of different rounds had different tasks, and the last round's were never tried with less.

    Returns:
        The finalists, see `finalists`, and all that raced.
    """
    plan = hunt.question.search
    seeds = range(hunt.first_seed + PRUNING_SEED, hunt.first_seed + PRUNING_SEED + 2 * plan.search_seeds)
    found_in = {c.key: c.round for c in chosen}
    known: set[object] = set()
    raced: list[Candidate] = []
    new = _unknown([c.contender() for c in chosen] + _fewer(chosen), known)
    for number in count(1):
        if not new:
            break
        known |= {c.key for c in new}
        text = f"{counted(len(new), 'rule')}: finalists, and each with one term less"
        stage = Stage(f"pruning-{rounds}-{number}", text, plan.heats)
        fits = hunt.ground.fits(stage, new, seeds)
        both = zip(new, fits, strict=True)
        raced += [hunt.candidate(c, fit, found_in.get(c.key, rounds)) for c, fit in both]
        chosen = finalists(raced, plan.finalists)
        new = _unknown(_fewer(chosen), known)
    return list(chosen), raced


def _fewer(chosen: Sequence[Candidate]) -> list[Contender]:
    """What is left of each but the start without one of its terms."""
    return [fewer for c in chosen[1:] for fewer in without_one(c.contender(), c.rule)]


def _unknown(contenders: Sequence[Contender], known: Collection[object]) -> list[Contender]:
    """Each once, in the order in which they came."""
    found: dict[object, Contender] = {}
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
