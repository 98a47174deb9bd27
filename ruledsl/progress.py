"""Progress of long work: one live line in a terminal or a notebook, plain lines in a log,
nothing when quiet."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ruledsl.settings import EpisodeRecord
from ruledsl.statistics import finite_mean

LOG_SECONDS = 10.0
SHOWN_TERMS = 3


class Line:
    """A counted piece of work: how much is done, and the time left."""

    def __init__(self, what: str, total: int, quiet: bool = False) -> None:
        self.what, self.total, self.quiet = what, total, quiet
        self.console = Console(stderr=True)
        self.live = not quiet and (self.console.is_terminal or (self.console.is_jupyter and has_widgets()))
        self.printed = self.began = time.monotonic()
        self.first = 0
        """What was done when the time began to be judged."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(8),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=self.console, disable=not self.live)
        self.task = self.progress.add_task("starting", total=total or None)

    def __enter__(self) -> Line:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def begin_again(self, done: int) -> None:
        """Judge the time left by what follows."""
        self.first, self.began = done, time.monotonic()

    def tell(self, done: int, text: str = "", total: int | None = None) -> None:
        """So much is done now. A log gets the first, the last, and a line every ten seconds."""
        self.total = total or self.total
        if self.live:
            self.progress.update(self.task, completed=done, total=self.total, description=text or self.what)
            return
        now = time.monotonic()
        if self.quiet or (now - self.printed < LOG_SECONDS and done not in (1, self.total)):
            return
        self.printed = now
        new = done - self.first
        left = clock((now - self.began) / new * (self.total - done)) if new > 0 else "–"
        print(
            f"{self.what} {done}/{self.total}  {text}  left {left}".replace("    ", "  "),
            file=sys.stderr,
            flush=True,
        )


def has_widgets() -> bool:
    """Whether a notebook can redraw a line; without ipywidgets rich would warn at every update."""
    with contextlib.suppress(ImportError):
        import ipywidgets  # noqa: F401  # pyright: ignore[reportMissingImports]

        return True
    return False


def clock(seconds: float) -> str:
    """`12:05`, with hours where there are some."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class TrainingProgress:
    """A listener for trainings: meta-loss, accuracy, the largest coefficients by name, refused episodes,
    time left."""

    def __init__(self, names: Sequence[str], total: int, quiet: bool) -> None:
        self.names, self.line = names, Line("episode", total, quiet)
        self.accuracy: list[float] = []
        self.diverged = 0
        self.started = False

    def __enter__(self) -> TrainingProgress:
        self.line.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.line.__exit__()

    def __call__(self, records: Sequence[EpisodeRecord]) -> None:
        done = records[0].episode + 1
        if not self.started:
            # The first episode may compile; the time left is judged by those that follow.
            self.started = True
            self.line.begin_again(done)
        self.diverged += sum(r.diverged for r in records)
        self.accuracy = [*self.accuracy[-10:], finite_mean([r.meta_accuracy for r in records])]
        self.line.tell(done, self._text(records))

    def _text(self, records: Sequence[EpisodeRecord]) -> str:
        mean = finite_mean([r.meta_loss for r in records])
        loss = f"{mean:.3f}" if math.isfinite(mean) else "not finite"
        known = finite_mean(self.accuracy)
        accuracy = f"{known:.3f}" if math.isfinite(known) else "–"
        refused = f"  refused {self.diverged}" if self.diverged else ""
        engine = f"  engine {records[0].engine}" if records[0].engine not in ("", "rebuild", "none") else ""
        return f"loss {loss}  accuracy {accuracy}{self._theta(records)}{refused}{engine}"

    def _theta(self, records: Sequence[EpisodeRecord]) -> str:
        if not self.names:
            return ""
        means = [sum(r.theta[n] for r in records) / len(records) for n in range(len(self.names))]
        order = sorted(range(len(means)), key=lambda n: -abs(means[n]))[:SHOWN_TERMS]
        return "  10³θ " + " ".join(f"{self.names[n]} {means[n] * 1e3:+.2f}" for n in sorted(order))
