"""Which values of a step matter when some coefficients are absent.

One program serves every subset of a library of terms; most of what it computes is then a sum of nothing, or
goes into the gradient of a coefficient that nobody asks for. Values are followed twice through a step and its
adjoint: forwards by what they are 0 without, backwards by whom they are computed for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ruledsl.compiler.adjoint import StepAdjoint
from ruledsl.ir import Instruction, Kind, Program, Slot

Condition = frozenset[int] | None
"""Coefficients of which at least one must be present for a value to matter; None for one that always does."""

_FACTORS = frozenset({"mul", "outer", "matvec", "rmatvec", "matmul", "dot"})
"""0 as soon as one argument is."""
_LINEAR = frozenset({"neg", "sum", "row_sum", "column_sum", "rows", "columns", "transpose", "fill"})
_SUMS = frozenset({"add", "sub"})


@dataclass(frozen=True)
class Presence:
    """By instruction: when it must be computed. Where it need not be, it may be read as 0."""

    forward: tuple[Condition, ...]
    backward: tuple[Condition, ...]


def presence(pair: StepAdjoint) -> Presence:
    """Of a step and its adjoint. Where the exact condition would need an *and*, one side of it is taken: what
    is computed in vain costs time, and changes nothing."""
    alive = _alive(pair.forward, {})
    saved = {Slot(Kind.saved, n): alive[n] for n in pair.saved}
    alive_back = _alive(pair.backward, saved)
    backward = _wanted(pair.backward, alive_back, {})
    loads = pair.backward.inputs()
    read = {n: backward[loads[s]] for n in pair.saved if (s := Slot(Kind.saved, n)) in loads}
    return Presence(_wanted(pair.forward, alive, read), backward)


def either(conditions: Iterable[Condition]) -> Condition:
    """When at least one of them holds; of none, never."""
    found: frozenset[int] = frozenset()
    for condition in conditions:
        if condition is None:
            return None
        found |= condition
    return found


def both(conditions: Iterable[Condition]) -> Condition:
    """No less often than when all of them hold: the rarest of them."""
    known = [condition for condition in conditions if condition is not None]
    return min(known, key=len) if known else None


def _alive(program: Program, saved: Mapping[Slot, Condition]) -> list[Condition]:
    """Without which coefficients each value is 0."""
    found: list[Condition] = []
    for instruction in program.instructions:
        found.append(_alive_one(instruction, [found[a] for a in instruction.arguments], saved))
    return found


def _alive_one(
    instruction: Instruction, arguments: Sequence[Condition], saved: Mapping[Slot, Condition]
) -> Condition:
    op = instruction.op
    if op == "theta":
        return frozenset({int(instruction.parameter or 0)})
    if op == "input":
        return saved.get(instruction.slot)
    if op in _FACTORS:
        return both(arguments)
    if op in _LINEAR:
        return arguments[0]
    return either(arguments) if op in _SUMS else None


def _wanted(
    program: Program, alive: Sequence[Condition], read: Mapping[int, Condition]
) -> tuple[Condition, ...]:
    """When each value is not 0 and somebody needs it. `read`: who reads it elsewhere, and when."""
    users: list[list[Condition]] = [[] for _ in program.instructions]
    for number, condition in read.items():
        users[number].append(condition)
    for slot, number in program.outputs:
        own = frozenset({slot.number}) if slot.kind == Kind.coefficient else None
        users[number].append(own)
    for update in program.updates:
        for number in (update.kappa, update.dense):
            if number is not None:
                users[number].append(alive[number])
        for pair in (*update.pairs, *update.gains):
            for number in pair:
                users[number].append(both(alive[n] for n in pair))
    found: list[Condition] = [None] * len(users)
    for number in range(len(users) - 1, -1, -1):
        found[number] = both([either(users[number]), alive[number]])
        for argument in program.instructions[number].arguments:
            users[argument].append(found[number])
    return tuple(found)
