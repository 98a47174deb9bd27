"""What executors cost: two processes against one, overhead per cell, kills of workers."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import psutil

import ruledsl
from benchmarks.page import write_page
from benchmarks.timing import seconds as seconds_of
from ruledsl import RunError
from ruledsl.studies import Cell, Place, crews, open_place, specify

SETTINGS: dict[str, Any] = {
    "sizes": "196-40-30-47",
    "labels": 10,
    "shots": 5,
    "queries": 5,
    "episodes": 60,
    "threads": 1,
}
LARGE: dict[str, Any] = {"episodes": 30, "threads": 1}
"""The default network and task."""
LARGE_CELLS = 4
STEPS = 6
KILLS = 6
CORES = len(os.sched_getaffinity(0))


def study(folder: str, cells: int) -> ruledsl.Study:
    return ruledsl.Study(
        ["bio"], {"learning_rate": [1e-3 + 1e-6 * n for n in range(cells)]}, folder, **SETTINGS
    )


def spawned() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [p for p in children if p.is_running() and "spawn_main" in " ".join(p.cmdline())]


class Killer(threading.Thread):
    """Kills a worker whenever another seventh of the cells has begun."""

    def __init__(self, folder: Path, cells: int) -> None:
        super().__init__()
        self.folder, self.cells = folder, cells
        self.killed, self.done = 0, threading.Event()

    def run(self) -> None:
        while not self.done.is_set() and self.killed < KILLS:
            begun = len(list(self.folder.glob("*/metrics.csv")))
            if begun > self.killed * self.cells // (KILLS + 1) and (found := spawned()):
                os.kill(found[-1].pid, signal.SIGKILL)
                self.killed += 1
            time.sleep(0.05)


def row(*columns: str) -> str:
    """A row of the table, told at once."""
    text = f"| {' | '.join(columns)} |"
    click.echo(text, err=True)
    return text


def run_all(place: Place, cells: Sequence[Cell]) -> None:
    for cell, future in [(cell, place.submit(cell)) for cell in cells]:
        if message := place.received(cell, future.result()):
            raise RunError(message)


def efficiency(cells: int) -> list[str]:
    """The same cells in one worker process and in two; each worker has trained one before."""
    rows = []
    for name in ("processes", "dask"):
        seconds = []
        for workers in (1, 2):
            with tempfile.TemporaryDirectory() as folder, open_place(f"{name}:{workers}") as place:
                run_all(place, study(f"{folder}/before", workers).cells)
                seconds.append(seconds_of(partial(run_all, place, study(folder, cells).cells), 1))
        found = f"{seconds[0]:.1f} s, {seconds[1]:.1f} s"
        share = seconds[0] / (2 * seconds[1])
        rows.append(row(f"{name}, {cells} cells, one worker and two", found, f"efficiency {share:.2f}"))
    return rows


def together(cells: int) -> list[str]:
    """The same trainings as one batch, as cells of this process, and of two: is a batch worth sharing?"""
    rows = []
    for count, settings in ((cells, SETTINGS), (LARGE_CELLS, LARGE)):
        shared = {**settings, "threads": 0, "backend": "compiled"}
        with tempfile.TemporaryDirectory() as folder:
            train = partial(ruledsl.train, "bio", progress=False, **shared)
            train(out=f"{folder}/before")  # compiles
            seconds = [seconds_of(partial(train, seeds=count, out=f"{folder}/batch"), 1)]
            for executor in ("here", f"processes:{CORES}"):
                some = ruledsl.Study(["bio"], {"seed": range(count)}, f"{folder}/{executor}", **shared)
                seconds.append(seconds_of(partial(some.run, executor, progress=False), 1))
        found = ", ".join(f"{s:.1f} s" for s in seconds)
        what = f"{count} trainings, {settings.get('sizes', 'the default network')}"
        rows.append(row(what, found, f"one batch; cells here; in {CORES} processes"))
    return rows


def one_meta_step() -> list[str]:
    """A training of 32 tasks a meta-step: in this process, and by one worker process and two."""
    shared = {"meta_batch": 32, "at_once": 4, "backend": "compiled"}
    spec, first = (specify("bio", episodes=episodes, **shared) for episodes in (STEPS, 1))
    seconds, bits = [], set()
    with tempfile.TemporaryDirectory() as folder:
        for executor in ("here", "processes:1", "processes:2", "dask:2"):
            run = ruledsl.Run(Path(folder) / executor)
            with crews(executor) as hired:
                # Workers load, and compile, in a training before.
                ruledsl.Run(Path(folder) / f"{executor}-before").ensure(first, fresh_tasks=0, crews=hired)
                seconds.append(seconds_of(partial(run.ensure, spec, fresh_tasks=0, crews=hired), 1))
            bits.add((run.folder / "metrics.csv").read_bytes())
    found = ", ".join(f"{s:.1f} s" for s in seconds)
    share = seconds[1] / (2 * seconds[2])
    same = "the same bits" if len(bits) == 1 else "OTHER BITS"
    what = f"{STEPS} meta-steps of 32 tasks: here, by one process, by two, by two of dask"
    return [row(what, found, f"efficiency {share:.2f}; {same}")]


def overhead(cells: int) -> list[str]:
    """What a study takes besides trainings: the seconds of one whose cells are all done, as they grow."""
    with tempfile.TemporaryDirectory() as folder:
        study(folder, cells).run(progress=False)
        one, all_ = (seconds_of(lambda n=n: study(folder, n).run(progress=False)) for n in (1, cells))
    each = f"{1e3 * (all_ - one) / (cells - 1):.0f} ms"
    return [row("a further cell, besides its training", each, f"and {one:.2f} s for the study")]


def deaths(cells: int) -> list[str]:
    """Workers killed in the middle: do all numbers stay what they are without?"""
    with tempfile.TemporaryDirectory() as folder:
        true = metrics_of(study(folder, cells).run(progress=False))
    rows = []
    for executor in ("processes:2", "dask:2"):
        with tempfile.TemporaryDirectory() as folder:
            killer = Killer(Path(folder), cells)
            killer.start()
            found = metrics_of(study(folder, cells).run(executor, progress=False))
            killer.done.set()
            killer.join()
        same = sum(found[name] == true[name] for name in true)
        what = f"{executor}, {killer.killed} workers killed"
        rows.append(row(what, f"{same} of {cells} cells", "byte for byte as undisturbed"))
    return rows


def metrics_of(some: ruledsl.Study) -> dict[str, bytes]:
    return {c.name: (c.run_folder.folder / "metrics.csv").read_bytes() for c in some.cells}


@click.command()
@click.option("--cells", default=24, show_default=True, help="Cells of the studies that train.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Also write the table to this file."
)
def main(cells: int, out: Path | None) -> None:
    """Measure all of it; print one table."""
    rows = [*efficiency(cells), *together(cells), *one_meta_step(), *overhead(cells), *deaths(cells)]
    page = [
        "# What executors cost",
        "",
        "Cells are trainings of `bio`, 196-40-30-47, 60 episodes of 50 samples, one seed.",
        "",
        "| what | found | |",
        "|---|---|---|",
        *rows,
        "",
        "Efficiency: what one worker takes, over twice what two take; above 1 it is the machine's noise.",
    ]
    write_page("studies", page, out)


if __name__ == "__main__":
    main()
