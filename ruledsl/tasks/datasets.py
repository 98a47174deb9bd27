"""Data sets by name: found on disk, downloaded through torchvision on request, or drawn offline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ruledsl.errors import DataError
from ruledsl.language import closest
from ruledsl.tasks.files import SUFFIXES, open_file
from ruledsl.tasks.glyphs import load_glyphs
from ruledsl.tasks.idx import idx_source
from ruledsl.tasks.source import ImageSource, Pixels
from ruledsl.tasks.split import split_name, split_source
from ruledsl.tasks.torchvision_gate import torchvision_datasets

Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = ("train", "test")


@dataclass(frozen=True)
class IdxData:
    """A torchvision data set that lies on disk as idx files."""

    torchvision_class: str
    folder: str
    prefix: dict[str, str]
    emnist_split: str | None = None

    def paths(self, root: Path, part: Part) -> tuple[Path, Path]:
        base = root / self.folder / "raw"
        stem = self.prefix[part]
        return base / f"{stem}-images-idx3-ubyte", base / f"{stem}-labels-idx1-ubyte"

    def download(self, root: Path, part: Part) -> None:
        make = getattr(torchvision_datasets(), self.torchvision_class)
        split: dict[str, Any] = {"split": self.emnist_split} if self.emnist_split else {}
        make(str(root), train=part == "train", download=True, **split)


def _emnist(split: str) -> IdxData:
    return IdxData("EMNIST", "EMNIST", {p: f"emnist-{split}-{p}" for p in PARTS}, split)


def _mnist_like(name: str) -> IdxData:
    return IdxData(name, name, {"train": "train", "test": "t10k"})


IDX_DATA = {
    "emnist-balanced": _emnist("balanced"),
    "emnist-bymerge": _emnist("bymerge"),
    "emnist-mnist": _emnist("mnist"),
    "mnist": _mnist_like("MNIST"),
    "fashion-mnist": _mnist_like("FashionMNIST"),
    "kmnist": _mnist_like("KMNIST"),
}
DATASETS = ("glyphs", *IDX_DATA, "omniglot")


def open_dataset(spec: str, root: Path, download: bool = False) -> ImageSource:
    """Open `NAME` or `NAME/PART` (PART `train` by default), or a file of one's own (`.npz`, `.safetensors`).

    `…@search`, `…@choice` and `…@test` are half, a quarter and a quarter of its classes; `…@search:1` of
    another random order. Raises `DataError` when the name is unknown, or the files are neither there nor
    downloadable.
    """
    whole, split, seed = split_name(spec)
    if split:
        return split_source(open_dataset(whole, root, download), split, seed)
    if spec.endswith(SUFFIXES):
        return open_file(Path(spec))
    name, _, part = spec.partition("/")
    if name not in DATASETS:
        near = closest(name, DATASETS)
        hint = f"; did you mean `{near}`?" if near else ";"
        raise DataError(
            f"there is no data set `{name}`{hint} known: {', '.join(DATASETS)}, or a .npz or .safetensors "
            f"file"
        )
    if part not in ("", *PARTS):
        raise DataError(f"`{name}` has the parts `train` and `test`, not `{part}`")
    chosen: Part = "test" if part == "test" else "train"
    if name == "glyphs":
        return load_glyphs(chosen)
    if name == "omniglot":
        return _omniglot(root, chosen, download)
    return _open_idx(name, chosen, root, download)


def _open_idx(name: str, part: Part, root: Path, download: bool) -> ImageSource:
    data = IDX_DATA[name]
    images, labels = data.paths(root, part)
    if download and not (images.is_file() and labels.is_file()):
        _download(name, lambda: data.download(root, part))
    if not (images.is_file() and labels.is_file()):
        other: Part = "test" if part == "train" else "train"
        if all(p.is_file() for p in data.paths(root, other)):
            raise DataError(
                f"the {part} part of `{name}` is not in {root}, but its {other} part is: use `{name}/{other}`"
            )
        raise DataError(_not_found(name, images, root))
    return idx_source(f"{name}/{part}", images, labels, transposed=data.emnist_split is not None)


def _not_found(name: str, wanted: Path, root: Path) -> str:
    return (
        f"`{name}` is not in {root} (looked for {wanted}). Add `--download` to fetch it with torchvision, "
        f"`--data-root DIR` if it lies elsewhere, or use `--dataset glyphs`, which needs no files"
    )


def _download(name: str, fetch: Any) -> None:
    try:
        fetch()
    except Exception as error:  # torchvision raises many types, from URLError to RuntimeError
        raise DataError(
            f"`{name}` could not be downloaded ({type(error).__name__}: {error}). "
            "Copy its files to the data root by hand, or use `--dataset glyphs`, which needs no files"
        ) from None


def _omniglot(root: Path, part: Part, download: bool) -> ImageSource:
    """Omniglot's background set is `train`, its evaluation set `test`; 105×105 pictures become 28×28."""
    folder = root / "omniglot-py" / ("images_background" if part == "train" else "images_evaluation")
    if download and not folder.is_dir():
        make = torchvision_datasets().Omniglot
        _download("omniglot", lambda: make(str(root), background=part == "train", download=True))
    if not folder.is_dir():
        raise DataError(_not_found("omniglot", folder, root))
    characters = sorted(p for p in folder.glob("*/*") if p.is_dir())
    files = [
        (number, path)
        for number, character in enumerate(characters)
        for path in sorted(character.glob("*.png"))
    ]
    if not files:
        raise DataError(f"{folder} holds no pictures")
    paths = [path for _, path in files]

    def read(places: NDArray[np.int64]) -> Pixels:
        return np.stack([_picture(paths[i]) for i in places])

    return ImageSource(
        f"omniglot/{part}", 28, np.array([number for number, _ in files], dtype=np.int64), read
    )


def _picture(path: Path) -> Pixels:
    """(28, 28) ink of a drawing, black on white. Raises `DataError` for a file that is no picture."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            small = picture.convert("L").resize((28, 28), Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # PIL raises them all
        raise DataError(f"{path} is not a picture: {error}") from None
    return 1.0 - np.asarray(small, dtype=np.float32) / np.float32(255.0)
