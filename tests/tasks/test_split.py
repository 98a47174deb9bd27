"""Parts of a data set that share no class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ruledsl import DataError
from ruledsl.tasks import open_dataset, write_arrays


def opened(spec: str):  # type: ignore[no-untyped-def]
    return open_dataset(spec, Path())


def test_parts_share_no_class_and_are_the_whole_together() -> None:
    parts = [opened(f"glyphs@{part}") for part in ("search", "choice", "test")]
    classes = [set(part.labels.tolist()) for part in parts]
    assert [len(c) for c in classes] == [23, 12, 12]
    assert set.union(*classes) == set(range(47))
    assert sum(len(c) for c in classes) == 47
    assert sum(len(part.labels) for part in parts) == len(opened("glyphs").labels)


def test_images_stay_with_their_labels() -> None:
    whole, part = opened("glyphs"), opened("glyphs@test")
    for n in (0, 5, 11):
        label = part.labels[part.members[n][0]]
        own = np.flatnonzero(whole.labels == label)
        assert np.array_equal(part.read(part.members[n]), whole.read(own))


def test_a_seed_makes_another_split() -> None:
    first, again, other = (opened(f"glyphs@search{seed}") for seed in ("", ":0", ":1"))
    assert set(first.labels.tolist()) == set(again.labels.tolist())
    assert set(first.labels.tolist()) != set(other.labels.tolist())
    assert (first.name, other.name) == ("glyphs/train@search", "glyphs/train@search:1")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("glyphs@serach", "did you mean `search`?"),
        ("glyphs@", "a data set is split into search, choice, test, not ``"),
        ("glyphs@test:x", "the split's seed is a whole number"),
        ("glyphs@test:" + "9" * 400, "the split's seed is a whole number"),
    ],
)
def test_what_is_no_part_is_refused(spec: str, said: str) -> None:
    with pytest.raises(DataError, match="split"):
        opened(spec)
    with pytest.raises(DataError) as error:
        opened(spec)
    assert said in str(error.value)


def test_a_folder_may_have_an_at_sign_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "jane@lab"
    folder.mkdir()
    x = np.random.default_rng(0).random((40, 9)).astype(np.float32)
    np.savez(folder / "own.npz", x=x, y=np.arange(40) % 8)
    assert opened(f"{folder}/own.npz").classes == 8
    assert opened(f"{folder}/own.npz@test").classes == 2


def test_targets_are_not_split(tmp_path: Path) -> None:
    write_arrays(tmp_path / "own.npz", (np.zeros((6, 3), np.float32), np.zeros((6, 2), np.float32)))
    with pytest.raises(DataError, match="only classes are split"):
        opened(f"{tmp_path / 'own.npz'}@test")


def test_too_few_classes_are_not_split(tmp_path: Path) -> None:
    write_arrays(tmp_path / "own.npz", (np.zeros((6, 3), np.float32), np.array([0, 1, 0, 1, 0, 1])))
    with pytest.raises(DataError, match="too few to be split"):
        opened(f"{tmp_path / 'own.npz'}@choice")
