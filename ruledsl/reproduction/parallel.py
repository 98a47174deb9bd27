"""Many experiments at once: a process for each, on one thread, which on few cores beats threads within one.

Two waves: trainings first, then what uses their Θ. Whatever is there already is left alone; an experiment that fails
stops nothing: it is told at once, and met again where it is asked for.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from ruledsl.registry import plugin_folders, use_folders
from ruledsl.reproduction.claims import ClaimFile, Training
from ruledsl.reproduction.experiments import Budget, Job, Workshop
from ruledsl.runs import RunError
from ruledsl.settings import EpisodeRecord

POLL_SECONDS = 0.5


class Listener(Protocol):
    """Told how far all experiments are, and of each that failed."""

    def __call__(self, done: int, total: int) -> None:
        """Episodes done so far, and of all that there are."""
        ...

    def failed(self, name: str, message: str) -> None:
        """An experiment that could not be run; the others go on."""
        ...


@dataclass(frozen=True)
class _Errand:
    """What a worker is sent: a file of claims, and the experiment of it that is wanted."""

    file: ClaimFile
    name: str
    out: Path
    budget: Budget
    plugins: tuple[Path, ...]


def run_ahead(workshop: Workshop, files: Sequence[ClaimFile], jobs: int, listener: Listener) -> None:
    """Run all that files need, `jobs` experiments at a time.

    Raises:
        KeyboardInterrupt: stopped; every training at work has then been saved.
        RunError: a worker died.
    """
    first: dict[Path, tuple[ClaimFile, str]] = {}
    second: dict[str, tuple[ClaimFile, str]] = {}
    total = 0
    for file in files:
        for name, experiment in file.experiments.items():
            if isinstance(experiment, Training) and not experiment.frozen_at:
                folder, episodes = workshop.unfinished(file, name)
                if episodes and folder not in first:
                    first[folder] = (file, name)
                    total += episodes
            else:
                # The same experiment of two files is one, unless it leans on another of its own file.
                leans = getattr(experiment, "frozen_at", "") or getattr(experiment, "theta_of", "")
                second.setdefault(f"{file.name if leans else ''}/{experiment!r}", (file, name))
    with _Pool(jobs, listener, total) as pool:
        pool.run([_errand(workshop, *wanted) for wanted in first.values()])
        pool.run([_errand(workshop, *wanted) for wanted in second.values() if pool.may_run(workshop, *wanted)])


def _errand(workshop: Workshop, file: ClaimFile, name: str) -> _Errand:
    budget = replace(workshop.budget, overrides={**workshop.budget.overrides, "threads": 1})
    named = tuple(folder for folder, origin in plugin_folders() if origin == "named")
    return _Errand(file, name, workshop.out, budget, named)


class _Pool:
    """Worker processes, the queue on which they count their episodes, and the word to stop."""

    def __init__(self, jobs: int, listener: Listener, total: int) -> None:
        # Forked children would inherit torch's threads in an unknown state.
        context = multiprocessing.get_context("spawn")
        self.ticks: Any = context.Queue()
        self.stop = context.Event()
        self.listener, self.done, self.total = listener, 0, total
        self.failures: set[tuple[Path, str]] = set()
        self.executor = ProcessPoolExecutor(jobs, context, _begin, (self.ticks, self.stop, os.getpid()))

    def __enter__(self) -> _Pool:
        # A closed terminal or a `kill` must stop the workers as Ctrl-C does.
        self.before = {s: signal.signal(s, _interrupt) for s in (signal.SIGTERM, signal.SIGHUP)}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.stop.set()
            for worker in multiprocessing.active_children():
                if worker.pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker.pid, signal.SIGINT)  # the training at work saves itself
        self.executor.shutdown(wait=True, cancel_futures=True)
        self.ticks.close()
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def may_run(self, workshop: Workshop, file: ClaimFile, name: str) -> bool:
        """Whether an experiment is still to be run, and what it leans on was."""
        experiment = file.experiments[name]
        leans = getattr(experiment, "frozen_at", "") or getattr(experiment, "theta_of", "")
        return (file.path, leans) not in self.failures and not workshop.is_done(file, name)

    def run(self, errands: Sequence[_Errand]) -> None:
        """Wait for all of them."""
        futures = {self.executor.submit(_work, errand): errand for errand in errands}
        waiting = set(futures)
        while waiting:
            self._count()
            for future in [f for f in waiting if f.done()]:
                waiting.remove(future)
                self._finished(future, futures[future])
        self._count()

    def _finished(self, future: Future[str], errand: _Errand) -> None:
        try:
            message = future.result()
        except BrokenProcessPool:
            raise RunError(
                f"a worker died while it ran `{errand.name}` (out of memory?); try again with fewer `--jobs`"
            ) from None
        if message == _STOPPED:
            raise KeyboardInterrupt
        if message:
            self.failures.add((errand.file.path, errand.name))
            self.listener.failed(f"{errand.file.name}: {errand.name}", message)

    def _count(self) -> None:
        try:
            self.done += self.ticks.get(timeout=POLL_SECONDS)
            while True:
                self.done += self.ticks.get_nowait()
        except queue.Empty:
            self.total = max(self.total, self.done)
            self.listener(self.done, self.total)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


_STOPPED = "stopped"
_here: tuple[Any, Any, int] | None = None
"""Of a worker: the queue of ticks, the word to stop, and the parent's process."""


def _begin(ticks: Any, stop: Any, parent: int) -> None:
    """A worker's start."""
    global _here
    _here = (ticks, stop, parent)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which tells its workers once
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _work(errand: _Errand) -> str:
    """Run one experiment in a worker: nothing, or what went wrong."""
    assert _here is not None
    ticks, stop, parent = _here

    def count(_job: Job, records: Sequence[EpisodeRecord]) -> None:
        if os.getppid() != parent:
            raise KeyboardInterrupt  # nobody is waiting any more
        if records:
            ticks.put(1)

    if stop.is_set():
        return _STOPPED
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        use_folders(errand.plugins)
        Workshop(errand.out, errand.budget, count).result(errand.file, errand.name)
    except KeyboardInterrupt:
        return _STOPPED
    except Exception as error:  # whatever it is, the parent meets it again where the experiment is asked for
        return f"{type(error).__name__}: {error}"
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return ""
