"""The files of a run folder, besides those that are evidence."""

from ruledsl.evidence import CHECKPOINT, CONFIG, METRICS, RESULT, RULE
from ruledsl.storage import LOCK

__all__ = ["CHECKPOINT", "CONFIG", "DATA", "FIGURE", "LOCK", "METRICS", "RESULT", "RULE"]

FIGURE = "training.png"
DATA = "data.npz"
"""Arrays that a user handed in, kept so that the run can go on."""
