"""Where the vectors of a sample lie.

A library's step has a thousand vectors. With a place for each, what one sample writes drives the weights out
of the second cache; so vectors of one length share places, as a compiler's values share registers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_NAMED = re.compile(r"\bc->v(\d+)\b")


Kind = tuple[int, str]
"""How long a vector is, and the condition without which nobody writes it though it is read, as 0; empty for
one that is always written before."""


@dataclass(frozen=True)
class Places:
    """The number of each vector's place, and how long each place is."""

    of: Mapping[int, int]
    lengths: Sequence[int]

    @classmethod
    def shared(cls, lines: Sequence[str], kinds: Mapping[int, Kind]) -> Places:
        """Places of the vectors of which `kinds` tells; those of one kind share them. `lines` are all of a
        sample, in their order: a vector is needed from the statement that first names it to the last."""
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for time, statement in enumerate(_statements(lines)):
            for number in map(int, _NAMED.findall(statement)):
                if number in kinds:
                    first.setdefault(number, time)
                    last[number] = time
        of: dict[int, int] = {}
        made: list[Kind] = []
        busy: list[int] = []
        for number in sorted(first, key=first.__getitem__):
            kind, since = kinds[number], first[number]
            free = [k for k, one in enumerate(made) if one == kind and busy[k] < since]
            # The one that was left last is the likeliest to be in the first cache.
            of[number] = place = max(free, key=busy.__getitem__, default=len(made))
            if place == len(made):
                made.append(kind)
                busy.append(0)
            busy[place] = last[number]
        return cls(of, [length for length, _ in made])

    def placed(self, line: str) -> str:
        """A line in which each vector is called by its place."""
        return re.sub(r"->v(\d+)\b", lambda named: f"->{self._name(int(named[1]))}", line)

    def _name(self, number: int) -> str:
        return f"place{self.of[number]}" if number in self.of else f"v{number}"


def _statements(lines: Sequence[str]) -> Iterator[str]:
    """Lines whose braces belong together, as one: within a loop nothing is over before the loop is."""
    statement, depth = list[str](), 0
    for line in lines:
        statement.append(line)
        depth += line.count("{") - line.count("}")
        if depth == 0:
            yield "\n".join(statement)
            statement = []
