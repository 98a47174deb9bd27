"""Run folders: what a training leaves on disk, and how it continues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruledsl.runs.folder import Metrics, RunConfig, RunError, read_config, read_json, read_metrics, write_json
from ruledsl.runs.statistics import mean_and_interval, moving_average

if TYPE_CHECKING:
    from ruledsl.runs.driver import Outcome, resume, start, use_threads

__all__ = [
    "Metrics",
    "Outcome",
    "RunConfig",
    "RunError",
    "mean_and_interval",
    "moving_average",
    "read_config",
    "read_json",
    "read_metrics",
    "resume",
    "start",
    "use_threads",
    "write_json",
]


def __getattr__(name: str) -> Any:
    # Reading a run folder must not need torch; only running one does.
    if name not in ("Outcome", "resume", "start", "use_threads"):
        raise AttributeError(f"module 'ruledsl.runs' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("ruledsl.runs.driver"), name)
