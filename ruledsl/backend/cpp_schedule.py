"""In which order the values of a sample come, so that matrices are read as few times as can be."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ruledsl.backend.cpp_structure import Structure
from ruledsl.ir import Slot


@dataclass(frozen=True)
class Schedule:
    """Values by number. `when` gives the condition under which one is needed, `users` those that read it."""

    structure: Structure
    when: Callable[[int], str]
    users: Sequence[Sequence[int]]

    def steps(self, remaining: Sequence[int]) -> Iterator[list[int]]:
        """What comes together: values that need no matrix, sums over entries of computed matrices of one
        shape, or products of one matrix."""
        waiting = dict.fromkeys(remaining)
        while waiting:
            found = self._plain(waiting) or self._entries(waiting) or self._products(waiting)
            yield found
            for number in found:
                del waiting[number]

    def _plain(self, waiting: dict[int, None]) -> list[int]:
        """Values that need no matrix any more, and those that follow from them."""
        left, found = set(waiting), list[int]()
        for number in waiting:
            known = left.isdisjoint(self.structure.instructions[number].arguments)
            if known and not self._reads(number):
                found.append(number)
                left.discard(number)
        return found

    def _entries(self, waiting: dict[int, None]) -> list[int]:
        ready = [n for n in self._ready(waiting, waiting) if self.structure.by_entries(n)]
        if not ready:
            return []
        dims, when = self.structure.dims(ready[0]), self.when(ready[0])
        return [n for n in ready if self.structure.dims(n) == dims and self.when(n) == when]

    def _products(self, waiting: dict[int, None]) -> list[int]:
        """Those of a matrix of which no further product is waiting, if there is one. Else of one that has to
        be read now, as others wait for what comes of it; the other products of a matrix can wait too."""
        of: dict[Slot, list[int]] = {}
        for number in waiting:
            if matrix := self.structure.matrix_of(number):
                of.setdefault(matrix, []).append(number)
        ready = {m: found for m, numbers in of.items() if (found := self._ready(numbers, waiting))}

        def urgency(matrix: Slot) -> tuple[bool, int]:
            late = len(of[matrix]) - len(ready[matrix])
            return bool(late) and self._leads_on.isdisjoint(ready[matrix]), late

        return ready[min(ready, key=urgency)]

    def _ready(self, numbers: Iterable[int], waiting: Container[int]) -> list[int]:
        arguments = [(n, self.structure.instructions[n].arguments) for n in numbers]
        return [n for n, needed in arguments if not any(a in waiting for a in needed)]

    def _reads(self, number: int) -> bool:
        return self.structure.matrix_of(number) is not None or self.structure.by_entries(number)

    @cached_property
    def _leads_on(self) -> frozenset[int]:
        """Values that something which reads matrices depends on."""
        found: set[int] = set()
        for number in reversed(range(len(self.users))):
            if any(user in found or self._reads(user) for user in self.users[number]):
                found.add(number)
        return frozenset(found)
