"""TensorBoard event files of a run folder, made from its metrics; needs the extra `tb`."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from ruledsl.errors import require
from ruledsl.runs.run import Run
from ruledsl.settings import COLUMNS


def export_events(run: Run) -> Path:
    """Write RUN/tensorboard with one event file per run of the batch; an older export is replaced.

    The metrics stay the one record: a run that was killed and resumed has no episode twice.

    Raises:
        RunError: the folder holds no episodes.
        MissingExtra: tensorboard is not installed.
    """
    require("tb", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    config, metrics = run.config, run.metrics_so_far
    out = run.folder / "tensorboard"
    shutil.rmtree(out, ignore_errors=True)
    for spec in config.runs:
        if spec.run not in metrics.runs:
            continue
        name = f"run-{spec.run:03d}-seed-{spec.seed}-l1-{spec.l1:g}"
        with SummaryWriter(str(out / name)) as writer:
            for column, values in metrics.runs[spec.run].items():
                if column in ("run", "seed", "l1", "episode"):
                    continue
                for episode, value in enumerate(values):
                    if math.isfinite(value):
                        writer.add_scalar(_tag(column), value, episode)
    return out


def _tag(column: str) -> str:
    """`theta/oja` for `theta[oja]`: TensorBoard groups what stands before the slash."""
    for family in COLUMNS.values():
        member = family.member(column)
        if member is not None:
            return f"{family.pattern.rstrip('[{}]').rstrip('_')}/{member}"
    return column
