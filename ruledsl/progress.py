"""Progress of long work: one live line in a terminal or a notebook, plain lines in a log,
nothing when quiet."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Table

from ruledsl.settings import EpisodeRecord
from ruledsl.statistics import finite_mean

LOG_SECONDS = 10.0
DRAWN_PER_SECOND = 4
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


@dataclass(frozen=True)
class Standing:
    """How far everything is."""

    episodes: int
    of: int
    """Episodes that there are, as far as is known."""
    cells: int
    done: int
    running: int
    lost: int


class Board:
    """Cells done, at work and lost, episodes, the time left, and the best that was found so far.

    >>> with Board(quiet=True) as board:
    ...     board(Standing(30, 120, 4, 1, 2, 0))
    >>> board.text()
    'cells 1/4  2 running  episodes 30/120  left –'
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.console = quiet, Console(stderr=True)
        self.standing = Standing(0, 0, 0, 0, 0, 0)
        self.best: tuple[float, str] | None = None
        self.began = self.printed = time.monotonic()
        self.first: int | None = None
        """Episodes when the time began to be judged."""
        seen = self.console.is_terminal or (self.console.is_jupyter and has_widgets())
        self.live = Live(get_renderable=self.table, console=self.console,
                         refresh_per_second=DRAWN_PER_SECOND) if seen and not quiet else None  # fmt: skip

    def __enter__(self) -> Board:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def __call__(self, standing: Standing) -> None:
        """It is as far as that now. A log gets a line at the beginning, at the end, and every ten seconds."""
        if self.first is None and standing.episodes:
            # The first episodes wait for workers and compilers; the time left is judged by those that follow.
            self.first, self.began = standing.episodes, time.monotonic()
        moved = standing != self.standing
        self.standing = standing
        if self.live or self.quiet or not moved:
            return
        now = time.monotonic()
        ends = standing.done + standing.lost == standing.cells
        if ends or now - self.printed >= LOG_SECONDS:
            self.printed = now
            print(self.text(), file=sys.stderr, flush=True)

    def finished(self, name: str, score: float | None) -> None:
        if score is not None and (self.best is None or score > self.best[0]):
            self.best = score, name

    def failed(self, name: str, message: str) -> None:
        self.console.print(f"{name} failed, the others go on: {message}", markup=False, highlight=False)

    def said(self, text: str) -> None:
        if not self.quiet:
            self.console.print(text, markup=False, highlight=False)

    def text(self) -> str:
        """One line of a log."""
        s = self.standing
        parts = [f"cells {s.done}/{s.cells}", f"{s.running} running", f"{s.lost} lost" if s.lost else ""]
        if s.of:
            parts.append(f"episodes {s.episodes}/{s.of}")
        parts += [f"best {self._best()}" if self.best else "", f"left {self._left()}"]
        return "  ".join(part for part in parts if part)

    def table(self) -> Table:
        """The same, redrawn in place."""
        s, table = self.standing, Table.grid(padding=(0, 2))
        counts = f"{s.done} done, {s.running} running, {s.lost} lost, of {s.cells}"
        table.add_row("cells", ProgressBar(max(1, s.cells), s.done + s.lost, width=24), counts)
        episodes = f"{s.episodes} of {s.of}, {self._left()} left"
        table.add_row("episodes", ProgressBar(max(1, s.of), s.episodes, width=24), episodes)
        if self.best:
            table.add_row("best so far", f"{self.best[0]:.3f}", self.best[1])
        return table

    def _best(self) -> str:
        return f"{self.best[0]:.3f} {self.best[1]}" if self.best else ""

    def _left(self) -> str:
        s, new = self.standing, self.standing.episodes - (self.first or 0)
        return clock((time.monotonic() - self.began) / new * (s.of - s.episodes)) if new > 0 else "–"
