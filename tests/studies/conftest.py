"""One cluster of dask for all tests that kill none of its workers: to start one takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def dask_workers() -> Iterator[str]:
    """The executor of a scheduler with one worker, by its address."""
    distributed = pytest.importorskip("distributed")
    local = {"host": "127.0.0.1", "dashboard_address": ":0", "threads_per_worker": 1}
    with distributed.LocalCluster(n_workers=1, **local) as cluster:
        yield f"dask:{cluster.scheduler_address}"
