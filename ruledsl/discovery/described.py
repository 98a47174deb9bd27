"""What is said of a rule with its Θ, wherever it stands in a search: in the race, on the front, beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ruledsl.discovery.factoring import Product, factored, formula
from ruledsl.ir import Locality
from ruledsl.rules import Rule
from ruledsl.selection import Support
from ruledsl.statistics import Interval

Ways = tuple[tuple[str, str], ...]
"""Settings that differ from the search's, by name."""
READ = ("e_pre", "W")
"""What costs a synapse most to read: the error of the presynaptic cell, and other synapses' weights."""


def ways_text(ways: Ways) -> str:
    """`feedback direct, activation relu`."""
    return ", ".join(f"{name} {value}" for name, value in ways)


@dataclass(frozen=True, kw_only=True)
class Described:
    """A rule of its own terms alone, with Θ from several seeds."""

    rule: Rule
    theta: Mapping[str, Interval]
    ways: Ways = ()
    why: str = ""
    """What made it of another rule."""
    round: int = -1

    @property
    def terms(self) -> Support:
        return self.rule.names

    @property
    def key(self) -> tuple[Support, Ways]:
        """What makes it another rule than the next: not its Θ."""
        return self.terms, self.ways

    @property
    def means(self) -> dict[str, float]:
        return {name: value.mean for name, value in self.theta.items()}

    @cached_property
    def products(self) -> list[Product]:
        """The rule with terms that share a factor put together."""
        return factored(self.means, self.rule)

    @property
    def complexity(self) -> tuple[int, int]:
        """Products, then terms."""
        return len(self.products), len(self.terms)

    @property
    def locality(self) -> Locality:
        """The class of its most demanding term."""
        return max(self.rule.locality.values(), default=Locality.synapse)

    @property
    def reads(self) -> str:
        """What it reads of `READ`: `e_pre`, `W`, both, or neither."""
        read = frozenset[str]().union(*(form.reads for form in self.rule.forms))
        return " and ".join(name for name in READ if name in read) or "neither"

    @property
    def text(self) -> str:
        """F(Θ) on one line, with its numbers, and the settings that are its own."""
        own = f" ({ways_text(self.ways)})" if self.ways else ""
        return formula(self.means, self.rule) + own
