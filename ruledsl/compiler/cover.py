"""The fewest rank-one updates: a minimum vertex cover of the bipartite graph of factors.

A sum Σ c_fg f gᵀ is written with one pair per covering vertex: (f, Σ_g c_fg g) for a covering f and
(Σ_f c_fg f, g) for a covering g. Kőnig's theorem gives the smallest cover from a largest matching.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

L = TypeVar("L", bound=Hashable)
R = TypeVar("R", bound=Hashable)


def minimum_cover(edges: Iterable[tuple[L, R]]) -> tuple[set[L], set[R]]:
    """Left and right vertices that touch every edge, as few as possible; deterministic in edge order."""
    neighbours: dict[L, list[R]] = {}
    for left, right in edges:
        neighbours.setdefault(left, []).append(right)
    partner: dict[R, L] = {}
    for left in neighbours:
        _augment(left, neighbours, partner, set())
    matched = set(partner.values())
    reached_left: set[L] = set()
    reached_right: set[R] = set()
    for left in neighbours:
        if left not in matched:
            _alternate(left, neighbours, partner, reached_left, reached_right)
    return set(neighbours) - reached_left, reached_right


def _augment(left: L, neighbours: dict[L, list[R]], partner: dict[R, L], seen: set[R]) -> bool:
    for right in neighbours[left]:
        if right in seen:
            continue
        seen.add(right)
        if right not in partner or _augment(partner[right], neighbours, partner, seen):
            partner[right] = left
            return True
    return False


def _alternate(
    left: L, neighbours: dict[L, list[R]], partner: dict[R, L], reached_left: set[L], reached_right: set[R]
) -> None:
    """Vertices on alternating paths from an unmatched left vertex (Kőnig's construction)."""
    if left in reached_left:
        return
    reached_left.add(left)
    for right in neighbours[left]:
        reached_right.add(right)
        if right in partner:
            _alternate(partner[right], neighbours, partner, reached_left, reached_right)
