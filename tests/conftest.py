"""One core per worker, a shared cache folder, and the real data when it lies beside the checkout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings


def keep_to_one_core() -> None:
    """A worker of pytest-xdist, and what it starts. What takes every core by default would otherwise wait,
    spinning, for threads that another worker keeps from running: three times as long for the same test."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


keep_to_one_core()  # before torch counts the cores

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("suite")

EMNIST = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def cache(pytestconfig: pytest.Config) -> Iterator[Path]:
    """Kernels and glyphs made by the tests: shared by all workers, and kept for the next session.

    Compiling them is a fifth of a first session. Their names are digests of source, flags and processor.
    """
    folder = pytestconfig.rootpath / ".pytest_cache" / "ruledsl"
    before = os.environ.get("RULEDSL_CACHE")
    os.environ["RULEDSL_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["RULEDSL_CACHE"]
    else:
        os.environ["RULEDSL_CACHE"] = before


@pytest.fixture(autouse=True)
def no_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tests marked `figures` draw the figures of a training:
    they would be most of the time of all others."""
    if request.node.get_closest_marker("figures") is None:
        monkeypatch.setattr("ruledsl.runs.run.Run.plot", lambda run: [])


@pytest.fixture(autouse=True)
def few_fresh_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished training is judged on twenty fresh tasks: at toy size that is longer than the training."""
    monkeypatch.setattr("ruledsl.runs.driver.FRESH_TASKS", 2)


@pytest.fixture(autouse=True)
def no_named_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders that a command names with `--plugins` hold for its process: here, for its test."""
    monkeypatch.setattr("ruledsl.registry.declarations._named", [])


@pytest.fixture
def emnist() -> Path:
    """The root of the real EMNIST files; skips where they are not at hand."""
    if not (EMNIST / "EMNIST" / "raw").is_dir():
        pytest.skip("the real EMNIST files are not beside this checkout")
    return EMNIST
