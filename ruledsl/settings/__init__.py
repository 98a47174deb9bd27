"""What decides a meta-training and what is recorded of it: one table of settings, one schema of columns.
Plain data."""

from ruledsl.settings import checks
from ruledsl.settings.checks import Check, Wrong
from ruledsl.settings.choices import CHOICES, EVALUATED, EXPORTED, MEASURED, OPTIONS, Choices
from ruledsl.settings.layers import Convolution, Maps, written
from ruledsl.settings.memory import least_bytes, machine_bytes, refuse_too_large
from ruledsl.settings.records import (
    ACCURACY,
    ALPHA,
    COLUMNS,
    DIVERGED,
    LOSS,
    NO_TERMS,
    ORTHO,
    THETA,
    Column,
    EpisodeRecord,
    RunSpec,
    columns_of,
)
from ruledsl.settings.table import Setting, field, known_names, rows_of
from ruledsl.settings.training import (
    META,
    NETWORK,
    PAPER_SIZES,
    RULE,
    RUN,
    TABLE,
    TASK,
    Network,
    TaskShape,
    TrainSettings,
)

__all__ = [
    "ACCURACY",
    "ALPHA",
    "CHOICES",
    "COLUMNS",
    "DIVERGED",
    "EVALUATED",
    "EXPORTED",
    "LOSS",
    "MEASURED",
    "META",
    "NETWORK",
    "NO_TERMS",
    "OPTIONS",
    "ORTHO",
    "PAPER_SIZES",
    "RULE",
    "RUN",
    "TABLE",
    "TASK",
    "THETA",
    "Check",
    "Choices",
    "Column",
    "Convolution",
    "EpisodeRecord",
    "Maps",
    "Network",
    "RunSpec",
    "Setting",
    "TaskShape",
    "TrainSettings",
    "Wrong",
    "checks",
    "columns_of",
    "field",
    "known_names",
    "least_bytes",
    "machine_bytes",
    "refuse_too_large",
    "rows_of",
    "written",
]
