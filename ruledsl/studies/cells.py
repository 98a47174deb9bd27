"""Pieces of long work that can be run anywhere: cells, what they wait for, and the places that run them.

A cell keeps its result on disk under a name that its inputs decide, so running one twice costs nothing:
    whatever dies
half-way is asked for again, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, Protocol

from ruledsl.errors import RunError

POLL_SECONDS = 0.5
Tick = Callable[[int], None]
"""Told of episodes that were done."""


class Cell(Protocol):
    """One piece of work; it travels to other processes, so it holds nothing but data."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def key(self) -> str:
        """The same for cells that do the same work."""
        ...

    @property
    def needs(self) -> Sequence[str]:
        """Keys of cells that must be done before."""
        ...

    @property
    def episodes(self) -> int:
        """How long it takes, in episodes still to be done; 0 when that is not known."""
        ...

    def is_done(self) -> bool:
        """Whether its result lies on disk; asked only after what it needs is done."""
        ...

    def run(self, tick: Tick) -> None:
        """Do it, or go on with it. Raises `KeyboardInterrupt` when it was stopped."""
        ...


class Place(Protocol):
    """Where cells run: opens an `Executor`. Its workers report episodes to `ticks`."""

    told: Callable[[], None]
    """To be called after episodes by a place whose `submit` returns only when the cell is done."""

    def __enter__(self) -> Place: ...

    def __exit__(self, *args: Any) -> None: ...

    @property
    def executor(self) -> Executor: ...

    def work(self) -> Callable[[Cell], str]:
        """What is submitted for a cell: gives nothing, or what went wrong."""
        ...

    def ticks(self) -> int:
        """Episodes done since it was last asked, anywhere."""
        ...


class Watcher(Protocol):
    """Told how far everything is, and of each cell that failed."""

    def __call__(self, done: int, total: int) -> None:
        """Episodes done so far, and of all that there are."""
        ...

    def failed(self, name: str, message: str) -> None:
        """A cell that could not be run; the others go on."""
        ...


STOPPED = "stopped"


@dataclass
class Plan:
    """What needs what. Equal cells are one."""

    cells: Mapping[str, Cell]

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> Plan:
        """Cells by key, the first of equals."""
        found: dict[str, Cell] = {}
        for cell in cells:
            found.setdefault(cell.key, cell)
        return cls(found)

    def run(self, place: Place, watch: Watcher) -> dict[str, str]:
        """Run whatever is not done, each cell once all that it needs is; what went wrong, by key.

        A cell that fails stops nothing but those that need it.

        Raises:
            KeyboardInterrupt: stopped; every cell at work has then been saved.
            RunError: a worker died.
        """
        with place:
            return _Round(self.cells, place, watch).run()


@dataclass
class _Round:
    """One walk through a plan."""

    cells: Mapping[str, Cell]
    place: Place
    watch: Watcher
    waiting: dict[str, Cell] = field(default_factory=dict)
    running: dict[Future[str], str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    ticked: int = 0

    def run(self) -> dict[str, str]:
        self.waiting = dict(self.cells)
        self.place.told = self._count
        self.total = sum(cell.episodes for cell in self.cells.values() if not cell.needs)
        while self.waiting or self.running:
            self._submit()
            finished, _ = wait(self.running, POLL_SECONDS, FIRST_COMPLETED)
            for future in finished:
                self._finish(future)
            self._count()
        return self.failures

    def _submit(self) -> None:
        """Every cell whose needs are met goes out; one whose needs failed never does."""
        for key, cell in list(self.waiting.items()):
            missing = [need for need in cell.needs if need in self.cells and need not in self.done]
            if any(need in self.failures for need in missing):
                self.failures[key] = "what it is built on failed"
                del self.waiting[key]
            elif not missing:
                del self.waiting[key]
                if cell.is_done():
                    self.done.add(key)
                else:
                    self.running[self.place.executor.submit(self.place.work(), cell)] = key

    def _finish(self, future: Future[str]) -> None:
        key = self.running.pop(future)
        try:
            message = future.result()
        except BrokenProcessPool:
            raise RunError(
                f"a worker died while it ran `{self.cells[key].name}` (out of memory?); try again with fewer "
                f"`--jobs`"
            ) from None
        if message == STOPPED:
            raise KeyboardInterrupt
        if message:
            self.failures[key] = message
            self.watch.failed(self.cells[key].name, message)
        else:
            self.done.add(key)

    def _count(self) -> None:
        self.ticked += self.place.ticks()
        self.watch(self.ticked, max(self.total, self.ticked))
