"""What a rule will do, derived from its text and measured beside it."""

from ruledsl.theory.checking import MOMENTS, POST, PRE, numbers
from ruledsl.theory.conserved import invariants
from ruledsl.theory.directions import LOSS, Direction, directions
from ruledsl.theory.expectation import SIGMA_Y, expected_drift, pairings
from ruledsl.theory.explain import Explanation, TermTheory, explain, explain_rule
from ruledsl.theory.findings import Analysed, Finding
from ruledsl.theory.polynomials import Function, NotPolynomial, degrees
from ruledsl.theory.rest import Rest, rest_of

__all__ = [
    "LOSS",
    "MOMENTS",
    "POST",
    "PRE",
    "SIGMA_Y",
    "Analysed",
    "Direction",
    "Explanation",
    "Finding",
    "Function",
    "NotPolynomial",
    "Rest",
    "TermTheory",
    "degrees",
    "directions",
    "expected_drift",
    "explain",
    "explain_rule",
    "invariants",
    "numbers",
    "pairings",
    "rest_of",
]
