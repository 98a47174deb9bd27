"""What a search chooses from: the rule that it starts with, and every term of an alphabet that says more."""

from __future__ import annotations

from dataclasses import replace

from ruledsl.algebra import Independent
from ruledsl.compiler import normal_form
from ruledsl.enumeration import Alphabet, Found, enumerate_terms
from ruledsl.ir import Locality
from ruledsl.language import RuleTerm, TermOptions
from ruledsl.rules import Rule, check


def library_of(start: Rule, alphabet: Alphabet, allow: Locality, size: int) -> Rule:
    """The start's terms, then the enumerated ones that are no sums of those before them, from 0.

    Terms that move weights entry by entry, such as `W .* W`, are left out: with one of them the whole library
    could no longer be undone step by step, and every candidate would cost three times as much.
    """
    independent = Independent()
    for piece in start.pieces:
        if piece.term.target == alphabet.target:
            independent.add(piece.form)
    found = [
        f
        for f in enumerate_terms(alphabet, allow, size).library
        if not normal_form([(0, f.form)]).dense and independent.add(f.form)
    ]
    items = tuple(_item(f, set(start.names)) for f in found)
    definition = replace(start.definition, name="library", note=None, terms=start.definition.terms + items)
    return check(definition, Locality.layer)


def _item(found: Found, taken: set[str]) -> RuleTerm:
    name = found.term.name
    while name in taken:
        name += "_"
    return RuleTerm(name, replace(found.term, name=name), TermOptions())
