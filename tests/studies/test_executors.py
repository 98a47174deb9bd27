"""Where cells run changes nothing: workers die, schedulers are missing, Slurm is a stand-in."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

import ruledsl
from ruledsl import RunError, __version__
from ruledsl.meta import Portion
from ruledsl.registry import find
from ruledsl.stopping import stopping
from ruledsl.studies import Cell, Far, Plan, crews, open_place, specify
from tests.claims import Heard
from tests.cluster import kill_new, stand_in_for_slurm, workers
from tests.commands import SMALL

VARIED = {"beta": [1.0, 5.0, 10.0]}
SETTINGS = {**SMALL, "episodes": 20}


def metrics_of(study: ruledsl.Study) -> dict[str, bytes]:
    return {c.name: (c.run_folder.folder / "metrics.csv").read_bytes() for c in study.cells}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    return metrics_of(ruledsl.Study(["bio"], VARIED, out, **SETTINGS).run(progress=False))


@pytest.mark.parametrize("executor", ["processes:1", "dask:1"])
def test_cells_whose_workers_are_all_killed_end_with_the_numbers_of_an_undisturbed_study(
    executor: str, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    study = ruledsl.Study(["bio"], VARIED, tmp_path, **SETTINGS)
    spared = {p.pid for p in workers()}
    begun = lambda: bool(list(tmp_path.glob("*/metrics.csv")))  # noqa: E731
    killer = threading.Thread(target=kill_new, args=(begun, spared), daemon=True)
    killer.start()
    study.run(executor, progress=False)
    killer.join(timeout=10)
    assert not killer.is_alive(), "the worker was killed while cells ran"
    assert metrics_of(study) == undisturbed


def test_two_studies_of_one_machine_need_no_port_of_each_other(tmp_path: Path) -> None:
    """Dask's own port is taken by somebody: workers come all the same, and without a warning."""
    with socket.socket() as other:
        with contextlib.suppress(OSError):  # somebody has it indeed
            other.bind(("", 8787))
            other.listen()
        study = ruledsl.Study(["bio"], {"beta": [1.0]}, tmp_path, **{**SETTINGS, "episodes": 2})
        study.run("dask:1", progress=False)
        assert len(metrics_of(study)) == 1


def test_a_scheduler_that_is_not_there_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(find("executor", "dask").item.__globals__, "SECONDS", 0.5)
    with pytest.raises(RunError, match="no workers can be had"):
        ruledsl.Study(["bio"], VARIED, **SETTINGS).run("dask:tcp://127.0.0.1:9", progress=False)


@pytest.mark.parametrize(
    ("executor", "message"),
    [
        ("processes:none", "a number of workers from 1 is needed, not `none`"),
        ("here:2", "this process is at no address"),
        ("slurm:fast", "slurm takes NAME=VALUE,…"),
    ],
)
def test_an_address_that_means_nothing_is_refused(executor: str, message: str) -> None:
    with pytest.raises(RunError, match=message):
        open_place(executor)


def test_a_cell_that_cannot_be_trained_costs_no_other(tmp_path: Path) -> None:
    study = ruledsl.Study(["bio"], {"beta": [1.0, 10.0]}, tmp_path, **SETTINGS)
    blocked = study.cells[0].run_folder.folder
    blocked.write_text("no folder", encoding="utf-8")
    with pytest.raises(RunError, match=blocked.name):
        study.run(progress=False)
    assert study.cells[1].is_done()


class Mixed(Far):
    """Threads as workers; whoever takes the first cell has another version."""

    def __init__(self) -> None:
        super().__init__(lambda: ThreadPoolExecutor(1))
        self.versions = iter(["0.0"])

    def work(self) -> Callable[[Cell], str]:
        with patch("ruledsl.studies.places.__version__", next(self.versions, __version__)):
            return super().work()


def test_a_worker_with_another_version_says_so_and_costs_no_other_cell(tmp_path: Path) -> None:
    study = ruledsl.Study(["bio"], {"beta": [1.0, 10.0]}, tmp_path, **{**SETTINGS, "episodes": 2})
    heard = Heard()
    failures = Plan.of(study.cells).run(Mixed(), heard)
    message = f"a worker has ruledsl {__version__}, whoever asked it 0.0"
    assert list(failures.values()) == [message]
    assert heard.failures == [f"{study.cells[0].name}: {message}"]
    assert study.cells[1].is_done()


class Scattered(Far):
    """The worker that is asked sees the study; those that train do not any more."""

    def __init__(self) -> None:
        super().__init__(lambda: ThreadPoolExecutor(1))

    def submit(self, cell: Cell) -> Future[Any]:
        sign = self._sign(cell.root)
        assert sign is not None
        sign.unlink(missing_ok=True)
        return super().submit(cell)


def test_a_cell_whose_worker_does_not_see_the_study_is_told_of_and_not_taken_for_done(tmp_path: Path) -> None:
    study = ruledsl.Study(["bio"], {}, tmp_path, **{**SETTINGS, "episodes": 2})
    failures = Plan.of(study.cells).run(Scattered(), Heard())
    assert "its worker does not see" in next(iter(failures.values()))
    assert not study.cells[0].is_done()


class Broken(ThreadPoolExecutor):
    """An executor with errors of its own, as dask's when a worker died too often."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        raise LookupError("lost")


def test_errors_of_an_executor_fail_the_cell_or_the_training_in_words(tmp_path: Path) -> None:
    study = ruledsl.Study(["bio"], {}, tmp_path, **{**SETTINGS, "episodes": 2})
    failures = Plan.of(study.cells).run(Far(lambda: Broken(1)), Heard())
    assert list(failures.values()) == ["LookupError: lost"]
    portion = Portion(((0, 0, 0),), torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool), "none", "eager")
    with patch("ruledsl.studies.crews.open_place", lambda _: Far(lambda: Broken(1))), crews("x") as hired:
        assert hired is not None
        spec = specify("bio", **{**SETTINGS, "at_once": 1})
        with pytest.raises(RunError, match="the workers failed: LookupError: lost"):
            hired(tmp_path, spec)([portion])


def test_who_listens_for_the_end_already_is_left_to_it() -> None:
    """A training under way saves itself when it is told to end."""
    with stopping():
        mine = signal.getsignal(signal.SIGTERM)
        with open_place("processes:1"):
            assert signal.getsignal(signal.SIGTERM) is mine
    usual = signal.getsignal(signal.SIGTERM)
    with open_place("processes:1"):
        assert signal.getsignal(signal.SIGTERM) is not usual, "a `kill` stops workers as Ctrl-C does"


def test_what_slurm_is_asked_for_is_in_its_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_slurm(tmp_path, monkeypatch)
    module = find("executor", "slurm").item.__globals__
    options = module["slurm_options"]("memory=3GB,walltime=02:00:00,queue=short,interface=lo,cores=2")
    with module["slurm_cluster"](options) as cluster:
        script = cluster.job_script()
    for line in ("#SBATCH --mem=3G", "#SBATCH -t 02:00:00", "#SBATCH -p short", "--cpus-per-task=2"):
        assert line in script
