"""Which terms a rule needs: from a trained pool to a sparse rule, with the evidence for every term."""

from ruledsl.selection.outcome import read_selection, selected_rule
from ruledsl.selection.path import PathPoint, sparsity_path, stable_support
from ruledsl.selection.search import Plan, Stage, select

__all__ = [
    "PathPoint",
    "Plan",
    "Stage",
    "read_selection",
    "select",
    "selected_rule",
    "sparsity_path",
    "stable_support",
]
