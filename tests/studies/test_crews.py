"""Streams of a meta-step computed elsewhere: the same bits, whoever computes them, and whoever dies."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

import ruledsl
from ruledsl import RunError
from ruledsl.runs import Run
from ruledsl.selection import Plan
from ruledsl.settings import TrainSettings
from ruledsl.studies import crews, portioned
from tests.cluster import kill_new, workers
from tests.commands import SMALL

PORTIONS: dict[str, Any] = {
    **SMALL, "episodes": 12, "seeds": 2, "meta_batch": 4, "at_once": 3, "l1": (0, 0.01), "progress": False,
}  # fmt: skip


def metrics_of(run: Run) -> bytes:
    return (run.folder / "metrics.csv").read_bytes()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return ruledsl.train("bio", out=tmp_path_factory.mktemp("crews") / "here", **PORTIONS)


def test_portions_of_streams_say_what_all_at_once_say(tmp_path: Path) -> None:
    exact = {**PORTIONS, "dtype": "float64", "seeds": 1, "l1": (0,), "episodes": 3}
    whole = ruledsl.train("bio", out=tmp_path / "whole", **{**exact, "at_once": 0}).metrics
    parts = ruledsl.train("bio", out=tmp_path / "parts", **exact).metrics
    for name, values in whole.runs[0].items():
        assert torch.allclose(torch.tensor(values), torch.tensor(parts.runs[0][name]), rtol=1e-9), name


def test_workers_change_no_bit_also_when_one_is_killed(tmp_path: Path, here: Run) -> None:
    out = tmp_path / "far"

    def begun() -> bool:
        table = out / "metrics.csv"
        return table.exists() and table.read_bytes().count(b"\n") >= 6

    spared = {p.pid for p in workers()}
    killer = threading.Thread(target=kill_new, args=(begun, spared), daemon=True)
    killer.start()
    far = ruledsl.train("bio", out=out, executor="processes:1", **PORTIONS)
    killer.join(timeout=10)
    assert not killer.is_alive(), "the worker was killed while the training went on"
    assert metrics_of(far) == metrics_of(here)


def test_a_selection_whose_streams_are_computed_by_dask_finds_the_same_numbers(
    tmp_path: Path, here: Run, dask_workers: str
) -> None:
    plan, found = Plan(seeds=1, episodes=2, refit_episodes=2, at_once=3), {}
    for n, executor in enumerate(("here", dask_workers)):
        out = tmp_path / str(n)
        with crews(executor) as hired:
            ruledsl.select(here, out, plan, crews=hired)
        kept = (p for p in sorted(out.rglob("*")) if p.suffix in (".csv", ".json"))
        found[n] = {p.relative_to(out): p.read_bytes() for p in kept}
    assert found[0] == found[1]


def test_a_training_that_is_computed_all_at_once_has_nothing_to_hand_out(tmp_path: Path) -> None:
    few = {**PORTIONS, "at_once": 0, "episodes": 2}
    run = ruledsl.train("bio", out=tmp_path / "run", **few)
    with crews("processes:1") as hired, pytest.raises(RunError, match="--at-once 8"):
        run.resume(3, crews=hired)
    assert run.episodes == 2


def test_an_executor_makes_portions_of_its_own_accord() -> None:
    assert portioned("processes:1", 0) == 8
    assert portioned("processes:1", 3) == 3
    assert portioned("here", 0) == 0


def test_a_selection_from_arrays_of_ones_own_finds_them_from_every_stage(tmp_path: Path) -> None:
    x, y = torch.rand(60, 49).numpy(), (torch.arange(60) % 4).numpy()
    few = {**PORTIONS, "sizes": "49-6-4", "episodes": 2, "seeds": 1}
    run = ruledsl.train("bio", out=tmp_path / "run", **{**few, "dataset": (x, y)})
    ruledsl.select(run, plan=Plan(seeds=1, episodes=2, at_once=3))
    (stage,) = (run.folder / "selection").glob("refits")
    assert Run(stage).source().classes == 4


def test_portions_are_computed_by_one_thread_unless_somebody_says_otherwise() -> None:
    """Sums by two threads have other last bits than those of an executor's workers."""
    asked = {(0, 0): 0, (0, 8): 1, (3, 8): 3, (3, 0): 3}
    assert {k: TrainSettings.of(threads=k[0], at_once=k[1]).threads_used for k in asked} == asked
