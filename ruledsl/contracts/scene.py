"""A round of a search, as proposers are asked for."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from ruledsl.discovery import Grown, Scene, Search, library_of
from ruledsl.enumeration import Alphabet
from ruledsl.ir import Locality
from ruledsl.rules import load
from ruledsl.statistics import Interval

LEARNED = {
    "feedback_alignment": {"pseudo_gradient": 0.02},
    "bio": {"pseudo_gradient": 0.02, "error_hebb": -0.02, "oja_subspace": -0.01},
}
"""Rules that a round may have kept, with coefficients of which two agree in size."""
SEARCH = Search(mutants=4, other_feedback=("direct",), other_activation=("relu",))


def _grown(name: str) -> Grown:
    definition, theta = load(name).definition, LEARNED[name]
    terms = tuple(replace(t, options=replace(t.options, init=theta[t.name])) for t in definition.terms)
    intervals = {term: Interval(value, 0.001) for term, value in theta.items()}
    return Grown(replace(definition, terms=terms), intervals, 0.5, {})


def toy_scene(seed: int = 0) -> Scene:
    """A round of a search from feedback alignment, in which `bio` was found."""
    alphabet, allow = Alphabet(), Locality.axon
    library = library_of(load("feedback_alignment"), alphabet, allow, 3)
    parents = tuple(_grown(name) for name in LEARNED)
    return Scene(1, parents, library, library.names[-3:], alphabet, allow, SEARCH, 5, 250, Random(seed))
