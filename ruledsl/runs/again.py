"""What a run folder alone makes possible: training again, comparing, and walking through a recorded episode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ruledsl.meta import MetaTrainer
from ruledsl.network import StreamReport
from ruledsl.pipeline import compile_rule
from ruledsl.runs.driver import Listener, Outcome, load_recorded, start
from ruledsl.runs.folder import RunError, read_config
from ruledsl.runs.metrics import read_metrics
from ruledsl.tasks import open_dataset


def rerun(folder: Path, out: Path, listen: Listener) -> Outcome:
    """Train again, from nothing but the config and rule text of a run folder, into another folder.

    On the same machine and versions the numbers are the same bit for bit; see `first_difference`.
    """
    config = read_config(folder)
    source = open_dataset(config.dataset, Path(config.data_root))
    return start(out, load_recorded(folder, config), config, source, listen)


def diagnose(folder: Path, run: int | None = None, episode: int | None = None) -> Diagnosis:
    """Draw a recorded episode again and say where its stream went wrong; by default the first that diverged.

    Raises `RunError` when nothing diverged and no episode was named, or when it was never recorded.
    """
    config, metrics = read_config(folder), read_metrics(folder)
    found = [(e, r) for r, c in metrics.runs.items() for e, bad in enumerate(c["diverged"]) if bad and run in (None, r)]
    if episode is not None:
        chosen = (episode, run if run is not None else next(iter(metrics.runs)))
    elif found:
        chosen = min(found)
    else:
        raise RunError(f"no episode of {folder} diverged; name one with `--episode` to walk through it")
    episode, run = chosen
    if run not in metrics.runs or not 0 <= episode < len(metrics.runs[run]["episode"]):
        raise RunError(f"{folder} holds no episode {episode} of run {run}")
    trainer = MetaTrainer(
        compile_rule(load_recorded(folder, config)),
        config.settings,
        config.runs,
        open_dataset(config.dataset, Path(config.data_root)),
    )
    theta = [metrics.column(run, f"theta[{name}]")[episode] for name in metrics.terms]
    reports = trainer.inspect(run, episode, theta)
    loss = metrics.column(run, "meta_loss")[episode]
    return Diagnosis(run, episode, loss, dict(zip(metrics.terms, theta, strict=True)), tuple(reports))


@dataclass(frozen=True)
class Diagnosis:
    """One recorded episode walked through again: Θ it ran with, and a report on each task's stream."""

    run: int
    episode: int
    meta_loss: float
    theta: dict[str, float]
    streams: tuple[StreamReport, ...]


def first_difference(folder: Path, other: Path) -> str | None:
    """Where two runs' metrics part, in words; None when one begins with all that the other holds."""
    with (folder / "metrics.csv").open() as first, (other / "metrics.csv").open() as second:
        header = first.readline().strip().split(",")
        if second.readline().strip().split(",") != header:
            return "the columns differ"
        for a, b in zip(first, second, strict=False):
            if a != b:
                left, right = (dict(zip(header, line.strip().split(","), strict=False)) for line in (a, b))
                name = next(n for n in header if left.get(n) != right.get(n))
                return f"run {left['run']}, episode {left['episode']}: {name} was {left[name]}, is {right.get(name)}"
    return None
