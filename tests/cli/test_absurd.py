"""Options and files that once ended the process, hung or were believed: refused before anything is made."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ruledsl import DataError
from ruledsl.evidence import CHECKPOINT, CONFIG, RESULT
from ruledsl.settings import OPTIONS, least_bytes
from ruledsl.studies import specify
from ruledsl.tasks import open_dataset
from tests.commands import run, train
from tests.drawing import draw_episode


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--threads", "100000", "--threads needs a whole number from 0 to 512"),
        ("--sizes", "784-100000000000-47", "--sizes needs at least two layer sizes"),
        ("--sizes", "784-9000000-9000000-47", "of memory"),
        ("--meta-batch", "1000000000", "of memory"),
        ("--shots", "999999999999", "of memory"),
        ("--seeds", "1000000000", "--seeds needs a whole number from 1 to 100000"),
        ("--seeds", "99999", "of memory"),
        ("--lr", "1e309", "--lr needs a number above 0"),
        ("--episodes", "9" * 400, "--episodes needs a whole number"),
        ("--dataset", "a\0b", ""),
        ("--engine", "retied", "use it with `--feedback symmetric`"),
        ("--objective", "query + 0.5*", "--objective needs objectives with finite weights"),
        ("--objective", "query 0.5*activity", "--objective needs objectives with finite weights"),
        ("--objective", "query + 1e999*activity", "--objective needs objectives with finite weights"),
    ],
)
def test_an_absurd_option_is_refused_before_anything_is_made(
    option: str, value: str, said: str, tmp_path: Path
) -> None:
    result = run("train", "pool", option, value, "--out", tmp_path / "run")
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert not (tmp_path / "run").exists()


def test_an_objective_is_a_sum_whose_numbers_may_have_exponents() -> None:
    parse = OPTIONS["objective"].parse
    assert parse("query + 1e-3*activity") == (("query", 1.0), ("activity", 1e-3))
    assert parse(".5e-2*activity") == (("activity", 5e-3),)
    assert parse("-.5 * activity - query + 2*query") == (("activity", -0.5), ("query", 1.0))


@pytest.mark.parametrize("text", ["rule = 3", "rule = [1]", 'rule = "bio"\nterms = 3', "settings = 3"])
def test_a_configuration_of_the_wrong_types_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    result = run("train", "--config", tmp_path / "mine.toml", "--out", tmp_path / "run")
    assert result.exit_code == 2, result.output
    assert "mine.toml needs `" in result.output


def test_the_least_that_a_training_needs_is_less_than_what_it_takes() -> None:
    """An estimate that is too large would refuse what can be done; one far too small would refuse nothing."""
    settings = specify("bio", meta_batch=1).config.settings
    sizes, task = settings.sizes, settings.task
    episode = draw_episode(sizes, task.stream, queries=task.labels * task.queries, dtype=torch.float32)
    held = sum(t.nbytes for t in (*episode.W, *episode.B, episode.x, episode.x_query))
    assert held < least_bytes(settings, 1) < 2 * held


# data ------------------------------------------------------------------------


def npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def refuse(path: Path | str, root: Path, said: str) -> None:
    with pytest.raises(DataError, match=said):
        open_dataset(str(path), root)


LABELS = np.arange(6)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.array(["a"] * 6), "not real numbers"),
        (np.zeros(6, dtype="i4,f4"), "not real numbers"),
        (np.zeros((6, 2), dtype=complex) + 1j, "not real numbers"),
        (np.float64(1.0), "one row for each sample"),
        (np.zeros((6, 0)), "one row for each sample"),
        (np.full((6, 2), 1e300), "beyond single precision"),
        (np.full((6, 2), np.nan), "not finite"),
    ],
)
def test_arrays_that_are_no_samples_are_refused(x: object, said: str, tmp_path: Path) -> None:
    refuse(npz(tmp_path / "a.npz", x=x, y=LABELS), tmp_path, said)


def test_kilobytes_that_are_gigabytes_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    head = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (10**9, 8)}
    np.lib.format.write_array_header_1_0(head, shape)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", head.getvalue() + bytes(10**6))
        archive.writestr("y.npy", head.getvalue())
    refuse(tmp_path / "a.npz", tmp_path, "cannot be read as .npz")


def test_what_else_a_file_holds_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).random((6, 4)).astype(np.float32)
    npz(tmp_path / "a.npz", x=x, y=LABELS, more=np.zeros((1000, 1000)))
    monkeypatch.setattr("ruledsl.tasks.files.machine_bytes", lambda: 1_000_000)
    assert open_dataset(str(tmp_path / "a.npz"), tmp_path).classes == 6
    npz(tmp_path / "b.npz", x=np.zeros((1000, 1000)), y=np.arange(1000))
    refuse(tmp_path / "b.npz", tmp_path, "holds 0.00801 GB when unpacked")


def test_safetensors_of_types_that_numpy_lacks_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    x = {"dtype": "F8_E4M3", "shape": [6], "data_offsets": [0, 6]}
    text = json.dumps({"x": x}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(6))
    refuse(tmp_path / "a.safetensors", tmp_path, "cannot be read as .safetensors")


@pytest.mark.parametrize("sizes", [(2**32 - 1,) * 3, (2**31, 2**31, 4), (6, 28), (0, 28, 28)])
def test_idx_files_that_overflow_or_stop_short_are_refused(sizes: tuple[int, ...], tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    head = b"\0\0\x08\x03" + b"".join(struct.pack(">I", n) for n in sizes)
    (raw / "train-images-idx3-ubyte").write_bytes(head)
    (raw / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 6) + bytes(6))
    refuse("mnist", tmp_path, "truncated or damaged")


# run folders -----------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    train(out, episodes=1)
    return out


WRONG_TYPES: dict[str, tuple[str, Callable[[str], str]]] = {
    "dataset": (CONFIG, lambda t: t.replace('dataset = "glyphs"', "dataset = []")),
    "labels": (CONFIG, lambda t: t.replace("labels = 3", 'labels = "x"')),
    "sizes": (CONFIG, lambda t: t.replace("    196,", "    -5,")),
    "threads": (CONFIG, lambda t: t.replace("threads = 1", "threads = 100000")),
    "runs": (CONFIG, lambda t: t.replace("seed = 0", 'seed = "0"')),
    "deep toml": (CONFIG, lambda t: "x = " + "[" * 20_000),
    "null": (RESULT, lambda t: "null"),
    "deep json": (RESULT, lambda t: "[" * 200_000),
    "theta": (RESULT, lambda t: t.replace('"theta": {', '"theta": [], "other": {', 1)),
}


@pytest.mark.parametrize("what", WRONG_TYPES)
def test_values_of_the_wrong_type_are_named_even_when_edits_are_accepted(
    what: str, tmp_path: Path, trained: Path
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    name, change = WRONG_TYPES[what]
    path = tmp_path / "run" / name
    before, after = path.read_text(), change(path.read_text())
    assert before != after
    path.write_text(after)
    for command in ("evaluate", "report") if name == CONFIG else ("evaluate",):
        result = run(command, tmp_path / "run", "--accept-edited")
        assert result.exit_code == 2, result.output
        assert name in result.output


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "run", episodes=1)
    train(tmp_path / "other", rule="oja", episodes=1)
    (tmp_path / "run" / CHECKPOINT).write_bytes((tmp_path / "other" / CHECKPOINT).read_bytes())
    result = run("resume", tmp_path / "run", "--episodes", 2)
    assert result.exit_code == 2
    assert "was changed since the last checkpoint" in result.output


@pytest.mark.filterwarnings("default:.*cannot be locked")
def test_a_share_without_locks_is_used_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_: object) -> None:
        raise NotImplementedError("flock")

    monkeypatch.setattr("filelock.FileLock.acquire", refuses)
    result = train(tmp_path / "run", episodes=1)
    assert result.exit_code == 0, result.output
    assert "warning:" in result.output
    assert "cannot be locked: let no other process use it" in result.output


def test_figures_that_cannot_be_written_cost_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> list[Path]:
        raise OSError(28, "No space left on device", "training.png")

    monkeypatch.setattr("ruledsl.runs.run.Run.plot", full)
    result = train(tmp_path / "run", episodes=1)
    assert result.exit_code == 0
    assert "warning: [Errno 28]" in result.output or "No space left" in result.output
    result = run("plot", tmp_path / "run")
    assert result.exit_code == 2
    assert "error: training.png: no space left on device" in result.output
