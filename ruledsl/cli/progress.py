"""Progress of a training: one live line in a terminal, plain lines when piped, nothing when quiet."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from types import TracebackType

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ruledsl.settings import EpisodeRecord

PIPED_SECONDS = 10.0


class TrainingProgress:
    """A listener for the driver: meta-loss, accuracy, Θ, skipped episodes and time left."""

    def __init__(self, names: Sequence[str], total: int, quiet: bool) -> None:
        self.names, self.total, self.quiet = names, total, quiet
        self.console = Console(stderr=True)
        self.live = not quiet and self.console.is_terminal
        self.accuracy: list[float] = []
        self.diverged = 0
        self.started = self.printed = time.monotonic()
        self.first: int | None = None
        columns = (
            TextColumn("{task.description}"),
            BarColumn(8),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=self.console, disable=not self.live)
        self.task = self.progress.add_task("starting", total=total)

    def __enter__(self) -> TrainingProgress:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def __call__(self, records: Sequence[EpisodeRecord]) -> None:
        episode = records[0].episode
        if self.first is None:
            # The first episode may compile; the time left is judged by those that follow.
            self.first, self.started = episode + 1, time.monotonic()
        self.diverged += sum(r.diverged for r in records)
        finite = [r.meta_accuracy for r in records if math.isfinite(r.meta_accuracy)]
        self.accuracy = [*self.accuracy[-10:], sum(finite) / len(finite) if finite else math.nan]
        if self.live:
            self.progress.update(self.task, completed=episode + 1, description=self._line(records))
        elif not self.quiet:
            self._print(episode, records)

    def _line(self, records: Sequence[EpisodeRecord]) -> str:
        losses = [r.meta_loss for r in records if math.isfinite(r.meta_loss)]
        loss = f"{sum(losses) / len(losses):.3f}" if losses else "not finite"
        known = [a for a in self.accuracy if math.isfinite(a)]
        accuracy = f"{sum(known) / len(known):.3f}" if known else "–"
        skipped = f"  skipped {self.diverged}" if self.diverged else ""
        engine = f"  engine {records[0].engine}" if records[0].engine not in ("", "rebuild") else ""
        return f"loss {loss} accuracy {accuracy} {self._theta(records)}{skipped}{engine}"

    def _theta(self, records: Sequence[EpisodeRecord]) -> str:
        means = [sum(r.theta[n] for r in records) / len(records) for n in range(len(self.names))]
        order = sorted(range(len(means)), key=lambda n: -abs(means[n]))[:3]
        return "10³θ " + " ".join(f"{n}:{means[n] * 1e3:+.2f}" for n in sorted(order))

    def _print(self, episode: int, records: Sequence[EpisodeRecord]) -> None:
        now = time.monotonic()
        if now - self.printed < PIPED_SECONDS and episode + 1 not in (1, self.total):
            return
        self.printed = now
        done = episode + 1 - (self.first or 0)
        left = clock((now - self.started) / done * (self.total - episode - 1)) if done else "–"
        click.echo(f"episode {episode + 1}/{self.total}  {self._line(records)}  left {left}", err=True)
        sys.stderr.flush()


def clock(seconds: float) -> str:
    """`12:05`, with hours where there are some."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
