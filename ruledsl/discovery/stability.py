"""What repeated searches agree on: the parts of ΔW that their rules share, in whatever terms they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from ruledsl.algebra import as_written, index_latex, index_text
from ruledsl.discovery.factoring import where
from ruledsl.discovery.front import Front
from ruledsl.discovery.judging import Judged


@dataclass(frozen=True)
class Part:
    """A product of entries such as e_post[j]·y_pre[i], which a rule has with some coefficient."""

    text: str
    latex: str


@dataclass(frozen=True)
class Recurrence:
    """A part of ΔW, and where searches found it.

    Attributes:
        part: what recurs.
        coefficients: by search: the part's coefficient in the preferred rule, None where that has it not.
        fronts: on how many searches' fronts some rule has it.
    """

    part: Part
    coefficients: tuple[float | None, ...]
    fronts: int

    @property
    def preferred(self) -> int:
        """In how many searches the preferred rule has it."""
        return sum(value is not None for value in self.coefficients)

    @property
    def sign(self) -> str:
        """`+` or `-` where all searches agree, else `±`; nothing where no preferred rule has it."""
        signs = {value > 0 for value in self.coefficients if value is not None}
        return "" if not signs else "±" if len(signs) > 1 else "+" if signs.pop() else "-"


def parts_of(rule: Judged) -> dict[Part, float]:
    """ΔW of a rule, multiplied out: each product of entries with its number.

    Searches put what they find into different terms, (a + 2 b) cᵀ or a cᵀ and b cᵀ: multiplied out it is the
    same. A part of a term that is confined to layers, or that moves B or biases, is another part.
    """
    total: dict[Part, float] = {}
    for item, form in zip(rule.rule.definition.terms, rule.rule.forms, strict=True):
        for monomial in form.monomials:
            number, inner = monomial.as_coeff_Mul(rational=True)
            product = as_written(inner) if item.term.target == "B" else inner
            own = where(item)
            part = Part(
                index_text(product) + own, index_latex(product) + (rf"\;\text{{{own}}}" if own else "")
            )
            total[part] = total.get(part, 0.0) + float(number) * rule.theta[item.name].mean
    return total


def recurring(fronts: Sequence[Front]) -> list[Recurrence]:
    """Every part that is in some search's front: those first that most preferred rules have, then most
    fronts."""
    best = [parts_of(front.best) for front in fronts]
    on_fronts = [set().union(*(parts_of(rule) for rule in front.rules)) for front in fronts]
    parts = list(dict.fromkeys(part for own in on_fronts for part in sorted(own, key=lambda p: p.text)))
    found = [
        Recurrence(part, tuple(own.get(part) for own in best), sum(part in own for own in on_fronts))
        for part in parts
    ]
    return sorted(found, key=lambda r: (-r.preferred, -r.fronts, r.part.text))


def recurring_pairs(fronts: Sequence[Front]) -> list[tuple[str, str, int]]:
    """Two parts that preferred rules of at least two searches have together, the most frequent first."""
    counts: dict[tuple[str, str], int] = {}
    for front in fronts:
        for pair in combinations(sorted(part.text for part in parts_of(front.best)), 2):
            counts[pair] = counts.get(pair, 0) + 1
    frequent = sorted(((-count, pair) for pair, count in counts.items() if count > 1))
    return [(*pair, -count) for count, pair in frequent]
