"""Locality is a reading of the index form: which entries does ΔW[j, i] need, and through which sums?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp

from ruledsl.algebra.entries import (
    POST_CELL,
    PRE_CELL,
    Contract,
    Entry,
    children_of,
    factors_of,
    free_indices,
    side_of,
)
from ruledsl.algebra.index_form import IndexForm
from ruledsl.algebra.printing import index_text
from ruledsl.algebra.sides import as_written
from ruledsl.ir import Locality
from ruledsl.language import is_count

ReadSet = dict[str, frozenset[str]]
"""For each quantity the patterns that are read: `own` or `all` for vectors; for W `own`, `row`
(synapses that enter cell j), `column` (synapses that leave cell i) or `all`."""


@dataclass(frozen=True)
class Certificate:
    """The locality class of a term, the sums that decide it, and everything an entry reads."""

    locality: Locality
    reads: ReadSet
    reasons: tuple[str, ...]
    """One sentence per sum, with the sum written in indices, most demanding first."""


def certify(form: IndexForm, target: str = "W") -> Certificate:
    """The least class that every summand of ΔW[j, i] fits in, and the exact read set.

    A form for `B` is judged from B's own synapse; what is said of it names quantities and cells as the text
    does.
    """
    sums = sorted(_outer_sums(form.entry), key=sp.default_sort_key)
    classes = {s: _class_of_sum(s, POST_CELL, PRE_CELL) for s in sums}
    locality = max(classes.values(), default=Locality.synapse)
    ordered = sorted(sums, key=lambda s: -classes[s])
    back = as_written if target == "B" else lambda e: e
    reasons = tuple(_reason(s, classes[s], back) for s in ordered)
    return Certificate(locality, read_set(IndexForm(back(form.entry)), target), reasons)


def read_set(form: IndexForm, target: str = "W") -> ReadSet:
    """Every quantity that occurs in ΔW[j, i], with the patterns of indices it occurs at."""
    reads: dict[str, set[str]] = {}
    for atom in form.entry.atoms(Entry):
        reads.setdefault(atom.quantity, set()).add(_pattern(atom, target))
    return {name: frozenset(patterns) for name, patterns in sorted(reads.items())}


def _pattern(atom: Entry, target: str) -> str:
    if not atom.indices:
        return "own" if is_count(atom.quantity) else "broadcast"
    if len(atom.indices) == 1:
        return "own" if atom.indices[0] in (POST_CELL, PRE_CELL) else "all"
    post, pre = atom.indices
    if target == "B":
        into, out = (pre, PRE_CELL), (post, POST_CELL)
        own = [index == cell for index, cell in (into, out)]
        return {(True, True): "own", (True, False): "row", (False, True): "column"}.get(
            (own[0], own[1]), "all"
        )
    if post == POST_CELL:
        return "own" if pre == PRE_CELL else "row"
    return "column" if pre == PRE_CELL else "all"


def _outer_sums(expression: sp.Expr) -> set[Contract]:
    """The sums over cells in an expression that stand in no other sum."""
    if isinstance(expression, Contract):
        return {expression}
    return {s for argument in children_of(expression) for s in _outer_sums(argument)}


def _class_of_sum(total: Contract, post: sp.Symbol, pre: sp.Symbol) -> Locality:
    """What a cell must gather to know this sum, seen from the synapse (post, pre)."""
    if len(total.bound) != 1:
        return Locality.layer
    (bound,) = total.bound
    free = free_indices(total)
    if side_of(bound) == "pre" and free <= {post}:
        return _weighted_sum(total, post, bound, Locality.dendrite)
    if side_of(bound) == "post" and free <= {pre}:
        return _weighted_sum(total, bound, pre, Locality.axon)
    return Locality.layer


def _weighted_sum(total: Contract, post: sp.Symbol, pre: sp.Symbol, kind: Locality) -> Locality:
    """Each addend must arrive through its own synapse (post, pre): it carries that synapse's weight,
    and everything else in it can be read there."""
    weight = any(atom.indices == (post, pre) for atom in total.body.atoms(Entry))
    inner = {_class_of_sum(s, post, pre) for s in _outer_sums(total.body)}
    readable = all(free_indices(f) <= {post, pre} for f in factors_of(total.body))
    return kind if weight and readable and inner <= {Locality.synapse, kind} else Locality.layer


def _reason(total: Contract, kind: Locality, back: Callable[[sp.Expr], sp.Expr]) -> str:
    written = back(total)
    total, text = written, index_text(written)  # type: ignore[assignment]  # a sum stays one under other names
    into, out = ("j", "i") if back(POST_CELL) == POST_CELL else ("i", "j")
    if kind == Locality.dendrite:
        return (
            f"{text} is a sum over the synapses that enter cell {into}: its dendrite would have to gather it"
        )
    if kind == Locality.axon:
        return (
            f"{text} is a sum over the synapses that leave cell {out}: its axon would have to carry it back"
        )
    populations = sorted({side_of(k) for k in total.bound})
    cells = " and ".join(f"{side}synaptic" for side in populations)
    return f"{text} is a sum over the {cells} cells: every synapse would have to know the whole population"
