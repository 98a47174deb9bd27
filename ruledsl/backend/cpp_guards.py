"""What of generated code is run only when some coefficients are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ruledsl.compiler import Condition


@dataclass
class Guards:
    """Names of the conditions of one function; each is worked out once, when it is called."""

    conditions: Sequence[Condition] = ()
    """When each value is needed, in a program of which runs have a part of the terms; empty: always."""
    flags: dict[frozenset[int], str] = field(default_factory=dict)

    def when(self, number: int) -> str:
        """The C expression that says whether a value is needed; empty for one that always is."""
        condition = self.conditions[number] if self.conditions else None
        return "" if condition is None else self.flags.setdefault(condition, f"on{len(self.flags)}")

    def within(self, user: int, number: int) -> bool:
        """Whether a value is needed wherever another one is."""
        if not self.conditions or self.conditions[number] is None:
            return True
        inner, outer = self.conditions[user], self.conditions[number]
        return inner is not None and outer is not None and inner <= outer

    def both(self, numbers: Iterable[int]) -> str:
        """Whether all of some values are needed."""
        return " && ".join(dict.fromkeys(when for n in numbers if (when := self.when(n))))

    def declared(self) -> list[str]:
        """Lines that come before everything that asks."""
        return [
            f"const bool {name} = {' || '.join(f'present[{r}]' for r in sorted(condition)) or 'false'};"
            for condition, name in self.flags.items()
        ]


def guarded(when: str, lines: Sequence[str]) -> list[str]:
    """Lines that are run only when something is there."""
    return [f"if ({when}) {{", *lines, "}"] if when and lines else [*lines]
