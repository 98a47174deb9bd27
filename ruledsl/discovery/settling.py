"""The end of a search: rules with one term less, or with another in its place, on tasks that all share.

What trained along and does nothing is left out; and a term that stands for a better one, which was tried when
Θ was still far from where it is now, gives way to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from ruledsl.discovery.ground import Contender, Key
from ruledsl.discovery.ideas import shown
from ruledsl.discovery.search import EXCHANGE_SEED, PRUNING_SEED, Candidate, Hunt, best_of_sizes, finalists
from ruledsl.rules import Rule
from ruledsl.selection import Stage
from ruledsl.wording import counted


def settled(hunt: Hunt, found: Sequence[Candidate], rounds: int) -> tuple[list[Candidate], list[Candidate]]:
    """The best of each complexity once more, on tasks that they share, each beside itself without one of its
    terms; of the finalists among them the same, until nothing is left to be tried; then finalists with each
    term of the library in the place of one of their own, and the best of those, and rivals, with less again.

    Rules of different rounds had different tasks: which is better than a smaller one of another round, the
    start among them, is not known before. And the last round's were never tried with less. Every rule goes
    through one such heat, from a Θ that was learned on other tasks: none has lived through its tasks before.

    Args:
        found: all that growth found, the start first.

    Returns:
        The finalists, see `finalists`, with their rivals, and all that raced here and never before.
    """
    start, *grown = best_of_sizes(found)
    final = _Final(hunt, rounds, {c.key: c for c in found})
    chosen = final.pruned([start, *grown[-(hunt.question.search.finalists - 1) :]])
    for number in range(1, hunt.question.search.exchanges + 1):
        before = {c.key for c in chosen}
        chosen = final.exchanged(chosen, number)
        if {c.key for c in chosen} <= before:
            break
    while True:
        both = with_rivals(chosen, final.raced)
        chosen = final.pruned(both)
        if chosen == both:
            return both, [c for c in final.raced if c.key not in final.known]


@dataclass
class _Final:
    """The heat that all finalists share, to which rules come one after another."""

    hunt: Hunt
    rounds: int
    known: Mapping[Key, Candidate]
    """What growth found."""
    source: dict[Key, Contender] = field(default_factory=dict)
    """By rule: how it came to the heat."""
    raced: list[Candidate] = field(default_factory=list)
    prunings: int = 0

    def pruned(self, chosen: Sequence[Candidate]) -> list[Candidate]:
        """The finalists of these, and of what is left of them without a term, again and again."""
        new = [c.contender() for c in chosen if c.key not in self.source]
        came = {c.key: c for c in new}
        while True:
            came |= self.source
            fewer = [f for c in chosen[1:] for f in without_one(came[c.key], c.rule)]
            new = _unknown([*new, *fewer], self.source)
            if not new:
                return list(chosen)
            self.prunings += 1
            name = f"pruning-{self.rounds}-{self.prunings}"
            chosen = self._race(name, f"{counted(len(new), 'rule')}: finalists, or with one term less", new)

    def exchanged(self, chosen: Sequence[Candidate], number: int) -> list[Candidate]:
        """The finalists of these, and of the best of them with another term in the place of one."""
        best = self._qualified(chosen, number)
        if not best:
            return list(chosen)
        text = f"the best {len(best)} of them, beside the finalists"
        return self.pruned(self._race(f"exchange-{self.rounds}-{number}", text, best))

    def _qualified(self, chosen: Sequence[Candidate], number: int) -> list[Contender]:
        """Of every finalist as many exchanges, since a larger one's are better than a smaller one's.

        The new term starts where a short heat took it, on tasks of its own; the others where they were: what
        they learn there is one seed's.
        """
        plan, search = self.hunt.question.search, self.hunt
        swaps: dict[Key, list[Contender]] = {}
        for c in chosen[1:]:
            known = {*self.source, *(s.key for group in swaps.values() for s in group)}
            swaps[c.key] = _unknown(list(self._with_another(self.source[c.key], c.rule)), known)
        new = [s for group in swaps.values() for s in group]
        if not new:
            return []
        seed = search.first_seed + EXCHANGE_SEED + number
        text = f"{counted(len(new), 'rule')} with one term for another, to qualify"
        heat = Stage(f"exchange-{self.rounds}-{number}-heat-0", text, plan.qualifying)
        fits = search.ground.fits(heat, new, range(seed, seed + 1))
        learned = [
            (fit.mean, replace(c, theta={k: v or fit.theta[k].mean for k, v in c.theta.items()}))
            for c, fit in zip(new, fits, strict=True)
        ]
        share, best = ceil(plan.kept / len(swaps)), list[Contender]()
        for group in swaps.values():
            own, learned = learned[: len(group)], learned[len(group) :]
            best += [c for _, c in sorted(own, key=lambda scored: -scored[0])[:share]]
        return best

    def _race(self, name: str, text: str, new: Sequence[Contender]) -> list[Candidate]:
        """The finalists of all that raced until then and of these."""
        plan, known = self.hunt.question.search, self.known
        first = self.hunt.first_seed + PRUNING_SEED
        self.source |= {c.key: c for c in new}
        seeds = range(first, first + 2 * plan.search_seeds)
        fits = self.hunt.ground.fits(Stage(name, text, plan.heats), new, seeds)
        for contender, fit in zip(new, fits, strict=True):
            candidate = self.hunt.candidate(contender, fit, self.rounds)
            before = known.get(contender.key)
            self.raced.append(replace(candidate, round=before.round, why=before.why) if before else candidate)
        return finalists(self.raced, plan.finalists)

    def _with_another(self, contender: Contender, rule: Rule) -> Iterator[Contender]:
        """A rule with each term of the library that it lacks, from 0, in the place of each of its own that
        moves the same."""
        shelf = self.hunt.shelf
        absent = [t for t in shelf.library.definition.terms if t.name not in contender.terms]
        for gone in rule.definition.terms:
            kept = {name: value for name, value in contender.theta.items() if name != gone.name}
            for item in absent:
                if item.term.target == gone.term.target:
                    theta = {**kept, item.name: 0.0}
                    why = f"{shown(gone)} → {shown(item)}"
                    yield replace(contender, terms=shelf.rule(theta).names, theta=theta, why=why)


def with_rivals(chosen: Sequence[Candidate], raced: Sequence[Candidate]) -> list[Candidate]:
    """Finalists, each but the start followed by the second of its complexity where the race does not tell the
    two apart: scores are means over episodes in which a term that came late was still learning."""
    taken, found = {c.key for c in chosen}, list(chosen[:1])
    for best in chosen[1:]:
        found.append(best)
        others = [c for c in raced if c.complexity == best.complexity and c.key not in taken]
        second = max(others, key=lambda c: c.fit.mean, default=None)
        if second is not None and not best.fit.is_clearly_above(second.fit):
            found.append(second)
    return found


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
