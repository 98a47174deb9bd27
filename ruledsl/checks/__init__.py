"""Shape checking: a fold over the tree that proves every operator's sizes agree."""

from ruledsl.checks.shapes import check_term, literal_cost, shape_of

__all__ = ["check_term", "literal_cost", "shape_of"]
