"""Workers that see none of our folders: files go along with cells, and come back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import ruledsl
from ruledsl.progress import Board, Standing
from ruledsl.reproduction import Budget, Planner, read_claims, run_experiments
from ruledsl.runs import Run
from ruledsl.studies import Parcel, Returned
from tests.claims import NETWORK, Heard
from tests.commands import SMALL

RULE = "rule mine = pseudo_gradient + error_hebb"
SETTINGS = {**SMALL, "episodes": 12}
LEANING = """
[training.a]
rule = "pseudo_gradient"
[training.b]
rule = "pseudo_gradient"
frozen_at = "a"
[stream.long]
rule = "pseudo_gradient"
theta_of = "a"
samples = 20
test_images = 47
[[claim]]
name = "x"
says = "it learns"
of = "b"
measure = "accuracy"
at_least = 0
"""
RATES = {"learning_rate": [1e-3, 2e-3]}


@pytest.fixture
def unseen(tmp_path: Path) -> Iterator[Path]:
    """A folder under a path that only this process knows: a descriptor of its own."""
    handle = os.open(tmp_path, os.O_RDONLY)
    yield Path(f"/proc/self/fd/{handle}")
    os.close(handle)


class StopAt(Board):
    """Ctrl-C after some episodes."""

    def __init__(self, episodes: int) -> None:
        super().__init__(quiet=True)
        self.episodes = episodes

    def __call__(self, standing: Standing) -> None:
        if standing.episodes == self.episodes:
            os.kill(os.getpid(), signal.SIGINT)


def evidence(study: ruledsl.Study) -> dict[str, bytes]:
    return {
        f"{cell.name} {name}": (cell.run_folder.folder / name).read_bytes()
        for cell in study.cells
        for name in ("metrics.csv", "checkpoint.json", "rule.rule", "config.toml")
    }


def test_a_study_that_workers_do_not_see_goes_on_with_what_was_done_and_comes_back_whole(
    unseen: Path, tmp_path: Path, dask_workers: str
) -> None:
    (tmp_path / "mine.rule").write_text(RULE, encoding="utf-8")
    rule = str(unseen / "mine.rule")
    whole = ruledsl.Study([rule], RATES, tmp_path / "whole", **SETTINGS).run(progress=False)
    study = ruledsl.Study([rule], RATES, unseen / "far", **SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        study.run(watch=StopAt(5))
    assert [c.run_folder.episodes for c in study.cells] == [5, 0]
    study.run(dask_workers, progress=False)
    assert evidence(study) == evidence(whole)
    left = [p.name for p in (tmp_path / "far").iterdir() if p.is_file() or p.name.startswith(".")]
    assert left == [".lock"], "what was put there to be seen, and what arrived, is gone"


def test_experiments_that_workers_do_not_see_come_back_with_what_leans_on_them(
    unseen: Path, tmp_path: Path, dask_workers: str
) -> None:
    path = tmp_path / "toy.toml"
    path.write_text(LEANING, encoding="utf-8")
    claims = read_claims(path)
    budget = Budget(2, dataset="glyphs", overrides={**NETWORK, "episodes": 2})
    found = []
    for out, executor in ((tmp_path / "here", "here"), (unseen / "far", dask_workers)):
        planner = Planner(out, budget)
        assert run_experiments(planner, [claims], executor, Heard()) == {}
        found.append([planner.place(claims, name) for name in claims.experiments])
    for ours, theirs in zip(*found, strict=True):
        file = "metrics.csv" if ours.is_dir() else ""
        assert (ours / file).read_bytes() == (theirs / file).read_bytes()


def test_what_arrives_late_does_not_replace_what_went_further_here(tmp_path: Path) -> None:
    study = ruledsl.Study(["bio"], {}, tmp_path / "out", **{**SETTINGS, "episodes": 6})
    with pytest.raises(KeyboardInterrupt):
        study.run(watch=StopAt(2))
    (cell,) = study.cells
    late = Parcel.of(cell).files
    study.run(progress=False)
    Returned("", late).unpack(cell.root)
    assert Run(cell.run_folder.folder).state == "finished"


def test_a_run_folder_that_arrives_takes_the_place_of_the_older_one_as_a_whole(tmp_path: Path) -> None:
    study = ruledsl.Study(["bio"], {}, tmp_path / "out", **{**SETTINGS, "episodes": 2})
    study.run(progress=False)
    (cell,) = study.cells
    parcel = Parcel.of(cell)
    stale = cell.run_folder.folder / "figure.png"
    stale.write_bytes(b"of an older one")
    Returned("", parcel.files).unpack(cell.root)
    assert not stale.exists()
    assert Run(cell.run_folder.folder).state == "finished"
    assert parcel.opened(lambda moved: "" if moved.is_done() else "not done").files == {}, "nothing is new"
