"""Walking through a recorded episode again."""

from __future__ import annotations

from dataclasses import dataclass

from ruledsl.errors import RunError
from ruledsl.measures import StreamReport
from ruledsl.runs.run import Run
from ruledsl.settings import DIVERGED, LOSS


@dataclass(frozen=True)
class Diagnosis:
    """One recorded episode walked through again: Θ it ran with, and a report on each task's stream."""

    run: int
    episode: int
    meta_loss: float
    theta: dict[str, float]
    streams: tuple[StreamReport, ...]


def diagnose(run: Run, number: int | None = None, episode: int | None = None) -> Diagnosis:
    """Draw a recorded episode again and say where its stream went wrong; by default the first that diverged.

    Raises `RunError` when nothing diverged and no episode was named, or when it was never recorded.
    """
    metrics = run.metrics
    found = [
        (e, r)
        for r, columns in metrics.runs.items()
        for e, diverged in enumerate(columns[DIVERGED])
        if diverged and number in (None, r)
    ]
    if episode is not None:
        chosen = (episode, number if number is not None else next(iter(metrics.runs)))
    elif found:
        chosen = min(found)
    else:
        raise RunError(f"no episode of {run.folder} diverged; name one with `--episode` to walk through it")
    episode, number = chosen
    if number not in metrics.runs or not 0 <= episode < len(metrics.column(number, LOSS)):
        raise RunError(f"{run.folder} holds no episode {episode} of run {number}")
    theta = {name: metrics.theta(number, name)[episode] for name in metrics.terms}
    reports = run.trainer().inspect(number, episode, list(theta.values()))
    return Diagnosis(number, episode, metrics.column(number, LOSS)[episode], theta, tuple(reports))
