"""How far from 0 the coefficients of terms that start there may be: felt for at first, then learned from what
goes well and from what is lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ruledsl.meta.asking import Asking

WIDEST = 1e30
ONE_IN = 50
"""Of so many streams a term may lose one."""
QUARTERINGS = 8
"""Of what a coefficient is tried at; what is too far even then is left there."""


@dataclass
class Room:
    """How far from 0 each coefficient may be, below and above: (R,) each."""

    below: Tensor
    above: Tensor
    reach: Tensor
    """How far it may be moved from where it is, to the side where that is less."""
    blamed: Tensor
    """How often a term was found to lose a stream."""
    slopes: Tensor
    """Running mean of |∂loss/∂θ| in healthy episodes: with θ, what a term matters."""
    lost: Tensor
    """How many streams a term lost by itself."""
    owed: Tensor
    """For how many healthy episodes a term sits out, its coefficient at 0."""

    @classmethod
    def of_size(cls, size: Tensor) -> Room:
        """The same (R,) to both sides, nobody blamed.

        >>> import torch
        >>> Room.of_size(torch.tensor([1.0, 2.0])).inside(torch.tensor([5.0, -1.0])).tolist()
        [1.0, -1.0]
        """
        sizes, zeros = (size.clone() for _ in range(3)), torch.zeros(4, *size.shape, dtype=size.dtype)
        return cls(*sizes, *zeros)

    @property
    def out(self) -> Tensor:
        """(R,) which terms sit out."""
        return self.owed > 0

    def inside(self, theta: Tensor) -> Tensor:
        """The nearest Θ (R,) that it has room for."""
        return torch.where(self.out, 0.0, torch.minimum(torch.maximum(theta, -self.below), self.above))

    def grown(self, gradient: Tensor, trust: float, forgiveness: float) -> Room:
        """After a healthy episode: a part `trust` wider, or `forgiveness` over one more than how often a term
        was blamed; not where a term sat out, of which nothing was learned."""
        slow = torch.where(self.out, 0.0, forgiveness / (1 + self.blamed))
        growth = 1.0 + torch.where(self.blamed > 0, slow, torch.full_like(slow, trust))
        slopes = 0.8 * self.slopes + 0.2 * gradient.abs()
        below, above, reached = (_wider(size, growth) for size in (self.below, self.above, self.reach))
        owed = (self.owed - 1.0).clamp_min(0.0)
        return Room(below, above, reached, self.blamed, slopes, self.lost, owed)

    def confine(self, term: int, theta: float, part: float) -> None:
        """Leave a guilty term this part of what it took, on that side of 0."""
        side = self.above if theta > 0 else self.below
        side[term] = abs(theta) * part
        self.reach[term] = torch.minimum(self.reach[term], side[term])
        self.blamed[term] += 1

    def send_out(self, term: int, lived: int, streams: int = 1) -> None:
        """A term that lost a stream by itself sits out until it has lost no more than one in `ONE_IN` of
        them, of which each of the `lived` episodes has so many."""
        self.lost[term] += 1
        self.owed[term] = (ONE_IN * self.lost[term] / streams - lived).clamp_min(0.0)

    def state(self) -> dict[str, Any]:
        """As JSON, which has no infinity."""
        values = {name: value.tolist() for name, value in vars(self).items()}
        return {n: [v if math.isfinite(v) else None for v in listed] for n, listed in values.items()}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Room:
        """What `state` said. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        listed = (state[field.name] for field in fields(cls))
        numbers = ([math.inf if v is None else float(v) for v in each] for each in listed)
        return cls(*(torch.tensor(each, dtype=torch.float64) for each in numbers))


def _wider(size: Tensor, growth: Tensor) -> Tensor:
    """Finite sizes stay so, however long a training is: a state tells them from those without end."""
    return torch.where(size.isfinite(), (size * growth).clamp(max=WIDEST), size)


def reach(
    theta: Tensor, sizes: Tensor, terms: Sequence[int], are_fine: Callable[[Tensor], Asking[Tensor]]
) -> Asking[tuple[Tensor, Tensor]]:
    """How far some coefficients may be moved, each by itself, below and above Θ (R,): (R,) each.

    Args:
        sizes: (R,) what is tried first; then a fourth of it, and so on until it is fine.
        terms: which of them; the others' reach is their size.
        are_fine: asks whether networks live well with each of (K, R) Θs: (K,).
    """
    found = sizes.repeat(2, 1)
    sides = [(side, term) for side in (0, 1) for term in terms]
    for _ in range(QUARTERINGS):
        if not sides:
            break
        tried = theta.repeat(len(sides), 1)
        for row, (side, term) in enumerate(sides):
            tried[row, term] += found[side, term] if side else -found[side, term]
        fine = yield from are_fine(tried)
        sides = [side for side, is_well in zip(sides, fine.tolist(), strict=True) if not is_well]
        for side in sides:
            found[side] /= 4
    return found[0], found[1]
