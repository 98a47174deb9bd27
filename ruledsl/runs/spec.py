"""What a training is made from, and who computes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ruledsl.rules import Rule
from ruledsl.runs.config import RunConfig

if TYPE_CHECKING:
    from ruledsl.meta import Crew
    from ruledsl.tasks import ImageSource


@dataclass(frozen=True)
class Spec:
    """All that a training is made from: a rule, how it is trained, and the data."""

    rule: Rule
    config: RunConfig
    source: ImageSource


Crews = Callable[[Path, Spec], "Crew"]
"""Who computes the portions of a training's meta-steps in its own process's place, for each training."""
