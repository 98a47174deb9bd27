"""Run folders: what a training leaves on disk, and how it continues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruledsl.runs.folder import RunConfig, RunError, is_in_use, read_config, read_json, version_differences, write_json
from ruledsl.runs.metrics import Metrics, read_metrics
from ruledsl.runs.statistics import mean_and_interval, moving_average

if TYPE_CHECKING:
    from ruledsl.runs.again import Diagnosis, diagnose, first_difference, rerun
    from ruledsl.runs.driver import Outcome, load_recorded, resume, start, use_threads

__all__ = [
    "Diagnosis",
    "Metrics",
    "Outcome",
    "RunConfig",
    "RunError",
    "diagnose",
    "first_difference",
    "is_in_use",
    "load_recorded",
    "mean_and_interval",
    "moving_average",
    "read_config",
    "read_json",
    "read_metrics",
    "rerun",
    "resume",
    "start",
    "use_threads",
    "version_differences",
    "write_json",
]
_LATE: dict[str, str] = dict.fromkeys(("Diagnosis", "diagnose", "first_difference", "rerun"), "again")
_LATE |= dict.fromkeys(("Outcome", "load_recorded", "resume", "start", "use_threads"), "driver")


def __getattr__(name: str) -> Any:
    # Reading a run folder must not need torch; only running one does.
    if name not in _LATE:
        raise AttributeError(f"module 'ruledsl.runs' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"ruledsl.runs.{_LATE[name]}"), name)
