"""A cluster of many workers, simulated on this machine: what a scheduler costs per cell, and where it ends.

The scheduler is a process of its own, as on a cluster. All workers live in another one; their cells sleep.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import click
import psutil

from benchmarks.page import write_page
from ruledsl.progress import Board
from ruledsl.studies import Plan, Tick, open_place

MEGABYTE = 2**20


@dataclass(frozen=True)
class Sleeping:
    """A cell that does nothing for a while."""

    number: int
    seconds: float
    root: Path
    needs = ()
    score = None
    episodes = 1

    @property
    def name(self) -> str:
        return f"cell {self.number}"

    key = name

    def reads(self) -> list[Path]:
        return []

    def given(self) -> list[Path]:
        return []

    def moved(self, root: Path, given: Mapping[Path, Path]) -> Sleeping:
        return replace(self, root=root)

    def is_done(self) -> bool:
        return False

    def run(self, tick: Tick) -> None:
        time.sleep(self.seconds)


async def _workers(address: str, count: int) -> None:
    from distributed import Worker

    settings = {"nthreads": 1, "dashboard": False, "memory_limit": 0}
    workers = [Worker(address, **settings) for _ in range(count)]
    await asyncio.gather(*workers)
    print("ready", flush=True)
    await asyncio.gather(*(worker.finished() for worker in workers))


@contextmanager
def _cluster(workers: int) -> Iterator[tuple[str, psutil.Process]]:
    """A scheduler and its workers: the address, and the scheduler's process."""
    with tempfile.TemporaryDirectory() as folder:
        file, quiet = Path(folder) / "scheduler.json", {"stderr": subprocess.DEVNULL, "cwd": folder}
        command = ["-m", "distributed.cli.dask_scheduler", "--scheduler-file", str(file), "--port", "0",
                   "--host", "127.0.0.1", "--no-dashboard"]  # fmt: skip
        scheduler = subprocess.Popen([sys.executable, *command], **quiet)
        while not file.exists() or not file.read_text().strip():
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        crowd = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.cluster", "--crowd", address, "--workers", str(workers)],
            stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert crowd.stdout
            assert crowd.stdout.readline().strip() == "ready"
            yield address, psutil.Process(scheduler.pid)
        finally:
            crowd.kill()
            scheduler.kill()
            crowd.wait()
            scheduler.wait()


class _Watched(threading.Thread):
    """The largest memory that a process has while it works."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.process, self.before = process, process.memory_info().rss
        self.most, self.done = self.before, threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.2):
            self.most = max(self.most, self.process.memory_info().rss)


def measured(workers: int, cells: int, seconds: float) -> tuple[float, float, float]:
    """Seconds that all cells take; megabytes that the scheduler, and this process, grow by."""
    with tempfile.TemporaryDirectory() as folder, _cluster(workers) as (address, scheduler):
        place = open_place(f"dask:{address}")
        warm = Plan.of([Sleeping(-1 - n, 0.0, Path(folder)) for n in range(workers)])
        warm.run(place, Board(quiet=True))  # every worker has run something
        plan = Plan.of([Sleeping(n, seconds, Path(folder)) for n in range(cells)])
        watched = _Watched(scheduler), _Watched(psutil.Process())
        for each in watched:
            each.start()
        began = time.monotonic()
        with Board(quiet=False) as board:
            failures = plan.run(open_place(f"dask:{address}"), board)
        took = time.monotonic() - began
        for each in watched:
            each.done.set()
            each.join()
        assert not failures, next(iter(failures.values()))
    grown = [(each.most - each.before) / MEGABYTE for each in watched]
    return took, grown[0], grown[1]


@click.command()
@click.option("--workers", default=256, show_default=True, help="Simulated workers.")
@click.option("--cells", "counts", default=(1000, 100_000), show_default=True, multiple=True, type=int)
@click.option("--seconds", default=1.0, show_default=True, help="How long a cell sleeps.")
@click.option("--crowd", default="", hidden=True, help="Be the workers of this scheduler.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Also write the table here.")
def main(workers: int, counts: tuple[int, ...], seconds: float, crowd: str, out: Path | None) -> None:
    """Measure; print a table."""
    if crowd:
        asyncio.run(_workers(crowd, workers))
        return
    rows = []
    for cells in counts:
        took, scheduler, client = measured(workers, cells, seconds)
        ideal = seconds * -(-cells // workers)
        each = 1e3 * took / cells
        rows.append(
            f"| {cells:,} | {took:.0f} s | {ideal:.0f} s | {each:.1f} ms | {1e3 / each:.0f} | "
            f"{scheduler:.0f} MB | {client:.0f} MB |"
        )
        click.echo(rows[-1], err=True)
    page = [
        f"# A simulated cluster of {workers} workers",
        "",
        f"Cells sleep for {seconds:g} s. The scheduler, the client and a process that holds all workers "
        "share this machine's cores: on a cluster each has its own, so that these are upper bounds.",
        "",
        "| cells | took | without overhead | per cell | per second | the scheduler grows by | the client |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]
    write_page("cluster", page, out)


if __name__ == "__main__":
    main()
