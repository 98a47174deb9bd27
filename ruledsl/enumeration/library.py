"""Enumerated terms as a `.rule` file: a library that can be read, trained and searched like any other."""

from __future__ import annotations

from collections.abc import Sequence

from ruledsl.enumeration.classes import Enumeration, Found
from ruledsl.language import RuleDefinition, RuleTerm, TermOptions
from ruledsl.rules import rule_source
from ruledsl.wording import counted


def library_text(enumeration: Enumeration, name: str = "library") -> str:
    """A rule with every independent term, smaller ones first; what it was made from stands above it."""
    alphabet, terms = enumeration.alphabet, enumeration.library
    functions = [*alphabet.functions, *(f"trace(x, {tau:g})" for tau in alphabet.traces)]
    said = [
        f"# Every distinct term of class {enumeration.allow} or less, up to size {enumeration.size},",
        f"# that is no sum of multiples of others: {counted(len(terms), 'term')}.",
        f"# Quantities: {', '.join(alphabet.read)}.",
        f"# Operators: {' '.join(alphabet.operators)} Functions: {', '.join(functions) or 'none'}.",
    ]
    return "\n".join(said) + "\n" + rule_source(library(terms, name))


def library(terms: Sequence[Found], name: str = "library") -> RuleDefinition:
    """The terms as one rule, all coefficients from 0."""
    items = tuple(RuleTerm(found.term.name, found.term, TermOptions()) for found in terms)
    return RuleDefinition(name, items)
