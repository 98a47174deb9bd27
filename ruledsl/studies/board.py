"""What is seen of many trainings while they run: one table that is redrawn, or plain lines in a log."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from ruledsl.progress import LOG_SECONDS, clock, has_widgets
from ruledsl.studies.cells import Cell, Standing

DRAWN_PER_SECOND = 4


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

    def finished(self, cell: Cell) -> None:
        score = cell.score
        if score is not None and (self.best is None or score > self.best[0]):
            self.best = score, cell.name

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
