from .fits import Fit, Round, Stage, smallest_as_good
from .outcome import SELECTED, SELECTION, read_selection, selected_rule
from .path import PathPoint, sparsity_path, stable_support
from .plan import PLAN, Plan
from .search import StageListener, select

__all__ = [
    "PLAN",
    "SELECTED",
    "SELECTION",
    "Fit",
    "PathPoint",
    "Plan",
    "Round",
    "Stage",
    "StageListener",
    "read_selection",
    "select",
    "selected_rule",
    "smallest_as_good",
    "sparsity_path",
    "stable_support",
]
