"""`glyphs`, the embedded data set: the 47 characters of EMNIST drawn from matplotlib's own fonts.

Each image is one character in one of the fonts under a random affine map and a random smooth
(elastic) displacement, with random stroke weight and contrast. Drawn offline, from a fixed seed, each
character when it is first asked for (a task needs five of them), and kept in the cache folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ruledsl.storage import NotOurs, cache_folder, is_kept, keep
from ruledsl.tasks.source import ImageSource, Pixels

CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
"""The 47 classes of EMNIST's balanced and by-merge splits, in their order."""
SIDE = 28
PER_CLASS = {"train": 400, "test": 120}
_SEEDS = {"train": 20230306, "test": 20230307}
_FONTS = (
    "DejaVuSans*",
    "DejaVuSerif*",
    "DejaVuSansMono*",
    "STIXGeneral*",
    "cmr10",
    "cmss10",
    "cmtt10",
    "cmb10",
)
_SKIPPED = ("Display",)
_CANVAS = 64
VERSION = 5


def load_glyphs(part: str) -> ImageSource:
    """The images of a part, `train` or `test`."""
    drawing = _Drawing(PER_CLASS[part], _SEEDS[part], cache_folder() / f"glyphs-v{VERSION}-{part}")
    labels = np.repeat(np.arange(len(CHARACTERS), dtype=np.int64), PER_CLASS[part])

    def read(places: NDArray[np.int64]) -> Pixels:
        return drawing.images(labels[places])[places].astype(np.float32) / 255.0

    return ImageSource(f"glyphs/{part}", SIDE, labels, read, shipped=True)


def draw_glyphs(per_class: int, seed: int) -> NDArray[np.uint8]:
    """(47 · per_class, 28, 28) grey values, classes in order; a function of the seed alone."""
    return _Drawing(per_class, seed).images(np.arange(len(CHARACTERS)))


class _Drawing:
    """Images, of the characters that somebody asked for until now."""

    def __init__(self, per_class: int, seed: int, folder: Path | None = None) -> None:
        self.per_class, self.seed, self.folder = per_class, seed, folder
        self._images = np.zeros((len(CHARACTERS), per_class, SIDE, SIDE), dtype=np.uint8)
        self._waiting = set(range(len(CHARACTERS)))
        self._drawing = Lock()
        """Fonts hold what they draw: one character at a time."""

    @cached_property
    def _chances(self) -> list[_Chances]:
        # One generator for all: what a character looks like must not depend on who asked for it when.
        generator = torch.Generator().manual_seed(self.seed)
        return [_Chances.drawn(self.per_class, len(self._fonts), generator) for _ in CHARACTERS]

    @cached_property
    def _fonts(self) -> list[Any]:
        return _fonts()

    def images(self, classes: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(47 · per_class, 28, 28), of which those of these classes are there."""
        with self._drawing:
            for number in self._waiting.intersection(np.unique(classes).tolist()):
                self._images[number] = self._of(number)
                self._waiting.discard(number)
        return self._images.reshape(-1, SIDE, SIDE)

    def _of(self, number: int) -> NDArray[np.uint8]:
        """A character's images: kept ones, if there are."""
        path = self.folder and self.folder / f"{number:02}.npy"
        if path and (kept := _kept(path, (self.per_class, SIDE, SIDE))) is not None:
            return kept
        images = _distorted(_masters(CHARACTERS[number], self._fonts), self._chances[number])
        drawn = images.mul(255.0).round().to(torch.uint8).numpy()
        if path:
            try:
                keep(path, lambda file: np.save(file, drawn))
            except (OSError, NotOurs):
                pass  # A machine that cannot keep them draws them again next time; nothing depends on it.
        return drawn


def _kept(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    if not is_kept(path):
        return None
    try:
        images = np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        return None
    return images if images.dtype == np.uint8 and images.shape == shape else None


def _fonts() -> list[Any]:
    """matplotlib's, in the order of their files."""
    import matplotlib
    from matplotlib.ft2font import FT2Font

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    paths = sorted({p for pattern in _FONTS for p in folder.glob(f"{pattern}.ttf")})
    return [FT2Font(str(p)) for p in paths if not any(word in p.name for word in _SKIPPED)]


def _masters(character: str, fonts: Sequence[Any]) -> torch.Tensor:
    """(fonts, 64, 64): a character in every font, centred and blurred, in 0 … 1."""
    canvases = np.zeros((len(fonts), _CANVAS, _CANVAS), dtype=np.float32)
    for canvas, font in zip(canvases, fonts, strict=True):
        font.set_size(44, 72)
        font.set_text(character, 0.0)
        font.draw_glyphs_to_bitmap(antialiased=True)
        bitmap = np.asarray(font.get_image(), dtype=np.float32) / 255.0
        rows, columns = np.flatnonzero(bitmap.any(1)), np.flatnonzero(bitmap.any(0))
        ink = bitmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][:_CANVAS, :_CANVAS]
        top, left = (_CANVAS - ink.shape[0]) // 2, (_CANVAS - ink.shape[1]) // 2
        canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    # Shrinking 64 pixels to 28 would alias: blur first.
    return torch.nn.functional.avg_pool2d(torch.from_numpy(canvases), 5, 1, 2)


@dataclass(frozen=True)
class _Chances:
    """What is random in the images of one character, (images, …) each."""

    font: torch.Tensor
    angle: torch.Tensor
    shear: torch.Tensor
    scale: tuple[torch.Tensor, torch.Tensor]
    shift: tuple[torch.Tensor, torch.Tensor]
    knots: torch.Tensor
    """Displacements at (2, 5, 5) points."""
    gamma: torch.Tensor
    gain: torch.Tensor

    @classmethod
    def drawn(cls, count: int, fonts: int, generator: torch.Generator) -> _Chances:
        def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
            return low + (high - low) * torch.rand(count, *shape, generator=generator)

        return cls(
            torch.randint(fonts, (count,), generator=generator),
            uniform(-0.22, 0.22),
            uniform(-0.25, 0.25),
            (uniform(0.55, 0.95), uniform(0.55, 0.85)),
            (uniform(-0.12, 0.12), uniform(-0.12, 0.12)),
            torch.randn(count, 2, 5, 5, generator=generator) * 0.045,
            uniform(0.4, 1.0, 1, 1),
            uniform(1.0, 1.6, 1, 1),
        )


def _distorted(masters: torch.Tensor, by: _Chances) -> torch.Tensor:
    """Images (count, 28, 28) of one character."""
    count, (scale_x, scale_y), (shift_x, shift_y) = len(by.font), by.scale, by.shift
    cos, sin = by.angle.cos(), by.angle.sin()
    rows = [cos * scale_x, (by.shear * cos - sin) * scale_y, shift_x]
    rows += [sin * scale_x, (by.shear * sin + cos) * scale_y, shift_y]
    affine = torch.stack(rows, 1).reshape(count, 2, 3)
    grid = torch.nn.functional.affine_grid(affine, [count, 1, SIDE, SIDE], align_corners=False)
    elastic = torch.nn.functional.interpolate(by.knots, (SIDE, SIDE), mode="bicubic", align_corners=True)
    images = torch.nn.functional.grid_sample(
        masters[by.font].unsqueeze(1), grid + elastic.permute(0, 2, 3, 1), align_corners=False
    ).squeeze(1)
    return (images.clamp(0, 1).pow(by.gamma) * by.gain).clamp(0, 1)
