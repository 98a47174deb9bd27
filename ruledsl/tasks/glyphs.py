"""`glyphs`, the embedded data set: the 47 characters of EMNIST drawn from matplotlib's own fonts.

Each image is one character in one of the fonts under a random affine map and a random smooth
(elastic) displacement, with random stroke weight and contrast. Drawn once, offline, from a fixed
seed; kept in the cache folder.
"""

from __future__ import annotations

from pathlib import Path

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
VERSION = 4


def load_glyphs(part: str) -> ImageSource:
    """The images of a part, `train` or `test`; the first call on a machine draws them (seconds)."""
    path = cache_folder() / f"glyphs-v{VERSION}-{part}.npy"
    images = _cached(path)
    if images is None:
        images = draw_glyphs(PER_CLASS[part], _SEEDS[part])
        try:
            keep(path, lambda file: np.save(file, images))
        except (OSError, NotOurs):
            pass  # A machine that cannot keep them draws them again next time; nothing depends on the cache.
    labels = np.repeat(np.arange(len(CHARACTERS), dtype=np.int64), PER_CLASS[part])
    pixels = images

    def read(places: NDArray[np.int64]) -> Pixels:
        return pixels[places].astype(np.float32) / 255.0

    return ImageSource(f"glyphs/{part}", SIDE, labels, read)


def _cached(path: Path) -> NDArray[np.uint8] | None:
    if not is_kept(path):
        return None
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return images if images.dtype == np.uint8 and images.shape[1:] == (SIDE, SIDE) else None


def draw_glyphs(per_class: int, seed: int) -> NDArray[np.uint8]:
    """(47 · per_class, 28, 28) grey values, classes in order; a function of the seed alone."""
    masters = _masters()
    generator = torch.Generator().manual_seed(seed)
    batches = [_distort(masters[c], per_class, generator) for c in range(len(CHARACTERS))]
    return torch.cat(batches).mul(255.0).round().to(torch.uint8).numpy()


def _masters() -> torch.Tensor:
    """(47, fonts, 64, 64): every character in every font, centred, in 0 … 1."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    paths = sorted({p for pattern in _FONTS for p in folder.glob(f"{pattern}.ttf")})
    paths = [p for p in paths if not any(word in p.name for word in _SKIPPED)]
    return torch.stack([torch.stack([_render(c, p) for p in paths]) for c in CHARACTERS])


def _render(character: str, font_path: Path) -> torch.Tensor:
    from matplotlib.ft2font import FT2Font

    font = FT2Font(str(font_path))
    font.set_size(44, 72)
    font.set_text(character, 0.0)
    font.draw_glyphs_to_bitmap(antialiased=True)
    bitmap = np.asarray(font.get_image(), dtype=np.float32) / 255.0
    rows, columns = np.flatnonzero(bitmap.any(1)), np.flatnonzero(bitmap.any(0))
    ink = bitmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][:_CANVAS, :_CANVAS]
    canvas = np.zeros((_CANVAS, _CANVAS), dtype=np.float32)
    top, left = (_CANVAS - ink.shape[0]) // 2, (_CANVAS - ink.shape[1]) // 2
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return torch.from_numpy(canvas)


def _distort(masters: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """`count` images of one character: (count, 28, 28)."""

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    chosen = masters[torch.randint(len(masters), (count,), generator=generator)].unsqueeze(1)
    angle, shear = uniform(-0.22, 0.22), uniform(-0.25, 0.25)
    scale_x, scale_y = uniform(0.55, 0.95), uniform(0.55, 0.85)
    cos, sin = angle.cos(), angle.sin()
    rows = [cos * scale_x, (shear * cos - sin) * scale_y, uniform(-0.12, 0.12)]
    rows += [sin * scale_x, (shear * sin + cos) * scale_y, uniform(-0.12, 0.12)]
    affine = torch.stack(rows, 1).reshape(count, 2, 3)
    grid = torch.nn.functional.affine_grid(affine, [count, 1, SIDE, SIDE], align_corners=False)
    knots = torch.randn(count, 2, 5, 5, generator=generator) * 0.045
    elastic = torch.nn.functional.interpolate(knots, (SIDE, SIDE), mode="bicubic", align_corners=True)
    # Shrinking 64 pixels to 28 would alias: blur first, by a stroke width that differs by image.
    blurred = torch.nn.functional.avg_pool2d(chosen, 5, 1, 2)
    images = torch.nn.functional.grid_sample(
        blurred, grid + elastic.permute(0, 2, 3, 1), align_corners=False
    ).squeeze(1)
    gamma, gain = uniform(0.4, 1.0, 1, 1), uniform(1.0, 1.6, 1, 1)
    return (images.clamp(0, 1).pow(gamma) * gain).clamp(0, 1)
