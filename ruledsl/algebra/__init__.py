"""The index form of a term, with what can be read off it: equality, locality, formulas.
The only user of SymPy."""

from ruledsl.algebra.comparison import TermRelation, express
from ruledsl.algebra.contraction import TooManySums, canonical_sum, contract, expand
from ruledsl.algebra.dependence import Independent, direction, linear_relations
from ruledsl.algebra.entries import (
    COLUMN,
    POST_CELL,
    PRE_CELL,
    ROW,
    SIZE,
    Contract,
    Elementwise,
    Entry,
    Theta,
    children_of,
    entry,
    factors_of,
    free_indices,
    fresh_index,
    make_sum,
    product_of,
    renamed,
    side_of,
    summands_of,
    trace_time,
)
from ruledsl.algebra.index_form import IndexForm, index_form
from ruledsl.algebra.locality import Certificate, ReadSet, certify
from ruledsl.algebra.printing import index_latex, index_text
from ruledsl.algebra.products import NoProduct, Product, own_part, products_of
from ruledsl.algebra.sides import as_written, told_to_feedback

__all__ = [
    "COLUMN",
    "POST_CELL",
    "PRE_CELL",
    "ROW",
    "SIZE",
    "Certificate",
    "Contract",
    "Elementwise",
    "Entry",
    "Independent",
    "IndexForm",
    "NoProduct",
    "Product",
    "ReadSet",
    "TermRelation",
    "Theta",
    "TooManySums",
    "as_written",
    "canonical_sum",
    "certify",
    "children_of",
    "contract",
    "direction",
    "entry",
    "expand",
    "express",
    "factors_of",
    "free_indices",
    "fresh_index",
    "index_form",
    "index_latex",
    "index_text",
    "linear_relations",
    "make_sum",
    "own_part",
    "product_of",
    "products_of",
    "renamed",
    "side_of",
    "summands_of",
    "told_to_feedback",
    "trace_time",
]
