"""Run folders under attack: killed, full disks, other hands.
What is there afterwards is right, or is refused."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import ruledsl
from fuzz.kills import TOY as SHORT
from fuzz.kills import Zygote, evidence
from ruledsl import Run
from ruledsl.runs import read_metrics
from ruledsl.settings import EpisodeRecord
from ruledsl.storage import read_json
from tests import ROOT
from tests.commands import SMALL, TOY, run, train


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    process = Zygote()
    yield process
    process.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kills_at_calls_that_make_something_durable_leave_no_trace(tmp_path: Path, zygote: Zygote) -> None:
    """Before and after a rename, an fsync, a lock, a row: at calls, not times, so equal on every machine."""
    out = tmp_path / "killed"
    options = [*SHORT, "--seeds", 2, "--episodes", 12]
    assert zygote.attempt("train", "bio", *options, "--out", tmp_path / "whole") == 0
    known = []
    for call in (1, 2, 5, 16, 24, 33, 26, 41, 5, 30):
        started = (out / "checkpoint.json").exists()
        command = ("resume", out, "--quiet") if started else ("train", "bio", *options, "--out", out)
        assert zygote.attempt(*command, at_call=call) == signal.SIGKILL
        known.append(Run(out).episodes)
    assert known == sorted(known), "an episode that was saved was lost"
    assert 0 < known[-1] < 12
    assert len(set(known)) >= 4, "the kills came before any work"
    assert zygote.attempt("resume", out, "--quiet") == 0
    assert evidence(out) == evidence(tmp_path / "whole")


def _rows(folder: Path) -> int:
    try:
        return (folder / "metrics.csv").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def test_the_same_numbers_come_from_the_folder_alone(tmp_path: Path) -> None:
    train(tmp_path / "run", "--seeds", 2)
    result = run("rerun", tmp_path / "run", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert "identical to" in result.output
    assert "6 episodes × 2 runs" in result.output
    assert (tmp_path / "again" / "metrics.csv").read_bytes() == (
        tmp_path / "run" / "metrics.csv"
    ).read_bytes()
    metrics = tmp_path / "run" / "metrics.csv"
    lines = metrics.read_text().splitlines()
    cells = lines[3].split(",")
    cells[6] = "0.123"
    metrics.write_text("\n".join([*lines[:3], ",".join(cells), *lines[4:]]) + "\n")
    result = run("rerun", tmp_path / "run", "--out", tmp_path / "third", "--accept-edited")
    assert result.exit_code == 1
    assert "run 0, episode 1: meta_accuracy was 0.123, is" in result.output


class Killed(BaseException):
    """As SIGKILL is, to the code that it ends."""


def test_a_training_that_was_asked_for_more_and_killed_goes_on_to_all_of_it(tmp_path: Path) -> None:
    for name in ("whole", "run"):
        train(tmp_path / name, episodes=3)
    Run(tmp_path / "whole").resume(6)

    def kill(records: Sequence[EpisodeRecord]) -> None:
        raise Killed

    with pytest.raises(Killed):
        Run(tmp_path / "run").resume(6, kill)
    assert (Run(tmp_path / "run").state, Run(tmp_path / "run").asked) == ("started", 6)
    result = run("resume", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert Run(tmp_path / "run").state == "finished"
    whole, resumed = ((tmp_path / n / "metrics.csv").read_bytes() for n in ("whole", "run"))
    assert resumed == whole


def test_a_run_of_arrays_that_is_run_again_can_go_on(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    arrays = (chance.random((40, 49)).astype(np.float32), np.arange(40) % 4)
    own = {**SMALL, "sizes": "49-10-4", "shots": 2, "queries": 2}
    first = ruledsl.train("bio", dataset=arrays, out=tmp_path / "first", progress=False, **own)
    first.rerun(tmp_path / "again")
    again = Run(tmp_path / "again")
    assert again.resume(5).episodes_done == 5
    assert first.difference(again) is None


def test_two_trainings_of_one_folder_do_not_overwrite_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second was asked for before the first began, and makes its trainer while that one trains."""
    driver = importlib.import_module("ruledsl.runs.driver")
    made, out = driver.MetaTrainer, tmp_path / "run"

    def meanwhile(*arguments: object) -> object:
        monkeypatch.setattr(driver, "MetaTrainer", made)
        train(out, rule="oja")
        return made(*arguments)

    monkeypatch.setattr(driver, "MetaTrainer", meanwhile)
    result = train(out)
    assert result.exit_code == 2
    assert "already holds a run" in result.output
    assert Run(out).config.rule == "oja"


