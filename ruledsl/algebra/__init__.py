"""The index form of a term, with what can be read off it: equality, locality, formulas. The only user of SymPy."""

from ruledsl.algebra.comparison import TermRelation, express
from ruledsl.algebra.contraction import contract, expand
from ruledsl.algebra.dependence import linear_relations
from ruledsl.algebra.entries import (
    POST_CELL,
    PRE_CELL,
    SIZE,
    Contract,
    Elementwise,
    Entry,
    Theta,
    free_indices,
    fresh_index,
    side_of,
)
from ruledsl.algebra.index_form import IndexForm, as_written, index_form
from ruledsl.algebra.locality import Certificate, ReadSet, certify
from ruledsl.algebra.printing import index_latex, index_text

__all__ = [
    "POST_CELL",
    "PRE_CELL",
    "SIZE",
    "Certificate",
    "Contract",
    "Elementwise",
    "Entry",
    "IndexForm",
    "ReadSet",
    "TermRelation",
    "Theta",
    "as_written",
    "certify",
    "contract",
    "expand",
    "express",
    "free_indices",
    "fresh_index",
    "index_form",
    "index_latex",
    "index_text",
    "linear_relations",
    "side_of",
]
