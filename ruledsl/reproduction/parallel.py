"""Many experiments at once: a process for each, on one thread, which on few cores beats threads within one.

Two waves: trainings first, then what uses their Θ. Whatever is there already is left alone; an experiment that fails
stops nothing, its message comes again when it is asked for.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruledsl.registry import plugin_folders, use_folders
from ruledsl.reproduction.claims import ClaimFile, Training
from ruledsl.reproduction.experiments import Budget, Job, Workshop
from ruledsl.reproduction.reading import read_claims
from ruledsl.settings import EpisodeRecord

POLL_SECONDS = 0.5
Said = Callable[[int, int], None]
"""Told of episodes done so far, and of all there are."""


@dataclass(frozen=True)
class _Errand:
    """What a worker is sent: an experiment by its file and name."""

    path: Path
    name: str
    out: Path
    budget: Budget
    plugins: tuple[Path, ...]


def run_ahead(workshop: Workshop, files: Sequence[ClaimFile], jobs: int, said: Said) -> None:
    """Run all that files need, `jobs` experiments at a time.

    Raises `KeyboardInterrupt` when stopped: every training at work has then been saved.
    """
    trainings: dict[Path, tuple[ClaimFile, str, int]] = {}
    others: list[tuple[ClaimFile, str]] = []
    for file in files:
        for name, experiment in file.experiments.items():
            if isinstance(experiment, Training) and not experiment.frozen_at:
                folder, episodes = workshop.unfinished(file, name)
                if episodes:
                    trainings.setdefault(folder, (file, name, episodes))
            else:
                others.append((file, name))
    total = sum(episodes for *_, episodes in trainings.values())
    with _Pool(jobs, lambda done: said(done, total)) as pool:
        pool.run([_errand(workshop, file, name) for file, name, _ in trainings.values()])
        pool.run([_errand(workshop, file, name) for file, name in others if not workshop.is_done(file, name)])


def _errand(workshop: Workshop, file: ClaimFile, name: str) -> _Errand:
    budget = replace(workshop.budget, overrides={**workshop.budget.overrides, "threads": 1})
    named = tuple(folder for folder, origin in plugin_folders() if origin == "named")
    return _Errand(file.path, name, workshop.out, budget, named)


class _Pool:
    """Worker processes and the queue on which they count their episodes."""

    def __init__(self, jobs: int, said: Callable[[int], None]) -> None:
        # Forked children would inherit torch's threads in an unknown state.
        context = multiprocessing.get_context("spawn")
        self.ticks: Any = context.Queue()
        self.said, self.done = said, 0
        self.executor = ProcessPoolExecutor(jobs, context, _begin, (self.ticks,))

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid or 0, signal.SIGINT)  # the training at work saves itself
        self.executor.shutdown(wait=True, cancel_futures=True)
        self.ticks.close()

    def run(self, errands: Sequence[_Errand]) -> None:
        """Wait for all of them."""
        futures = [self.executor.submit(_work, errand) for errand in errands]
        while not all(future.done() for future in futures):
            self._count()
            if any(_was_stopped(future) for future in futures):
                raise KeyboardInterrupt
        if any(_was_stopped(future) for future in futures):
            raise KeyboardInterrupt

    def _count(self) -> None:
        try:
            self.done += self.ticks.get(timeout=POLL_SECONDS)
            while True:
                self.done += self.ticks.get_nowait()
        except queue.Empty:
            self.said(self.done)


def _was_stopped(future: Future[str]) -> bool:
    if not future.done() or future.cancelled():
        return False
    error = future.exception()
    return isinstance(error, BrokenProcessPool) or (error is None and future.result() == "stopped")


_ticks: Any = None


def _begin(ticks: Any) -> None:
    """A worker's start: one thread, and a way to count."""
    global _ticks
    _ticks = ticks
    os.environ["OMP_NUM_THREADS"] = "1"
    os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which tells its workers once
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _work(errand: _Errand) -> str:
    """Run one experiment in a worker. What goes wrong is left for the parent to meet again, with its message."""

    def count(_job: Job, records: Sequence[EpisodeRecord]) -> None:
        if records:
            _ticks.put(1)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        use_folders(errand.plugins)
        Workshop(errand.out, errand.budget, count).result(read_claims(errand.path), errand.name)
    except KeyboardInterrupt:
        return "stopped"
    except Exception:
        return "failed"
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return "done"
