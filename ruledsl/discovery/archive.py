"""Every rule that reached a second heat, or was made of a finalist: the best of each kind, and all that meet
what is required.

Accuracies are those of the race, on the classes that were searched: what is found here is a candidate, and
only the front is judged on classes that nobody looked at.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path
from typing import Any

from ruledsl.discovery.search import Candidate
from ruledsl.errors import SettingsError
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

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Raise `SettingsError` for a measure that nobody takes."""
        if self.measure not in known:
            near = get_close_matches(self.measure, known, 1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(known)}"
            raise SettingsError(f"there is no measure `{self.measure}`{hint}")

    def holds(self, values: Mapping[str, float]) -> bool:
        """Whether a rule meets it. Raises `SettingsError` as `refuse_unknown`."""
        self.refuse_unknown(values)
        return _SIGNS[self.sign](values[self.measure], self.bound)


def once_each(found: Sequence[Candidate]) -> list[Candidate]:
    """Every rule once, as it raced last."""
    return [c for c in {c.key: c for c in found}.values() if c.terms]


def best_of_kinds(found: Sequence[Candidate]) -> list[Candidate]:
    """The best of each complexity, locality class, what it reads and its ways; in that order."""
    best: dict[tuple[Any, ...], Candidate] = {}
    for candidate in found:
        before = best.get(candidate.kind)
        if before is None or candidate.fit.mean > before.fit.mean:
            best[candidate.kind] = candidate
    return [best[kind] for kind in sorted(best)]


def write_archive(folder: Path, found: Sequence[Candidate]) -> None:
    """archive.csv: a row for the best of each kind."""
    write_rows(folder / ARCHIVE, [_row(candidate) for candidate in best_of_kinds(found)])


def _row(candidate: Candidate) -> dict[str, Any]:
    return {
        "products": len(candidate.products),
        "locality": str(candidate.locality),
        "reads": candidate.reads,
        "accuracy_in_the_race": candidate.fit.accuracy_mean,
        "seeds": len(candidate.fit.accuracy),
        "round": candidate.round,
        "why": candidate.why,
        "formula": candidate.text,
    }


@dataclass(frozen=True)
class Family:
    """All rules that meet what is required, and what they have in common."""

    members: tuple[Candidate, ...]
    asked: int
    """Rules that were asked."""

    @classmethod
    def of(cls, found: Sequence[Candidate], requirements: Sequence[Requirement]) -> Family:
        """Raises `SettingsError` for a requirement on what was not measured."""
        # All are asked of all, so that a name which means nothing is noticed.
        verdicts = [[r.holds(c.values) for r in requirements] for c in found]
        passing = [c for c, held in zip(found, verdicts, strict=True) if all(held)]
        return cls(tuple(sorted(passing, key=lambda c: -c.fit.mean)), len(found))

    @property
    def terms(self) -> Counter[str]:
        """How many members have each term."""
        return Counter(name for member in self.members for name in member.terms)

    @property
    def pairs(self) -> Counter[tuple[str, str]]:
        """How many have both of two terms."""
        return Counter(two for m in self.members for two in combinations(sorted(m.terms), 2))
