"""Pieces of long work that can be run anywhere: cells, what they wait for, and the places that run them.

A cell keeps its result on disk under a name that its inputs decide, so running one twice costs nothing:
whatever dies half-way is asked for again, and goes on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol, Self

from ruledsl.errors import RunError
from ruledsl.progress import Standing

POLL_SECONDS = 0.5
MOST_AT_ONCE = 10_000
"""Cells handed out at a time: schedulers are slow with millions."""
DEATHS = 10
"""Workers that may die while they run a cell, and no other, before it is given up."""
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

    @property
    def score(self) -> float | None:
        """Of one that is done: how good what it found is, larger is better; None for what is not compared."""
        ...

    @property
    def root(self) -> Path:
        """The folder below which it reads and writes."""
        ...

    def reads(self) -> Sequence[Path]:
        """Folders and files below `root` that it goes on with, or leans on; some may not be there yet."""
        ...

    def given(self) -> Sequence[Path]:
        """Files elsewhere that it reads, and that may be moved."""
        ...

    def moved(self, root: Path, given: Mapping[Path, Path]) -> Cell:
        """The same cell below another root, with its files where they were moved to."""
        ...

    def is_done(self) -> bool:
        """Whether its result lies on disk; asked only after what it needs is done."""
        ...

    def run(self, tick: Tick) -> None:
        """Do it, or go on with it. Raises `KeyboardInterrupt` when it was stopped."""
        ...


class Place(ABC):
    """Where cells run: opens a `concurrent.futures.Executor`."""

    executor: Executor
    most = MOST_AT_ONCE
    """Cells that it is handed at a time: where a worker's death breaks the executor, all of them are asked
    for again."""
    tells = False
    """Whether its workers report episodes to `ticks`; else they count when their cell is done."""

    def __init__(self) -> None:
        self.told: Callable[[], None] = lambda: None
        """To be called after episodes by a place whose `submit` returns only when the cell is done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:  # noqa: B027
        """Let the workers go."""

    @abstractmethod
    def work(self) -> Callable[[Cell], str]:
        """What is submitted for a cell: gives nothing, or what went wrong."""

    def submit(self, cell: Cell) -> Future[Any]:
        """Hand a cell to a worker; `received` understands what comes back."""
        return self.executor.submit(self.work(), cell)

    def received(self, cell: Cell, found: Any) -> str:
        """Take in what a worker gave back for a cell: nothing, or what went wrong."""
        return found

    def ticks(self) -> int:
        """Episodes done since it was last asked, anywhere."""
        return 0

    def running(self, handed_out: Collection[Future[Any]]) -> int:
        """Of cells that were handed out, how many are at work."""
        return len(handed_out)

    def about(self) -> str:
        """What else can be watched, once it is open, such as a page; or nothing."""
        return ""

    def renew(self) -> None:  # noqa: B027
        """Take other workers, since one has died and the executor cannot go on without it."""


class Watcher(Protocol):
    """Told how far everything is, and of each cell that ended."""

    def __call__(self, standing: Standing) -> None:
        """It is as far as that now."""
        ...

    def finished(self, name: str, score: float | None) -> None:
        """A cell is done, or was before; and how good what it found is."""
        ...

    def failed(self, name: str, message: str) -> None:
        """A cell that could not be run; the others go on."""
        ...

    def said(self, text: str) -> None:
        """Something about the place."""
        ...


