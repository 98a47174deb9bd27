from .fits import Fit, Recorded, Round, Stage, Support, fit_of, smallest_as_good, train_groups
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
    "Recorded",
    "Round",
    "Stage",
    "StageListener",
    "Support",
    "fit_of",
    "read_selection",
    "select",
    "selected_rule",
    "smallest_as_good",
    "sparsity_path",
    "stable_support",
    "train_groups",
]
