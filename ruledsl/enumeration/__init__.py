"""Every distinct term of an alphabet within a locality class, up to a size: what a search may choose from."""

from ruledsl.enumeration.alphabet import OPERATORS, REDUCTIONS, USUAL, Alphabet
from ruledsl.enumeration.classes import Enumeration, Found, enumerate_terms
from ruledsl.enumeration.growth import Growth, written
from ruledsl.enumeration.library import library, library_text
from ruledsl.enumeration.mutation import mutant, mutants, symbols
from ruledsl.enumeration.points import Points, Value, evaluate
from ruledsl.enumeration.productions import Production, productions

__all__ = [
    "OPERATORS",
    "REDUCTIONS",
    "USUAL",
    "Alphabet",
    "Enumeration",
    "Found",
    "Growth",
    "Points",
    "Production",
    "Value",
    "enumerate_terms",
    "evaluate",
    "library",
    "library_text",
    "mutant",
    "mutants",
    "productions",
    "symbols",
    "written",
]
