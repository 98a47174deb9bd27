"""Where the cells of a study run: in this process, in others of this machine, on those of a cluster.

Each opens a `Place`. Results lie on disk: workers that see the study's folder write there, for others files
travel.
`Far` takes any `concurrent.futures.Executor`; docs/cluster.md has what to know of dask and Slurm.
"""

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from shutil import which
from typing import Any

from ruledsl.plugin import Far, Here, Place, Processes, executor, require

ALLOWED_DEATHS = 10
"""Workers that dask lets die on a task before it gives it up. `retries=` does not count them."""
SECONDS = 10
"""How long a scheduler may take to answer."""


@executor("here")
def here(address: str) -> Place:
    """This process, one cell after the other, every core for each."""
    if address:
        raise ValueError(f"this process is at no address, not at `{address}`")
    return Here()


@executor("processes")
def processes(address: str) -> Place:
    """Processes of this machine, a thread each: `processes:4`, or one for each core."""
    return Processes(_count(address))


@executor("dask")
def dask(address: str) -> Place:
    """Workers of dask: `dask:tcp://HOST:8786`, or so many on this machine, `dask:4`."""
    require("cluster", "distributed")  # before a folder is made
    return Far(partial(_dask, address), _dashboard, _workers)


@executor("slurm")
def slurm(address: str) -> Place:
    """Slurm jobs that dask asks for as needed: `slurm:jobs=100,memory=4GB,walltime=02:00:00,queue=short`.

    Whatever else dask_jobqueue.SLURMCluster takes may follow, such as `interface=ib0`, or stand in its
    jobqueue.yaml.
    """
    options = slurm_options(address)
    jobs = _count(options.pop("jobs", "10"))
    require("cluster", "distributed", "dask_jobqueue")
    return Far(partial(_slurm, jobs, options), _dashboard, _workers)


def slurm_options(address: str) -> dict[str, str]:
    """NAME=VALUE, NAME=VALUE as a table. Raises `ValueError`."""
    pairs = [part.partition("=") for part in address.split(",") if part]
    if any(not equals for _, equals, _ in pairs):
        raise ValueError(f"slurm takes NAME=VALUE,…, such as jobs=100,memory=4GB, not `{address}`")
    return {name.strip(): value.strip() for name, _, value in pairs}


def slurm_cluster(options: dict[str, str]) -> Any:
    """The cluster that dask-jobqueue makes of these options; it asks Slurm for nothing yet."""
    (jobqueue,) = require("cluster", "dask_jobqueue")
    if not which("sbatch"):
        raise ValueError("this machine has no `sbatch`")
    numbers = {n: int(v) for n, v in options.items() if n in ("cores", "processes")}
    # A port of its own: 8787 may be another user's, on a login node, or another study's.
    dashboard = {"scheduler_options": {"dashboard_address": ":0"}}
    usual = {"cores": 1, "processes": 1, "memory": "4GB"}
    return jobqueue.SLURMCluster(**usual | options | numbers | dashboard)


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    distributed, configuration = require("cluster", "distributed", "dask.config")
    with configuration.set({"distributed.scheduler.allowed-failures": ALLOWED_DEATHS}):
        if address and not address.isdecimal():
            with distributed.Client(address, timeout=SECONDS) as client:
                yield client.get_executor(pure=False)
            return
        # Without an address dask takes port 8787, which another study of this machine may have.
        local = {"host": "127.0.0.1", "dashboard_address": ":0", "threads_per_worker": 1}
        with (
            distributed.LocalCluster(n_workers=_count(address), **local) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client.get_executor(pure=False)


@contextmanager
def _slurm(jobs: int, options: dict[str, str]) -> Iterator[Executor]:
    distributed, configuration = require("cluster", "distributed", "dask.config")
    with (
        configuration.set({"distributed.scheduler.allowed-failures": ALLOWED_DEATHS}),
        slurm_cluster(options) as cluster,
    ):
        cluster.adapt(minimum_jobs=0, maximum_jobs=jobs)
        with distributed.Client(cluster) as client:
            yield client.get_executor(pure=False)


def _dashboard(executor: Any) -> str:
    link = executor._client.dashboard_link
    return f"dask's own dashboard, where bokeh is installed: {link}" if link else ""


def _workers(executor: Any) -> int:
    """Cells that run at a time: threads of the workers that there are at this moment."""
    return sum(executor._client.nthreads().values())


def _count(text: str) -> int:
    cores = len(os.sched_getaffinity(0))
    if text and (not text.isdecimal() or int(text) < 1):
        raise ValueError(f"a number of workers from 1 is needed, not `{text}`")
    return int(text or cores)
