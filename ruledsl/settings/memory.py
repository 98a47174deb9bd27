"""What a training needs at least, by arithmetic: told before anything is allocated."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from ruledsl.errors import SettingsError
from ruledsl.settings.layers import synapses_between
from ruledsl.settings.training import TrainSettings

_LIMIT = Path("/sys/fs/cgroup/memory.max")


def least_bytes(settings: TrainSettings, runs: int) -> int:
    """Bytes that no engine can do without: of every stream W, B, ∂/∂W, the inputs, and what is saved of each
    sample."""
    sizes, task = settings.sizes, settings.task
    weights = sum(synapses_between(a, b) for a, b in pairwise(sizes))
    images = task.stream + task.labels * task.queries
    stream = 3 * weights + images * sizes[0] + task.stream * sum(sizes[1:])
    streams = runs * settings.meta_batch
    return min(streams, settings.at_once or streams) * stream * (8 if settings.dtype == "float64" else 4)


def machine_bytes() -> int:
    """The memory of this machine, or what this process may have of it."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(whole, int(_LIMIT.read_text()))
    except (OSError, ValueError):  # no limit, or none that is written there
        return whole


def refuse_too_large(settings: TrainSettings, runs: int) -> None:
    """Raise `SettingsError` for a training that cannot fit this machine, with what to make smaller."""
    needed, there = least_bytes(settings, runs), machine_bytes()
    if needed > there and settings.device == "cpu":
        raise SettingsError(
            f"this training needs at least {_gigabytes(needed)} of memory for {runs * settings.meta_batch} "
            f"streams, and this machine has {_gigabytes(there)}: make `--at-once`, `--sizes`, `--seeds`, "
            f"`--meta-batch` or the task (`--labels`, `--shots`, `--queries`) smaller"
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
