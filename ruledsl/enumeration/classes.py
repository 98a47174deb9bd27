"""Enumerated terms by locality, each once: equal up to a factor in index form means the same term."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ruledsl.algebra import (
    Certificate,
    Independent,
    IndexForm,
    certify,
    direction,
    index_form,
    told_to_feedback,
)
from ruledsl.enumeration.alphabet import Alphabet
from ruledsl.enumeration.growth import Form, Growth, written
from ruledsl.enumeration.productions import POST, PRE
from ruledsl.ir import SCALAR, WEIGHTS, Binary, Expression, Locality, Name, RuleError, Shape, Transpose
from ruledsl.language import Term, print_expression

Tick = Callable[[int, int], None]
"""(expressions built, those that the size at hand makes it)"""


@dataclass(frozen=True)
class Found:
    """A term that no smaller one is a multiple of."""

    size: int
    term: Term
    form: IndexForm
    certificate: Certificate
    independent: bool
    """Whether it is no sum of multiples of the terms before it."""

    @property
    def text(self) -> str:
        return print_expression(self.term.expression)


@dataclass
class Enumeration:
    """All terms of an alphabet within a locality class, up to a size; smaller ones first.

    With a class below `layer` every *part* of a term must keep to it too: a sum over a population that
    cancels later is not followed.

    >>> Enumeration(Alphabet(), Locality.synapse, 3).table()[2][:2]
    (3, 12)
    """

    alphabet: Alphabet
    allow: Locality
    size: int
    terms: list[Found] = field(default_factory=list)
    built: int = 0
    refused: int = 0
    """Distinct expressions that the language refuses, such as those it cannot bring into index form."""

    @property
    def library(self) -> list[Found]:
        """The terms whose coefficients can be told apart."""
        return [found for found in self.terms if found.independent]

    def table(self) -> list[tuple[int, int, dict[Locality, int], int]]:
        """By size: forms that can be written, distinct terms by class, and how many are independent."""
        counts = Counter((f.size, f.certificate.locality) for f in self.terms)
        independent = Counter(f.size for f in self.library)
        classes = [c for c in Locality if c <= min(self.allow, Locality.layer)]
        return [
            (n, count, {c: counts[n, c] for c in classes}, independent[n])
            for n, count in enumerate(written(self.alphabet, self.size), start=1)
        ]


def enumerate_terms(
    alphabet: Alphabet | None = None,
    allow: Locality = Locality.layer,
    size: int = 7,
    tick: Tick = lambda built, planned: None,
) -> Enumeration:
    """Every distinct term of an alphabet within a locality class, up to a size.

    >>> from ruledsl import Locality
    >>> found = enumerate_terms(allow=Locality.synapse, size=3)
    >>> [f"{f.term.name} = {f.text}" for f in found.library[:2]]
    ['t1 = W', 't2 = W .* W']
    """
    alphabet = alphabet or Alphabet()
    result = Enumeration(alphabet, allow, size)
    growth = Growth(alphabet, _keeper(allow))
    known: set[object] = set()
    independent = Independent()
    for form in growth.terms(size):
        tick(growth.built, growth.planned)
        found = _judged(alphabet, form)
        if found is None:
            result.refused += 1
            continue
        term, index = found
        key = direction(index)
        certificate = certify(index, term.target)
        if key in known or certificate.locality > allow:
            continue
        known.add(key)
        named = Term(f"t{len(result.terms) + 1}", term.expression, target=term.target)
        result.terms.append(Found(form.size, named, index, certificate, independent.add(index)))
    result.built = growth.built
    return result


def _judged(alphabet: Alphabet, form: Form) -> tuple[Term, IndexForm] | None:
    """The term as its target's text has it, with its index form; None where the language refuses it."""
    tree = told_to_feedback(form.tree) if alphabet.target == "B" else form.tree
    term = Term("enumerated", tree, target=alphabet.target)
    try:
        return term, index_form(term)
    except RuleError:
        return None


def _keeper(allow: Locality) -> Callable[[Expression, Shape], bool]:
    """Says of a part whether a synapse of this class may know it."""

    def keep(tree: Expression, shape: Shape) -> bool:
        if allow >= Locality.layer or shape not in _SPREAD:
            return True
        try:
            return certify(index_form(Term("part", _SPREAD[shape](tree)))).locality <= allow
        except RuleError:
            return False

    return keep


_ONES = Binary("*", Name("1_post"), Transpose(Name("1_pre")))
_SPREAD: dict[Shape, Callable[[Expression], Expression]] = {
    SCALAR: lambda tree: Binary("*", tree, _ONES),
    POST: lambda tree: Binary("*", tree, Transpose(Name("1_pre"))),
    PRE: lambda tree: Binary("*", Name("1_post"), Transpose(tree)),
    WEIGHTS: lambda tree: tree,
}
"""A part as a term of its own. Matrices between cells of one side are judged by what they end up in."""