def test_versions_that_differ_are_named(tmp_path: Path) -> None:
    train(tmp_path / "run")
    path = tmp_path / "run" / "config.toml"
    path.write_text(path.read_text().replace('torch = "2', 'torch = "1'))
    result = run("rerun", tmp_path / "run", "--out", tmp_path / "again", "--accept-edited")
    assert "made with other versions (torch 1." in result.output


def _replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def _content(name: str, content: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(content)

    return write


def _cut(name: str) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_content("checkpoint.json", "{"), "checkpoint.json is damaged"),
        (_cut("checkpoint.json"), "checkpoint.json is damaged"),
        (
            _replace("checkpoint.json", '"format": 2', '"format": 1'),
            "has format 1; this version of ruledsl reads 2",
        ),
        (
            _replace("checkpoint.json", '"episodes_done": 6', '"episodes_done": 5'),
            "was changed since it was written",
        ),
        (_remove("checkpoint.json"), "has no checkpoint.json"),
        (_cut("metrics.csv"), "but the checkpoint was written after 6"),
        (_replace("metrics.csv", "all terms", "some terms"), "metrics.csv was changed since it was written"),
        (_remove("metrics.csv"), "metrics.csv is missing"),
        (_content("config.toml", "format = 99"), "config.toml was changed since"),
        (_content("config.toml", "= nonsense"), "config.toml was changed since"),
        (_content("config.toml", "format = 1"), "config.toml was changed since"),
        (
            _replace("config.toml", "beta = 10.0", "beta = 9.0"),
            "config.toml was changed since the last checkpoint",
        ),
        (_remove("config.toml"), "config.toml is missing"),
        (_content("rule.rule", "rule other = pseudo_gradient"), "rule.rule was changed since"),
        (
            _replace("rule.rule", "-e_post * e_pre", "e_post * e_pre"),
            "rule.rule was changed since the last checkpoint",
        ),
        (_content("rule.rule", "rule ="), "rule.rule was changed since"),
        (_remove("rule.rule"), "rule.rule is missing"),
    ],
)
def test_a_folder_that_another_hand_changed_is_refused_and_left_alone(
    tmp_path: Path, harm: Callable[[Path], None], message: str
) -> None:
    train(tmp_path / "run")
    harm(tmp_path / "run")
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    result = run("resume", tmp_path / "run", "--episodes", 8)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before


