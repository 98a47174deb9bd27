"""Every rule that reached a second heat: the best of each kind, and all that meet what is required.

Accuracies are those of the race, on the classes that were searched: what is found here is a candidate, and
only the front is judged on classes that nobody looked at.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from ruledsl.discovery.ground import Ways
from ruledsl.discovery.search import Candidate, costly
from ruledsl.errors import SettingsError
from ruledsl.ir import Locality
from ruledsl.storage import write_rows

ARCHIVE = "archive.csv"
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_REQUIREMENT = re.compile(r"\s*(\w+)\s*(>=|<=|>|<)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")


@dataclass(frozen=True)
class Requirement:
    """A measure that must lie on one side of a number.

    >>> Requirement.read("accuracy > 0.7").holds({"accuracy": 0.75})
    True
    """

    measure: str
    sign: str
    bound: float

    @classmethod
    def read(cls, text: str) -> Requirement:
        """`accuracy > 0.7`, `alpha_1 < 60`. Raises `SettingsError` for another text."""
        found = _REQUIREMENT.fullmatch(text)
        if found is None:
            raise SettingsError(
                f"a requirement is a measure, a sign and a number, such as 'accuracy > 0.7', not `{text}`"
            )
        return cls(found[1], found[2], float(found[3]))

    def holds(self, values: Mapping[str, float]) -> bool:
        """Whether a rule meets it. Raises `SettingsError` for a measure that nobody took."""
        if self.measure not in values:
            near = get_close_matches(self.measure, list(values), 1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(values)}"
            raise SettingsError(f"there is no measure `{self.measure}`{hint}")
        return _SIGNS[self.sign](values[self.measure], self.bound)


@dataclass(frozen=True)
class Entry:
    """A candidate, with what it needs and what was measured of it."""

    candidate: Candidate

    @cached_property
    def products(self) -> int:
        return self.candidate.products

    @property
    def locality(self) -> Locality:
        return self.candidate.locality

    @property
    def reads(self) -> str:
        """`e_pre`, `W`, both, or neither."""
        return costly(self.candidate.rule)

    @property
    def kind(self) -> tuple[int, Locality, str, Ways]:
        return self.products, self.locality, self.reads, self.candidate.ways

    @property
    def values(self) -> dict[str, float]:
        """Everything that a requirement may name."""
        own = {"accuracy": self.candidate.fit.accuracy_mean, "products": float(self.products)}
        return {**own, "terms": float(len(self.candidate.terms)), **self.candidate.fit.measured}

    def row(self) -> dict[str, Any]:
        return {
            "products": self.products,
            "locality": str(self.locality),
            "reads": self.reads,
            "accuracy_in_the_race": self.candidate.fit.accuracy_mean,
            "seeds": len(self.candidate.fit.accuracy),
            "round": self.candidate.round,
            "why": self.candidate.why,
            "formula": self.candidate.text,
        }


def entries_of(found: Sequence[Candidate]) -> list[Entry]:
    """Candidates, each rule once."""
    return [Entry(c) for c in {(c.terms, c.ways): c for c in found}.values() if c.terms]


def best_of_kinds(entries: Sequence[Entry]) -> list[Entry]:
    """The best of each complexity, locality class, what it reads and its ways; in that order."""
    best: dict[tuple[int, Locality, str, Ways], Entry] = {}
    for entry in entries:
        before = best.get(entry.kind)
        if before is None or entry.candidate.fit.mean > before.candidate.fit.mean:
            best[entry.kind] = entry
    return [best[kind] for kind in sorted(best)]


def write_archive(folder: Path, entries: Sequence[Entry]) -> None:
    """archive.csv: a row for the best of each kind."""
    write_rows(folder / ARCHIVE, [entry.row() for entry in best_of_kinds(entries)])


@dataclass(frozen=True)
class Family:
    """All rules that meet what is required, and what they have in common."""

    members: tuple[Entry, ...]
    of: int
    """Rules that were asked."""

    @classmethod
    def of_entries(cls, entries: Sequence[Entry], requirements: Sequence[Requirement]) -> Family:
        """Raises `SettingsError` for a requirement on what was not measured."""
        # All are asked of all, so that a name which means nothing is noticed.
        verdicts = [[r.holds(e.values) for r in requirements] for e in entries]
        passing = [e for e, held in zip(entries, verdicts, strict=True) if all(held)]
        return cls(tuple(sorted(passing, key=lambda e: -e.candidate.fit.mean)), len(entries))

    @property
    def terms(self) -> Counter[str]:
        """How many members have each term."""
        return Counter(name for entry in self.members for name in entry.candidate.terms)

    @property
    def pairs(self) -> Counter[tuple[str, str]]:
        """How many have both of two terms."""
        return Counter(two for e in self.members for two in combinations(sorted(e.candidate.terms), 2))
