"""A user's own samples: `.npz` and `.safetensors` files as data sets, for labels and for regressions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ruledsl.cli import main
from ruledsl.errors import DataError
from ruledsl.tasks import open_dataset

SHORT = ["--labels", "2", "--shots", "4", "--queries", "3", "--episodes", "2", "--threads", "1", "--quiet"]


def arrays(real: bool) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.standard_normal((40, 6)).astype(np.float32)
    return {"x": x, "y": np.tanh(x[:, :3]) if real else np.arange(40) % 4}


def save(path: Path, content: dict[str, np.ndarray]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **content)  # type: ignore[arg-type]
    else:
        pytest.importorskip("safetensors.numpy").save_file(content, str(path))
    return path


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("real", [False, True])
def test_a_file_of_samples_is_read_and_trained_on(tmp_path: Path, suffix: str, real: bool) -> None:
    content = arrays(real)
    path = save(tmp_path / f"mine{suffix}", content)
    source = open_dataset(str(path), tmp_path)
    np.testing.assert_array_equal(source.read(np.array([3, 5])), content["x"][[3, 5]])
    assert source.classes == (1 if real else 4)
    options = ["--task", "samples", "--output", "linear"] if real else []
    command = ["train", "pseudo_gradient", "--dataset", str(path), "--sizes", "6-5-3", *SHORT, *options]
    done = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert (
        CliRunner().invoke(main, ["rerun", str(tmp_path / "run"), "--out", str(tmp_path / "b")]).exit_code
        == 0
    )


def test_square_pictures_are_fitted_to_the_input_layer(tmp_path: Path) -> None:
    pictures = {"x": np.random.default_rng(0).random((30, 8, 8)), "y": np.arange(30) % 3}
    path = save(tmp_path / "pictures.npz", pictures)
    command = ["train", "pseudo_gradient", "--dataset", str(path), "--sizes", "16-5-3", *SHORT]
    assert CliRunner().invoke(main, [*command, "--out", str(tmp_path / "run")]).exit_code == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": np.zeros((4, 2))}, "has no array `y`; it holds x"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(3, dtype=int)}, "both need one row for each sample"),
        ({"x": np.zeros(4), "y": np.zeros(4, dtype=int)}, "both need one row for each sample"),
        ({"x": np.full((4, 2), np.nan), "y": np.zeros(4, dtype=int)}, "numbers that are not finite"),
        (
            {"x": np.zeros((4, 2)), "y": np.zeros((4, 2), dtype=int)},
            "labels are one whole number for each sample",
        ),
        ({"x": np.zeros((4, 2)), "y": np.array([{}, {}, {}, {}], dtype=object)}, "cannot be read as .npz"),
    ],
)
def test_arrays_that_do_not_fit_get_one_message(
    tmp_path: Path, content: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        open_dataset(str(save(tmp_path / "bad.npz", content)), tmp_path)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_damaged_and_missing_files_are_named(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("safetensors")
    path = tmp_path / f"mine{suffix}"
    with pytest.raises(DataError, match="does not exist"):
        open_dataset(str(path), tmp_path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="cannot be read as"):
        open_dataset(str(path), tmp_path)


def test_samples_that_do_not_fit_the_input_layer_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "mine.npz", arrays(False))
    command = ["train", "pseudo_gradient", "--dataset", str(path), "--sizes", "7-5-4", *SHORT]
    done = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "the data have 6 numbers a sample; the input layer has 7" in done.output