def test_a_full_disk_says_what_was_saved_and_resumes(tmp_path: Path) -> None:
    """A limit on the size of files makes the kernel refuse a write as a full disk does."""
    out = tmp_path / "run"
    script = (
        "import resource, signal, ruledsl.runs.driver as d; from ruledsl.cli import main\n"
        "d.CHECKPOINT_SECONDS = 0.0\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))\n"
        f"main(['train', 'bio', *{TOY!r}, '--episodes', '30', '--quiet', '--recipe', 'paper', '--out', "
        f"{str(out)!r}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    saved = json.loads((out / "checkpoint.json").read_text())["episodes_done"]
    assert 0 < saved < 30
    assert f"Saved: the checkpoint after episode {saved} and its metrics" in done.stderr
    assert run("resume", out).exit_code == 0
    train(tmp_path / "whole", "--recipe", "paper", episodes=30)
    assert (out / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()


def test_a_place_that_cannot_be_written_is_said_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = train(tmp_path / "file" / "run")
    assert result.exit_code == 2
    assert f"{tmp_path / 'file'} is not a folder; choose another `--out`" in result.output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    train(tmp_path / "run")
    (tmp_path / "run").chmod(0o500)
    try:
        result = run("resume", tmp_path / "run", "--episodes", 8)
    finally:
        (tmp_path / "run").chmod(0o700)
    assert result.exit_code == 2
    assert "cannot be" in result.output
    assert len(read_metrics(tmp_path / "run").column(0, "episode")) == 6


def test_sigterm_stops_cleanly(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "cli.py", "train", "bio", *TOY, "--episodes", "100000", "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while _rows(out) < 5 and process.poll() is None:
        time.sleep(0.05)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert read_json(out / "checkpoint.json")["episodes_done"] == len(read_metrics(out).column(0, "episode"))


# looking at a run -------------------------------------------------------------


def test_a_diverged_stream_is_traced_to_its_first_sample_layer_and_term(tmp_path: Path) -> None:
    """One planted term explodes in layer 2 only; all others are harmless."""
    text = "term wild = exp(40 * y_post) * y_pre^T\n"
    text += "rule planted = pseudo_gradient + 0.5 * wild[layers = 2] + error_hebb\n"
    (tmp_path / "planted.rule").write_text(text, encoding="utf-8")
    result = train(tmp_path / "run", rule=str(tmp_path / "planted.rule"), episodes=3)
    assert "ruledsl diagnose" in result.output
    result = run("diagnose", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "run 0, episode 0: meta-loss not finite" in result.output
    assert "blew up in layer 2" in result.output
    assert "most of it `wild`" in result.output


def test_a_healthy_episode_can_be_walked_through_too(tmp_path: Path) -> None:
    train(tmp_path / "run")
    result = run("diagnose", tmp_path / "run")
    assert result.exit_code == 2
    assert "no episode of" in result.output
    result = run("diagnose", tmp_path / "run", "--episode", 2)
    assert "no update was ever as large as its weights" in result.output
    assert run("diagnose", tmp_path / "run", "--episode", 99).exit_code == 2


def test_watching_shows_what_another_process_recorded(tmp_path: Path) -> None:
    train(tmp_path / "run", "--seeds", 2)
    result = run("watch", tmp_path / "run", "--every", 0.1)
    assert result.exit_code == 0
    assert "finished: 6 episodes" in result.output
    train(tmp_path / "short", episodes=3)
    path = tmp_path / "short" / "checkpoint.json"
    path.write_text(path.read_text().replace('"episodes_asked": 3', '"episodes_asked": 30'))
    with (tmp_path / "short" / "metrics.csv").open("a") as file:
        file.write("0,0,0.0,all te")  # a line still being written
    result = run("watch", tmp_path / "short", "--every", 0.1, "--accept-edited")
    assert "nobody trains" in result.output
    assert "after 3 episodes" in result.output


def test_pandas_reads_a_batch_as_one_table(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    train(tmp_path / "run", "--seeds", 2, "--l1", "0,1")
    table = pandas.read_csv(tmp_path / "run" / "metrics.csv")
    assert len(table) == 4 * 6
    assert table.groupby(["l1", "seed"]).size().to_dict() == {
        (l1, seed): 6 for l1 in (0.0, 1.0) for seed in (0, 1)
    }
    assert table["theta[oja_subspace]"].dtype.kind == "f"


def test_ctrl_c_in_the_first_second_leaves_a_folder_that_goes_on(tmp_path: Path) -> None:
    """Pressed while torch is still being loaded."""
    out = tmp_path / "run"
    command = [sys.executable, "cli.py", "train", "bio", *TOY, "--episodes", "100000", "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    maps = Path(f"/proc/{process.pid}/maps")
    deadline = time.monotonic() + 60
    while "libtorch" not in maps.read_text() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not out.exists()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert run("resume", out, "--episodes", 2).exit_code == 0
    assert read_metrics(out).column(0, "episode") == [0.0, 1.0]
