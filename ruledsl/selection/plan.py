"""What a selection may spend, and what it holds to be as good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ruledsl.settings import Setting, checks, field, rows_of

SELECTION_GROUP = "Selection"


@dataclass(frozen=True)
class Plan:
    """How much a selection spends. Rows of the same kind of table as a training's settings."""

    seeds: int = field(
        4, checks.count, "Seeds of the elimination; the refits take those of the run.", group=SELECTION_GROUP
    )
    episodes: int = field(
        100, checks.several, "Episodes of each knock-out in the elimination, from the coefficients found so "
            "far.",
        group=SELECTION_GROUP,
    )  # fmt: skip
    refit_episodes: int = field(
        0, checks.whole, "Episodes of the refits from scratch; 0 takes the run's.", group=SELECTION_GROUP
    )
    measure: Literal["accuracy", "loss"] = field(
        "accuracy", checks.choice("accuracy", "loss"), "What a rule is judged by.", group=SELECTION_GROUP
    )
    tolerance: float = field(
        0.02, checks.not_negative,
        "A rule is as good when its mean is at most this much worse than the best.",
        group=SELECTION_GROUP,
    )  # fmt: skip
    largest: int = field(
        6, checks.whole, "Refit from scratch no rule with more terms than this (the full pool always).",
        group=SELECTION_GROUP,
    )  # fmt: skip
    at_once: int = field(
        0, checks.whole, "Streams that are computed together, and handed to an executor at a time; 0 as the "
        "run's, or 8 with an executor.", group=SELECTION_GROUP,
    )  # fmt: skip


PLAN: dict[str, Setting] = {s.name: s for s in rows_of(Plan)}
"""Every field of a plan, by name."""
