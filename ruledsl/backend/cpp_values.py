"""Values of cells, many to a loop: what has the same length is computed entry by entry together.

A step of a rule has hundreds of small operations on vectors. One loop for each would read and write every
intermediate vector, which costs as much as the passes over the weights, and takes a compiler seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ruledsl.backend.cpp_text import scalar_text
from ruledsl.ir import LOADS, Instruction

LONGEST = 32
"""Values of one loop: compilers take more than their time for longer ones."""
ZEROS = "zeros"
"""A vector as long as any."""
Key = tuple[int, str]
"""How many entries, and when they are needed."""


@dataclass
class Values:
    """Prints values in loops.

    `ref` is the C expression of a value or vector, `length` the entries of a vector (0 for a scalar), `when`
    the condition under which a value is needed, `within` whether that of a user implies that of an argument,
    which counts as 0 where it is absent, `alone` the lines of what takes part in no loop; `kept` are values
    that somebody reads who is no instruction.
    """

    instructions: Sequence[Instruction]
    ref: Callable[[int], str]
    length: Callable[[int], int]
    when: Callable[[int], str]
    within: Callable[[int, int], bool]
    alone: Callable[[int], list[str]]
    guarded: Callable[[str, Sequence[str]], list[str]]
    users: Sequence[Sequence[int]]
    kept: frozenset[int]

    def print(self, numbers: Sequence[int]) -> list[str]:
        """C++ lines of some values, in an order that their arguments allow."""
        lines: list[str] = []
        plan = _Plan(numbers, self.instructions, self.users, self._key)
        while plan.waiting:
            if alone := plan.alone():
                for number in alone:
                    lines += self.guarded(self.when(number), self.alone(number))
                plan.finish(alone)
            else:
                group = plan.longest()
                lines += self.guarded(self.when(group[0]), self._loop(group))
                plan.finish(group)
        return lines

    def _key(self, number: int) -> Key | None:
        """What may share a loop; None for what is in none."""
        instruction = self.instructions[number]
        if instruction.op in LOADS or instruction.op == "softmax" or len(instruction.shape) == 2:
            return None
        length = self.length(number)
        return (length, self.when(number)) if length else None

    def _loop(self, group: Sequence[int]) -> list[str]:
        inside, body = set(group), list[str]()
        absent: dict[str, str] = {}
        for number in group:
            instruction = self.instructions[number]
            operands = [self._operand(number, a, inside, absent) for a in instruction.arguments]
            body.append(f"const real t{number} = {scalar_text(instruction, operands)};")
            if number in self.kept or not inside.issuperset(self.users[number]):
                body.append(f"{self.ref(number)}[i] = t{number};")
        length = self._key(group[0])[0]  # type: ignore[index]
        lines = [
            "#pragma omp simd",
            f"for (int i = 0; i < {length}; ++i) {{",
            *(f"  {line}" for line in body),
            "}",
        ]
        chosen = [f"const real* const {name} = {vector};" for vector, name in absent.items()]
        return ["{", *chosen, *lines, "}"] if absent else lines

    def _operand(self, user: int, number: int, inside: set[int], absent: dict[str, str]) -> str:
        """An entry of an argument. Where that may be absent, a vector is chosen before the loop."""
        if number in inside:
            return f"t{number}"
        vector = self.ref(number)
        if not self.instructions[number].shape:
            return vector
        if not self.within(user, number):
            vector = absent.setdefault(f"{self.when(number)} ? {vector} : {ZEROS}", f"some{len(absent)}")
        return f"{vector}[i]"


class _Plan:
    """What is still to be printed, and what may come next. Of a library that is thousands of values: only
    what depends on the last ones printed is looked at again."""

    def __init__(
        self,
        numbers: Sequence[int],
        instructions: Sequence[Instruction],
        users: Sequence[Sequence[int]],
        key: Callable[[int], Key | None],
    ) -> None:
        self.instructions, self.users = instructions, users
        self.waiting = set(numbers)
        self.places = {number: place for place, number in enumerate(numbers)}
        self.keys = {number: key(number) for number in numbers}
        self.members: dict[Key | None, list[int]] = {}
        for number in numbers:
            self.members.setdefault(self.keys[number], []).append(number)
        self.groups = {key: self._group(key) for key in self.members}

    def alone(self) -> list[int]:
        """Those that are ready and in no loop."""
        return self.groups.get(None, [])

    def longest(self) -> list[int]:
        """The longest loop that can be printed next; of equal ones the one that begins first."""
        return max(filter(None, self.groups.values()), key=lambda g: (len(g), -self.places[g[0]]))

    def finish(self, group: Sequence[int]) -> None:
        """These are known from now on."""
        self.waiting.difference_update(group)
        touched = {self.keys[group[0]]}
        touched |= {self.keys[user] for n in group for user in self.users[n] if user in self.waiting}
        for key in touched:
            self.members[key] = [n for n in self.members[key] if n in self.waiting]
            self.groups[key] = self._group(key)

    def _group(self, key: Key | None) -> list[int]:
        """What can be computed in one loop: its arguments are known, or entries of the same loop."""
        found: list[int] = []
        inside: set[int] = set()
        for number in self.members[key]:
            instruction = self.instructions[number]
            if self.waiting.intersection(instruction.arguments) - inside:
                continue
            found.append(number)
            if key is not None:
                inside.add(number)
            if key is not None and len(found) == LONGEST:
                break
        return found
