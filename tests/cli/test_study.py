"""`study`: files that describe many trainings, run in parts, looked at while they run."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ruledsl.studies import open_study, read_study
from tests import ROOT
from tests.cluster import stand_in_for_slurm
from tests.commands import run

TEXT = """
rules = ["bio", "mine.rule"]
[vary]
seed = "0..1"
sizes = ["49-10-47", [49, 8, 47]]
[settings]
labels = 3
shots = 4
queries = 3
episodes = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "mine.rule").write_text("rule mine = oja_subspace[init = -0.001]", encoding="utf-8")
    path = tmp_path / "sizes.toml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_a_study_is_run_in_parts_looked_at_and_gone_on_with(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    part = run("study", "cells", file, "--out", out, "--part", "1/2", "--quiet")
    assert part.exit_code == 0, part.output
    status = run("study", "status", out)
    assert "4 cells: 2 finished, 2 new" in status.output
    assert "3/3" in status.output
    stamps = {p: p.stat().st_mtime_ns for p in out.glob("*/metrics.csv")}
    assert len(stamps) == 2
    whole = run("study", "run", file, "--out", out, "--quiet")
    assert whole.exit_code == 0, whole.output
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps, "a finished cell was trained again"
    table = run("study", "table", out, "--by", "sizes")
    assert "sizes 49-10-47" in table.output
    assert len([line for line in table.output.splitlines() if "±" in line]) == 3
    (cell, *_) = open_study(out).cells
    assert [r.seed for r in cell.run_folder.config.runs] == [0, 1], "a range of seeds is one batch"


def test_other_bytes_under_the_same_name_are_another_cell(file: Path, tmp_path: Path) -> None:
    arrays = tmp_path / "mine.npz"
    file.write_text(
        f'rules = ["bio"]\n[settings]\ndataset = "{arrays}"\nsizes = "49-10-4"\nlabels = 3\nshots = 2\n'
        "queries = 2\n",
        encoding="utf-8",
    )
    keys = set()
    for grey in (0.0, 0.5):
        np.savez(arrays, x=np.full((40, 49), grey), y=np.arange(40) % 4)
        keys.add(read_study(file, tmp_path / "out").cells[0].key)
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules = []", "write the rules as a list"),
        ('rule = ["bio"]', "there is no setting `rule`; did you mean `rules`?"),
        ('rules = ["bio"]\n[vary]\nsize = ["49-10-47"]', "did you mean `sizes`?"),
        ('rules = ["bio"]\n[vary]\nseed = "7..0"', "needs a growing range"),
        ('rules = ["bio"]\n[vary]\nbeta = 3', "needs a list of values"),
        ('rules = ["bio"]\n[vary]\nbeta = [1]\n[settings]\nbeta = 2', "both varied and the same"),
        ('rules = ["bio"]\n[vary]\nbeta = "0..999999"\nlabels = [1, 2]', "at most 1000000"),
        ('rules = ["bio"]\n[vary]\nbeta = [1, "x"]', "`beta` needs a number above 0, not `x`"),
        ('rules = ["boi"]', "boi"),
        ("rules = ", "cannot be read"),
    ],
)
def test_a_file_that_is_no_study_is_refused_in_one_message(text: str, message: str, tmp_path: Path) -> None:
    file, out = tmp_path / "bad.toml", tmp_path / "out"
    file.write_text(text, encoding="utf-8")
    result = run("study", "run", file, "--out", out, "--quiet")
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert not out.exists(), "nothing was made"


def test_a_study_that_grows_trains_what_is_new(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    file.write_text(TEXT.replace("[vary]", "[vary]\nbeta = [1.0]"), encoding="utf-8")
    assert run("study", "run", file, "--out", out, "--quiet").exit_code == 0
    stamps = {p: p.stat().st_mtime_ns for p in out.glob("*/metrics.csv")}
    file.write_text(TEXT.replace("[vary]", "[vary]\nbeta = [1.0, 10.0]"), encoding="utf-8")
    assert run("study", "run", file, "--out", out, "--quiet").exit_code == 0
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps, "a finished cell was trained again"
    assert "8 cells: 8 finished" in run("study", "status", out).output


def test_a_folder_that_keeps_no_study_is_refused(tmp_path: Path) -> None:
    result = run("study", "status", tmp_path)
    assert result.exit_code == 2
    assert "is not the folder of a study" in result.output


def test_a_script_names_the_plugins_and_is_of_a_study_that_can_be_trained(file: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    script = run("study", "script", file, "--out", tmp_path / "out", "--plugins", mine)
    assert script.exit_code == 0, script.output
    assert f"--plugins {mine}" in script.output
    file.write_text(TEXT.replace("[vary]", "[vary]\nbeta = [-1.0]"), encoding="utf-8")
    refused = run("study", "script", file, "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "`beta` needs" in refused.output


def test_the_printed_script_trains_the_study_as_a_job_array(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_for_slurm(tmp_path, monkeypatch)
    command = tmp_path / "ruledsl"
    command.write_text(
        f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} {ROOT / "cli.py"} "$@"\n', "utf-8"
    )
    command.chmod(0o755)
    file.write_text(TEXT.replace(', "mine.rule"', ""), encoding="utf-8")
    script = run("study", "script", file.name, "--out", "out", "--jobs", 2)
    assert script.exit_code == 0, script.output
    (tmp_path / "job.sh").write_text(script.output, encoding="utf-8")
    subprocess.run(["sbatch", "job.sh"], check=True, capture_output=True)
    deadline = time.monotonic() + 60
    while "2 finished" not in run("study", "status", "out").output:
        assert time.monotonic() < deadline, (tmp_path / "sbatch.log").read_text()
        time.sleep(0.2)
