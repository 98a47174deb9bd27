"""Data sets and tasks: real files read in place, distinct draws, glyphs that can be drawn anywhere."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from ruledsl.errors import DataError
from ruledsl.settings import PAPER_SIZES, TaskShape, TrainSettings
from ruledsl.tasks import (
    CHARACTERS,
    FEEDBACK,
    WEIGHTS,
    ImageSource,
    draw_glyphs,
    draw_task,
    draw_weights,
    fit_pixels,
    open_dataset,
    torchvision_datasets,
)


def asked(labels: int, shots: int, queries: int, sizes: tuple[int, ...]) -> TrainSettings:
    return TrainSettings.of(labels=labels, shots=shots, queries=queries, sizes=sizes)


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    )


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A small MNIST on disk, in its real layout: each image is filled with its class number."""
    labels = np.arange(200) % 4
    images = np.broadcast_to(labels[:, None, None] * 10, (200, 28, 28)).copy()
    images[np.arange(200), 0, 0] = np.arange(200)
    write_idx(tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte", images)
    write_idx(tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte", labels)
    return tmp_path


def test_classes_and_images_of_a_task_are_distinct(mnist: Path) -> None:
    source = open_dataset("mnist", mnist)
    task = draw_task(source, asked(3, 10, 5, (784, 10)), seed=1, episode=2)
    assert (len(task.x), len(task.x_query)) == (30, 15)
    assert len(set(task.y.tolist())) == 3
    images = torch.cat([task.x, task.x_query])[:, 0]
    assert len(set(images.tolist())) == 45
    assert sorted(task.y_query.tolist()) == sorted(v for v in set(task.y.tolist()) for _ in range(5))
    for x, y in zip(task.x, task.y.tolist(), strict=True):
        assert float(x[1]) == pytest.approx(y * 10 / 255)


def test_the_stream_is_shuffled_and_a_draw_depends_on_seed_and_episode_alone(mnist: Path) -> None:
    source = open_dataset("mnist", mnist)
    first, again = (draw_task(source, asked(2, 20, 2, (784, 10)), 5, 3) for _ in range(2))
    assert torch.equal(first.x, again.x)
    # In class order the label would change once; classes themselves come in random order.
    assert int((first.y[1:] != first.y[:-1]).sum()) > 8
    for seed, episode in ((5, 4), (6, 3)):
        assert not torch.equal(first.x, draw_task(source, asked(2, 20, 2, (784, 10)), seed, episode).x)


def test_more_classes_than_outputs_get_random_units(mnist: Path) -> None:
    source = open_dataset("mnist", mnist)
    units = {
        tuple(sorted(set(draw_task(source, asked(2, 2, 2, (784, 3)), 0, e).y.tolist()))) for e in range(20)
    }
    assert units == {(0, 1), (0, 2), (1, 2)}


def test_a_task_that_cannot_be_drawn_says_why(mnist: Path) -> None:
    source = open_dataset("mnist", mnist)
    for shape, sizes, message in (
        (TaskShape(9, 1, 1), (784, 10), "has 4 classes; a task of 9 cannot be drawn"),
        (TaskShape(2, 50, 10), (784, 10), "50 images in its smallest class; 50 \\+ 10 distinct ones"),
        (TaskShape(4, 1, 1), (784, 3), "a task of 4 labels needs as many outputs"),
        (TaskShape(2, 1, 1), (700, 10), "700 is not a square"),
    ):
        with pytest.raises(DataError, match=message):
            draw_task(source, asked(shape.labels, shape.shots, shape.queries, sizes), 0, 0)


def test_weights_are_xaviers_uniform_draw() -> None:
    weights, feedback = (draw_weights(PAPER_SIZES, 0, 0, purpose) for purpose in (WEIGHTS, FEEDBACK))
    assert [tuple(w.shape) for w in weights] == [(170, 784), (130, 170), (100, 130), (70, 100), (47, 70)]
    assert [tuple(b.shape) for b in feedback] == [tuple(w.shape[::-1]) for w in weights]
    for w in (*weights, *feedback):
        bound = (6 / sum(w.shape)) ** 0.5
        assert bound * 0.99 < float(w.abs().max()) <= bound
        assert abs(float(w.mean())) < 4 * bound / 3**0.5 / w.numel() ** 0.5
        assert float(w.var()) == pytest.approx(bound**2 / 3, rel=0.05)
    assert not torch.equal(weights[0], feedback[0].T)
    assert not torch.equal(weights[0], draw_weights(PAPER_SIZES, 0, 1, WEIGHTS)[0])


def test_images_are_resized_to_the_input_layer() -> None:
    images = np.random.default_rng(0).random((3, 28, 28), dtype=np.float32)
    assert torch.equal(fit_pixels(images, 784), torch.from_numpy(images.reshape(3, 784)))
    larger = fit_pixels(images, 3136)
    assert larger.shape == (3, 3136)
    torch.testing.assert_close(larger.mean(), torch.from_numpy(images).mean(), rtol=0.02, atol=0)


def test_glyphs_are_the_47_classes_drawn_the_same_every_time() -> None:
    images = draw_glyphs(3, seed=11)
    assert images.shape == (47 * 3, 28, 28)
    assert np.array_equal(images, draw_glyphs(3, seed=11))
    assert len(CHARACTERS) == len(set(CHARACTERS)) == 47
    ink = images.reshape(141, -1).astype(float).mean(1) / 255
    assert 0.03 < ink.min() < ink.max() < 0.7


def test_a_glyph_looks_the_same_whoever_is_drawn_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RULEDSL_CACHE", str(tmp_path))
    source = open_dataset("glyphs/test", tmp_path)
    some = source.members[46][:2]
    last = source.read(some)
    assert [path.name for path in tmp_path.glob("glyphs-*/*.npy")] == ["46.npy"], "of what was asked for"
    assert np.array_equal(open_dataset("glyphs/test", tmp_path).read(some), last), "kept"
    monkeypatch.setenv("RULEDSL_CACHE", str(tmp_path / "other"))
    whole = open_dataset("glyphs/test", tmp_path).read(np.arange(len(source.labels)))
    assert np.array_equal(whole[some], last)


def test_threads_may_ask_for_glyphs_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULEDSL_CACHE", str(tmp_path))
    source = open_dataset("glyphs/test", tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: source.read(source.members[n % 47][:1]), range(0, 47 * 30, 7)))
    again = open_dataset("glyphs/test", tmp_path).read(np.arange(len(source.labels)))
    monkeypatch.setenv("RULEDSL_CACHE", str(tmp_path / "other"))
    alone = open_dataset("glyphs/test", tmp_path).read(np.arange(len(source.labels)))
    assert np.array_equal(again, alone)


def test_the_embedded_default_opens_with_at_least_400_images_a_class(tmp_path: Path) -> None:
    source = open_dataset("glyphs", tmp_path)
    assert source.classes == 47
    assert min(len(m) for m in source.members) >= 400
    test = open_dataset("glyphs/test", tmp_path)
    assert not np.array_equal(source.read(np.array([0])), test.read(np.array([0])))


def test_real_emnist_is_upright_and_read_in_place(emnist: Path) -> None:
    source = open_dataset("emnist-bymerge/test", emnist)
    assert (source.classes, len(source.labels)) == (47, 116_323)
    # A one is taller than wide once the shipped transposition is undone.
    ones = source.read(source.members[1][:50]) > 0.5
    heights = ones.any(2).sum(1).mean()
    widths = ones.any(1).sum(1).mean()
    assert heights > 1.5 * widths
    torchvision = torchvision_datasets().EMNIST(str(emnist), split="bymerge", train=False)
    assert np.array_equal(torchvision.data[7].numpy().T / np.float32(255), source.read(np.array([7]))[0])


def test_missing_data_says_what_to_do(tmp_path: Path, emnist: Path) -> None:
    with pytest.raises(
        DataError, match=r"`kmnist` is not in .*--download.*--data-root DIR.*--dataset glyphs"
    ):
        open_dataset("kmnist", tmp_path)
    with pytest.raises(
        DataError, match=r"the train part of `emnist-bymerge` is not in .*use `emnist-bymerge/test`"
    ):
        open_dataset("emnist-bymerge", emnist)
    with pytest.raises(DataError, match="did you mean `fashion-mnist`"):
        open_dataset("fasion-mnist", tmp_path)
    with pytest.raises(DataError, match="parts `train` and `test`, not `valid`"):
        open_dataset("mnist/valid", tmp_path)


def test_a_failed_download_is_reported_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no route to host")

    monkeypatch.setattr(torchvision_datasets().KMNIST, "download", refuse)
    with pytest.raises(DataError, match=r"could not be downloaded \(RuntimeError: no route to host\)"):
        open_dataset("kmnist", tmp_path, download=True)


def test_damaged_files_are_refused(mnist: Path) -> None:
    path = mnist / "MNIST" / "raw" / "train-images-idx3-ubyte"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(DataError, match="truncated or damaged"):
        open_dataset("mnist", mnist)
    path.write_bytes(b"PNG" + whole[3:])
    with pytest.raises(DataError, match="not an idx file"):
        open_dataset("mnist", mnist)


def test_omniglot_is_read_picture_by_picture(tmp_path: Path) -> None:
    from PIL import Image

    for alphabet, character, shade in (
        ("Greek", "character01", 0),
        ("Greek", "character02", 255),
        ("Latin", "character01", 0),
    ):
        folder = tmp_path / "omniglot-py" / "images_background" / alphabet / character
        folder.mkdir(parents=True)
        for n in range(3):
            Image.new("L", (105, 105), shade).save(folder / f"{n}.png")
    source = open_dataset("omniglot", tmp_path)
    assert (source.classes, [len(m) for m in source.members]) == (3, [3, 3, 3])
    assert source.read(np.array([0, 3])).mean((1, 2)).tolist() == [1.0, 0.0]


def test_only_asked_images_are_decoded() -> None:
    decoded: list[int] = []

    def read(places: np.ndarray) -> np.ndarray:
        decoded.extend(places.tolist())
        return np.zeros((len(places), 28, 28), dtype=np.float32)

    source = ImageSource("counting", 28, np.repeat(np.arange(10), 1000), read)
    draw_task(source, asked(3, 5, 2, (784, 10)), 0, 0)
    assert len(decoded) == 21


def test_late_labels_are_told_with_blanks_and_not_with_images() -> None:
    """Images whose grey value says their class."""
    labels = np.repeat(np.arange(5), 50)

    def read(places: np.ndarray) -> np.ndarray:
        return np.tile((labels[places] + 1).astype(np.float32)[:, None, None] / 5, (28, 28))

    grey = ImageSource("grey", 28, labels, read)
    late = draw_task(grey, asked(3, 40, 5, PAPER_SIZES).put(tasks="delayed"), 0, 0, 0)
    assert late.third is not None
    assert late.third.tolist() == [0.0, 1.0] * 60
    assert float(late.x[1::2].abs().max()) == 0.0
    shown = late.x[::2].amax(1).tolist()
    assert min(shown) > 0
    assert len(set(zip(shown, late.y[1::2].tolist(), strict=True))) == 3, "with the blank, its image's label"
    assert len(set(zip(shown, late.y[::2].tolist(), strict=True))) > 3, "with the image, any"
