"""Whose fault a lost stream is: found by living through it again without some of the terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from ruledsl.meta.asking import Asking

AreSaved = Callable[[Tensor], Asking[Tensor]]
"""Asks whether the lost stream is healthy with each of (K, R) Θs: (K,)."""


@dataclass(frozen=True)
class Guilt:
    """Terms by number."""

    terms: list[int] = field(default_factory=list)
    """Those without which the stream would have been healthy; none where that cannot be said."""
    alone: list[int] = field(default_factory=list)
    """Those of them that lost it by themselves."""


def guilt_of(
    theta: Tensor, present: Sequence[int], matter: Tensor, are_saved: AreSaved, by_gradient: bool
) -> Asking[Guilt]:
    """Who lost the stream that Θ (R,) lived through.

    First those that lose it alone, beside what the rule started from; then, of the others, as few as are
    needed, by how much each matters. Of a chaotic gradient one term at most is guilty: where it takes several
    to end it, any of them might be left out, and to halve them all, again and again, would unlearn the rule.

    Args:
        present: terms that may be guilty. matter: (R,) what each is worth.
        by_gradient: whether the loss was healthy; then no term is asked about alone.
    """
    if not present:
        return Guilt()
    alone = [] if by_gradient else (yield from _losing_alone(theta, present, are_saved))
    if alone and (yield from _saved_without(theta, alone, are_saved)):
        return Guilt(alone, alone)
    others = sorted((r for r in present if r not in alone), key=lambda r: -float(matter[r]))
    order = [*alone, *others]
    if not (yield from _saved_without(theta, order, are_saved)):
        return Guilt()
    few, enough = len(alone), len(order)
    while enough - few > 1:
        middle = (few + enough) // 2
        if (yield from _saved_without(theta, order[:middle], are_saved)):
            enough = middle
        else:
            few = middle
    last = [*alone, order[enough - 1]]  # needed; what lies between may not be
    found = last if (yield from _saved_without(theta, last, are_saved)) else order[:enough]
    if len(found) == 1:
        return Guilt(found, found)
    return Guilt() if by_gradient else Guilt(found, alone)


def _losing_alone(theta: Tensor, present: Sequence[int], are_saved: AreSaved) -> Asking[list[int]]:
    tried = theta.repeat(len(present), 1)
    tried[:, present] = 0.0
    for row, r in enumerate(present):
        tried[row, r] = theta[r]
    saved = yield from are_saved(tried)
    return [r for row, r in enumerate(present) if not saved[row]]


def _saved_without(theta: Tensor, terms: Sequence[int], are_saved: AreSaved) -> Asking[bool]:
    tried = theta.clone()
    tried[terms] = 0.0
    saved = yield from are_saved(tried.unsqueeze(0))
    return bool(saved[0])
