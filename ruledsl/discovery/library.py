"""What a search chooses from: the rule that it starts with, and every term of an alphabet that says more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ruledsl.algebra import Independent
from ruledsl.compiler import normal_form
from ruledsl.enumeration import Alphabet, Found, enumerate_terms
from ruledsl.ir import Locality
from ruledsl.language import RuleTerm, TermOptions
from ruledsl.rules import Rule, check


def library_of(start: Rule, alphabet: Alphabet, allow: Locality, size: int, also: Sequence[str] = ()) -> Rule:
    """The start's terms, then the enumerated ones that are no sums of those before them, from 0.

    Terms that move weights entry by entry, such as `W .* W`, are left out: with one of them the whole library
    could no longer be undone step by step, and every candidate would cost three times as much.

    Args:
        also: what terms may move beside the alphabet's target: `B`, `bias`.
    """
    terms = list(start.definition.terms)
    for target in ("", *also):
        symbols = alphabet.toward(target) if target else alphabet
        for found in _independent(start, symbols, allow, size):
            terms.append(_item(found, target, {term.name for term in terms}))
    return check(replace(start.definition, name="library", note=None, terms=tuple(terms)), Locality.layer)


def _independent(start: Rule, alphabet: Alphabet, allow: Locality, size: int) -> list[Found]:
    """Enumerated terms for one target that are no sums of the start's, nor of those before them."""
    independent = Independent()
    for piece in start.pieces:
        if piece.term.target == alphabet.target:
            independent.add(piece.form)
    return [
        f
        for f in enumerate_terms(alphabet, allow, size).library
        if not normal_form([(0, f.form)]).is_by_entries and independent.add(f.form)
    ]


def _item(found: Found, target: str, taken: set[str]) -> RuleTerm:
    name = f"{found.term.name}_{target}" if target else found.term.name
    while name in taken:
        name += "_"
    return RuleTerm(name, replace(found.term, name=name), TermOptions())
