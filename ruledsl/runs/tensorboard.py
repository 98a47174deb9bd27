"""TensorBoard event files of a run folder, made from its metrics; needs the extra `tb`."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from ruledsl.runs.folder import RunError, read_config
from ruledsl.runs.metrics import read_metrics


def export_events(folder: Path) -> Path:
    """Write RUN/tensorboard with one event file per run of the batch; an older export is replaced.

    The metrics stay the one record: a run that was killed and resumed has no episode twice.

    Raises:
        RunError: the folder holds no episodes, or tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise RunError("tensorboard is missing; install the extra: pip install 'ruledsl[tb]'") from None
    config, metrics = read_config(folder), read_metrics(folder, complete_lines=True)
    out = folder / "tensorboard"
    shutil.rmtree(out, ignore_errors=True)
    for spec in config.runs:
        if spec.run not in metrics.runs:
            continue
        name = f"run-{spec.run:03d}-seed-{spec.seed}-l1-{spec.l1:g}"
        with SummaryWriter(str(out / name)) as writer:
            for column, values in metrics.runs[spec.run].items():
                if column in ("run", "seed", "l1", "episode"):
                    continue
                tag = column.replace("[", "/").rstrip("]").replace("alpha_", "alpha/").replace("ortho_", "ortho/")
                for episode, value in enumerate(values):
                    if math.isfinite(value):
                        writer.add_scalar(tag, value, episode)
    return out
