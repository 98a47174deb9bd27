"""Small changes to a term's tree: a leaf exchanged, a part wrapped, multiplied or divided, or left out.

Every change is one production of the alphabet, or its reverse, so that mutants are terms that a longer
enumeration would have come to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from ruledsl.checks import shape_of
from ruledsl.enumeration.alphabet import REDUCTIONS, Alphabet
from ruledsl.enumeration.productions import POST, PRE, SHAPES, productions
from ruledsl.ir import SCALAR, Binary, Call, Expression, Name, Negate, Power, Shape, Transpose, operands
from ruledsl.language import shape_of_quantity

Path = tuple[int, ...]
ONES = ("1_post", "1_pre")
"""Their norm and mean are known: a function of them is no quantity of its own."""


def mutants(expression: Expression, alphabet: Alphabet) -> list[Expression]:
    """Every tree that one change makes of an expression, in a fixed order; what it means is not asked.

    A part's place may be taken by another quantity of its shape, by one of its own parts of that shape, or
    by what a production of the alphabet makes of it, with a quantity (or a reduction of one) beside it.

    >>> from ruledsl import load
    >>> from ruledsl.language import print_expression
    >>> (term,) = load("feedback_alignment").definition.terms
    >>> few = Alphabet(("y_post", "e_post", "y_pre"), functions=("tanh",), operators=("*",))
    >>> [print_expression(m) for m in mutants(term.term.expression, few)][2:4]
    ['-y_post * y_pre^T', '-tanh(e_post) * y_pre^T']
    """
    found: dict[Expression, None] = {}
    for path, part in _parts(expression):
        shape = shape_of(part)
        if shape in SHAPES and not isinstance(part, Negate):  # signs are free
            for changed in _changes(part, shape, alphabet):
                found.setdefault(_put(expression, path, changed))
    found.pop(expression, None)
    return list(found)


def mutant(expression: Expression, alphabet: Alphabet, chance: Random) -> Expression | None:
    """One of `mutants`, drawn; None where there is none."""
    found = mutants(expression, alphabet)
    return chance.choice(found) if found else None


def symbols(expression: Expression) -> int:
    """How many an expression has, counted as by enumeration: signs and transpositions are free."""
    own = 0 if isinstance(expression, Negate | Transpose) else 1
    return own + sum(symbols(child) for child in operands(expression))


def _parts(node: Expression, path: Path = ()) -> Iterator[tuple[Path, Expression]]:
    """Every part with its place, the whole first."""
    yield path, node
    for number, child in enumerate(operands(node)):
        yield from _parts(child, (*path, number))


def _put(node: Expression, path: Path, new: Expression) -> Expression:
    """The expression with what stands at a place exchanged."""
    if not path:
        return new
    number, *rest = path
    inner = _put(operands(node)[number], tuple(rest), new)
    match node:
        case Negate() | Transpose():
            return replace(node, operand=inner)
        case Binary():
            return replace(node, **{("left", "right")[number]: inner})
        case Power():
            return replace(node, base=inner)
        case Call():
            arguments = (*node.arguments[:number], inner, *node.arguments[number + 1 :])
            return replace(node, arguments=arguments)
        case _:
            raise AssertionError(f"{type(node).__name__} has no parts")


def _changes(part: Expression, shape: Shape, alphabet: Alphabet) -> Iterator[Expression]:
    if isinstance(part, Name):
        yield from (name for name in _leaves(shape, alphabet) if name != part)
    else:
        inside = (inner for place, inner in _parts(part) if place and not isinstance(inner, Negate))
        yield from (inner for inner in inside if shape_of(inner) == shape)
    for production in productions(alphabet):
        if production.result != shape:
            continue
        for place, wanted in enumerate(production.operands):
            if wanted != shape:
                continue
            if len(production.operands) == 1:
                yield production.tree(part)
                continue
            other = production.operands[1 - place]
            for leaf in _leaves(other, alphabet):
                yield production.tree(*((part, leaf) if place == 0 else (leaf, part)))


def _leaves(shape: Shape, alphabet: Alphabet) -> list[Expression]:
    """The smallest expressions of a shape: quantities, and for a number what functions make of a vector."""
    found: list[Expression] = [Name(q) for q in alphabet.seen if shape_of_quantity(q) == shape]
    if shape == SCALAR:
        vectors = [q for q in alphabet.seen if shape_of_quantity(q) in (POST, PRE) and q not in ONES]
        found += [Call(f, (Name(q),)) for f in alphabet.functions if f in REDUCTIONS for q in vectors]
    return found
