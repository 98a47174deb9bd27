"""What a rule will do, derived from its text and measured beside it."""

from ruledsl.theory.checking import MOMENTS, POST, PRE
from ruledsl.theory.directions import LOSS, Direction, directions
from ruledsl.theory.expectation import SIGMA_Y, expected_drift, pairings
from ruledsl.theory.explain import Explanation, TermTheory, explain
from ruledsl.theory.polynomials import NotPolynomial, degrees
from ruledsl.theory.rest import Rest, rest_of

__all__ = [
    "LOSS",
    "MOMENTS",
    "POST",
    "PRE",
    "SIGMA_Y",
    "Direction",
    "Explanation",
    "NotPolynomial",
    "Rest",
    "TermTheory",
    "degrees",
    "directions",
    "expected_drift",
    "explain",
    "pairings",
    "rest_of",
]
