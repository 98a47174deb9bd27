"""A synapse and the feedback synapse beside it: trees and forms with pre and post exchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import sympy as sp

from ruledsl.algebra.entries import SIZE, Entry, entry
from ruledsl.ir import Binary, Call, Expression, Name, Negate, Power, Transpose
from ruledsl.language import OTHER_SIDE


def seen_from_feedback(node: Expression) -> Expression:
    """The expression with pre and post exchanged: B's synapse runs from the postsynaptic to the presynaptic
    cell.

    From there it is a forward synapse like any other, so algebra, locality and lowering need no second form.
    """
    return _exchanged(node, OTHER_SIDE)


def told_to_feedback(node: Expression) -> Expression:
    """The inverse: what B's own synapse sees, in the names that the text of its terms has."""
    return _exchanged(node, _OWN_SIDE)


_OWN_SIDE = {other: own for own, other in OTHER_SIDE.items()}


def _exchanged(node: Expression, names: Mapping[str, str]) -> Expression:
    match node:
        case Name(name):
            return replace(node, name=names.get(name, name))
        case Negate(operand) | Transpose(operand):
            return replace(node, operand=_exchanged(operand, names))
        case Binary(_, left, right):
            return replace(node, left=_exchanged(left, names), right=_exchanged(right, names))
        case Power(base, exponent):
            return replace(node, base=_exchanged(base, names), exponent=_exchanged(exponent, names))
        case Call(_, arguments):
            return replace(node, arguments=tuple(_exchanged(a, names) for a in arguments))
        case _:
            return node


def as_written(expression: sp.Expr) -> sp.Expr:
    """A form of B in the names of its text again: the inverse of `seen_from_feedback`, indices included."""
    symbols = {s for s in expression.atoms(sp.Symbol) if s.is_integer}
    swapped = {s: _across(s) for s in symbols}
    entries = {
        atom: entry(_OWN_SIDE.get(atom.quantity, atom.quantity), *(swapped[i] for i in atom.indices))
        for atom in expression.atoms(Entry)
    }
    return expression.xreplace(entries | swapped)  # type: ignore[return-value]


def _across(symbol: sp.Symbol) -> sp.Symbol:
    """The index, or size, of the other side that has the same place in its naming scheme."""
    name = symbol.name
    if name.startswith("n_"):
        return SIZE["post" if name == "n_pre" else "pre"]
    return sp.Symbol(("i" if name[0] == "j" else "j") + name[1:], integer=True)
