"""Values of cells, many to a loop: what has the same length is computed entry by entry together.

A step of a rule has hundreds of small operations on vectors. One loop for each would read and write every
intermediate vector, which costs as much as the passes over the weights, and takes a compiler seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ruledsl.backend.cpp_text import scalar_text
from ruledsl.ir import LOADS, Instruction

LONGEST = 32
"""Values of one loop: compilers take more than their time for longer ones."""
_SUMS = ("sum", "dot")
Key = tuple[int, str]
"""How many entries, and when they are needed."""


@dataclass
class Values:
    """Prints values in loops.

    `ref` is the C expression of a value or vector, `length` the entries of a vector (0 for a scalar), `when`
    the condition under which a value is needed, `alone` the lines of what takes part in no loop; `kept` are
    values that somebody reads who is no instruction.
    """

    instructions: Sequence[Instruction]
    ref: Callable[[int], str]
    length: Callable[[int], int]
    when: Callable[[int], str]
    alone: Callable[[int], list[str]]
    guarded: Callable[[str, Sequence[str]], list[str]]
    users: Sequence[Sequence[int]]
    kept: frozenset[int]
    left: list[int] = field(default_factory=list)

    def print(self, numbers: Sequence[int]) -> list[str]:
        """C++ lines of some values, in an order that their arguments allow."""
        self.left = list(numbers)
        lines: list[str] = []
        while self.left:
            waiting = set(self.left)
            ready = [n for n in self.left if waiting.isdisjoint(self.instructions[n].arguments)]
            group = [n for n in ready if self._key(n) is None]
            if group:
                for number in group:
                    lines += self.guarded(self.when(number), self.alone(number))
            else:
                keys = dict.fromkeys(key for n in ready if (key := self._key(n)))
                group = max((self._group(key, waiting) for key in keys), key=len)
                lines += self.guarded(self.when(group[0]), self._loop(group))
            self.left = [n for n in self.left if n not in group]
        return lines

    def _key(self, number: int) -> Key | None:
        """What may share a loop; None for what is in none."""
        instruction = self.instructions[number]
        if instruction.op in LOADS or instruction.op == "softmax" or len(instruction.shape) == 2:
            return None
        length = self.length(instruction.arguments[0] if instruction.op in _SUMS else number)
        return (length, self.when(number)) if length else None

    def _group(self, key: Key, waiting: set[int]) -> list[int]:
        """What can be computed in one loop: its arguments are known, or entries of the same loop."""
        found: list[int] = []
        inside: set[int] = set()
        for number in self.left:
            instruction = self.instructions[number]
            unknown = waiting.intersection(instruction.arguments) - inside
            if self._key(number) == key and not unknown:
                found.append(number)
                if instruction.op not in _SUMS:  # a sum is known when its loop ends
                    inside.add(number)
                if len(found) == LONGEST:
                    break
        return found

    def _loop(self, group: Sequence[int]) -> list[str]:
        inside, body = set(group), []
        sums = [n for n in group if self.instructions[n].op in _SUMS]
        for number in group:
            instruction = self.instructions[number]
            operands = [self._operand(a, inside) for a in instruction.arguments]
            if number in sums:
                body.append(f"s{number} += {' * '.join(operands)};")
                continue
            body.append(f"const real t{number} = {scalar_text(instruction, operands)};")
            if number in self.kept or not inside.issuperset(self.users[number]):
                body.append(f"{self.ref(number)}[i] = t{number};")
        reduction = f" reduction(+: {', '.join(f's{n}' for n in sums)})" if sums else ""
        length = self._key(group[0])[0]  # type: ignore[index]
        return [
            "{",
            *([f"  real {', '.join(f's{n} = 0' for n in sums)};"] if sums else []),
            f"  #pragma omp simd{reduction}",
            f"  for (int i = 0; i < {length}; ++i) {{",
            *(f"    {line}" for line in body),
            "  }",
            *(f"  {self.ref(n)} = s{n};" for n in sums),
            "}",
        ]

    def _operand(self, number: int, inside: set[int]) -> str:
        if number in inside and self.instructions[number].op not in _SUMS:
            return f"t{number}"
        return f"{self.ref(number)}[i]" if self.instructions[number].shape else self.ref(number)