STOPPED = "stopped"
NOBODY = "nobody answers for the workers any more; the same command goes on"


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

        A cell that fails stops nothing but those that need it; a worker that dies costs what was not saved.

        Raises:
            KeyboardInterrupt: stopped; every cell at work has then been saved, or goes on from what was.
            RunError: the place can run nothing.
        """
        with place:
            return _Round(self.cells, place, watch).run()


@dataclass
class _Round:
    """One walk through a plan."""

    cells: Mapping[str, Cell]
    place: Place
    watch: Watcher
    ready: deque[str] = field(default_factory=deque)
    missing: dict[str, set[str]] = field(default_factory=dict)
    """What each cell that waits still needs."""
    waiting_for: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    running: dict[Future[Any], str] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    """Episodes of cells at work, where nobody tells of them one by one."""
    deaths: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    ended: SimpleQueue[Future[Any]] = field(default_factory=SimpleQueue)
    """Asked one by one: to wait for ten thousand at a time takes as long as many cells."""
    ticked: int = 0
    done: int = 0
    at_once: int = 0
    """Cells that a place runs while they are handed to it."""
    most: int = 0
    """Cells that may be at work now: half of those that a worker's death asked for again, one more with each
    that is done."""

    def run(self) -> dict[str, str]:
        for key, cell in self.cells.items():
            needs = {need for need in cell.needs if need in self.cells}
            for need in needs:
                self.waiting_for[need].append(key)
            if needs:
                self.missing[key] = needs
            else:
                self.ready.append(key)
        self.place.told, self.most = self._count, self.place.most
        if about := self.place.about():
            self.watch.said(about)
        self.total = sum(cell.episodes for cell in self.cells.values() if not cell.needs)
        while self.ready or self.running:
            self._submit()
            self._wait()
            self._count()
        return self.failures

    def _wait(self) -> None:
        """Until something ends, or somebody wants to see how far it is; then take in all that has ended."""
        if not self.running:
            return
        with suppress(Empty):
            self._finish(self.ended.get(timeout=POLL_SECONDS))
            while True:
                self._finish(self.ended.get_nowait())

    def _submit(self) -> None:
        """Cells whose needs are met go out."""
        while self.ready and len(self.running) < self.most:
            key = self.ready.popleft()
            cell = self.cells[key]
            if cell.is_done():
                self._settled(key)
                continue
            self.left[key] = 0 if self.place.tells else cell.episodes
            self.at_once = 1
            try:
                future = self.place.submit(cell)
            except BrokenExecutor:  # a worker died since the last look
                self._died([key, *self.running.values()])
                continue
            except CancelledError:
                raise RunError(NOBODY) from None
            except Exception as error:  # whatever keeps a cell here, the others must not be lost for it
                self._failed(key, f"{type(error).__name__}: {error}")
                self.watch.failed(cell.name, self.failures[key])
                continue
            finally:
                self.at_once = 0
            self.running[future] = key
            if future.done():  # by this very process: a Ctrl-C that it heard must stop the others too
                self._finish(future)
            else:
                future.add_done_callback(self.ended.put)

    def _settled(self, key: str) -> None:
        """A cell is done: what waited for nothing else is ready."""
        self.done += 1
        self.most = min(self.most + 1, self.place.most)
        self.watch.finished(self.cells[key].name, self.cells[key].score)
        for other in self.waiting_for[key]:
            self.missing[other].discard(key)
            if not self.missing[other] and other not in self.failures:
                self.ready.append(other)

    def _failed(self, key: str, message: str) -> None:
        """A cell failed: what needs it never runs."""
        self.failures[key] = message
        for other in self.waiting_for[key]:
            if other not in self.failures:
                self._failed(other, "what it is built on failed")

    def _finish(self, future: Future[Any]) -> None:
        key = self.running.pop(future, None)
        if key is None:  # it was at work when its pool broke, and is ready again
            return
        try:
            message = self.place.received(self.cells[key], future.result())
        except BrokenExecutor:
            self._died([key, *self.running.values()])
            return
        except CancelledError:
            raise RunError(NOBODY) from None
        except Exception as error:  # whatever an executor makes of a cell, the others must not be lost for it
            message = f"{type(error).__name__}: {error}"
        if message == STOPPED:
            raise KeyboardInterrupt
        if message:
            self._failed(key, message)
            self.watch.failed(self.cells[key].name, message)
        else:
            self.ticked += self.left.pop(key, 0)
            self._settled(key)

    def _died(self, keys: Sequence[str]) -> None:
        """A worker died, and its pool with it: what was at work goes on in a new one, half at a time, and
        half of that, until the one that takes its worker along is alone; none else is blamed."""
        self.running.clear()
        self.place.renew()
        self.most = max(1, len(keys) // 2)
        for key in keys:
            self.deaths[key] += len(keys) == 1
            if self.deaths[key] > DEATHS:
                message = f"{DEATHS} workers died while it ran (out of memory?); try again with fewer at once"
                self._failed(key, message)
                self.watch.failed(self.cells[key].name, message)
            else:
                self.ready.appendleft(key)

    def _count(self) -> None:
        self.ticked += self.place.ticks()
        running = self.at_once + self.place.running(self.running)
        known = (len(self.cells), self.done, running, len(self.failures))
        self.watch(Standing(self.ticked, max(self.total, self.ticked), *known))
