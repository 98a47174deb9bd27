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
from ruledsl.selection import Fit, Stage
from ruledsl.wording import counted

MOST_SWAPS = 1200
"""Rules that are tried in one exchange: it costs as much as a round of growth, however large the library."""


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
        best = self._qualified(self._swaps(chosen), number)
        if not best:
            return list(chosen)
        text = f"the best {len(best)} of them, beside the finalists"
        return self.pruned(self._race(f"exchange-{self.rounds}-{number}", text, best))

    def _swaps(self, chosen: Sequence[Candidate]) -> list[list[_Swap]]:
        """By finalist: with other terms, those first that did best in the last round; none that raced yet."""
        known, found = set(self.source), list[list[_Swap]]()
        for c in chosen[1:]:
            new = [s for s in self._with_another(self.source[c.key], c.rule) if s.rule.key not in known]
            found.append(new[: MOST_SWAPS // len(chosen)])
            known |= {swap.rule.key for swap in found[-1]}
        return found

    def _qualified(self, swaps: Sequence[Sequence[_Swap]], number: int) -> list[Contender]:
        """Of every finalist as many, since a larger one's are better than a smaller one's.

        The new term starts where a short heat took it, on tasks of its own; the others where they were: what
        they learn there is one seed's.
        """
        hunt, plan = self.hunt, self.hunt.question.search
        new = [swap for group in swaps for swap in group]
        if not new:
            return []
        seed = hunt.first_seed + EXCHANGE_SEED + number
        text = f"{counted(len(new), 'rule')} with one term for another, to qualify"
        heat = Stage(f"exchange-{self.rounds}-{number}-heat-0", text, plan.qualifying)
        fits = hunt.ground.fits(heat, [swap.rule for swap in new], range(seed, seed + 1))
        fit_of = {swap.rule.key: fit for swap, fit in zip(new, fits, strict=True)}
        best = [
            sorted(group, key=lambda swap: -fit_of[swap.rule.key].mean)[: ceil(plan.kept / len(swaps))]
            for group in swaps
        ]
        return [swap.from_there(fit_of[swap.rule.key]) for group in best for swap in group]

    def _race(self, name: str, text: str, new: Sequence[Contender]) -> list[Candidate]:
        """The finalists of all that raced until then and of these."""
        plan, first = self.hunt.question.search, self.hunt.first_seed + PRUNING_SEED
        self.source |= {c.key: c for c in new}
        seeds = range(first, first + 2 * plan.search_seeds)
        fits = self.hunt.ground.fits(Stage(name, text, plan.heats), new, seeds)
        for contender, fit in zip(new, fits, strict=True):
            before = self.known.get(contender.key)
            # What growth had tried as well is of its round only where its Θ came from there.
            round_ = before.round if before and before.why == contender.why else self.rounds
            self.raced.append(self.hunt.candidate(contender, fit, round_))
        return finalists(self.raced, plan.finalists)

    def _with_another(self, contender: Contender, rule: Rule) -> Iterator[_Swap]:
        """A rule with each term of the library that it lacks, from 0, in the place of each of its own that
        moves the same."""
        shelf, promising = self.hunt.shelf, self.hunt.promising
        order = {name: n for n, name in enumerate(dict.fromkeys((*promising, *shelf.library.names)))}
        pairs = [(gone, new) for gone in rule.definition.terms for new in shelf.replacements(gone)]
        for gone, new in sorted(pairs, key=lambda pair: order[pair[1].name]):
            if new.name not in contender.terms:
                kept = {name: value for name, value in contender.theta.items() if name != gone.name}
                theta = {**kept, new.name: 0.0}
                why = f"exchanges {shown(gone)} for {shown(new)}"
                terms = shelf.rule(theta).names
                yield _Swap(replace(contender, terms=terms, theta=theta, why=why), new.name)


@dataclass(frozen=True)
class _Swap:
    """A rule with a term in the place of another."""

    rule: Contender
    new: str

    def from_there(self, fit: Fit) -> Contender:
        """The new term starts where it was taken."""
        return replace(self.rule, theta={**self.rule.theta, self.new: fit.theta[self.new].mean})


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
