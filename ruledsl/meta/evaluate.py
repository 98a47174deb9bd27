"""Naive networks learning online under a fixed Θ: accuracy against samples seen (Figs. 1, S1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ruledsl.backend import CompiledRule
from ruledsl.engines import Backend, Learner
from ruledsl.errors import DataError
from ruledsl.measures import measure
from ruledsl.network import programs_of, query_scores
from ruledsl.settings import TrainSettings
from ruledsl.tasks import STREAM, ImageSource, draw_networks, fit_pixels, generator


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy on held-out images, one row per seed, at each number of samples seen.

    `alpha[seed][point]` holds the angles α_0 … α_L, degrees (see `measure`); empty unless they were asked
    for.
    """

    samples: tuple[int, ...]
    accuracy: tuple[tuple[float, ...], ...]
    alpha: tuple[tuple[tuple[float, ...], ...], ...] = ()


WORTH_COMPILING = 4000
"""Samples, all networks together, after which compiling (8 s) has paid:
eager torch takes about 3 ms for each."""


def backend_for(asked: Backend, samples: int) -> Backend:
    """`auto` settled by the work ahead, never by what is in the cache:
    the same command must give the same bits."""
    if asked != "auto":
        return asked
    return "compiled" if samples >= WORTH_COMPILING else "eager"


def measuring_points(samples: int) -> tuple[int, ...]:
    """0, about eight points a decade up to `samples`, and its quarters."""
    points = {0, samples} | {round(10 ** (k / 8)) for k in range(8, 200) if 10 ** (k / 8) < samples}
    points |= {samples * k // 4 for k in range(1, 4)}
    return tuple(sorted(points))


@torch.no_grad()
def learning_curve(
    rule: CompiledRule,
    theta: Sequence[float],
    settings: TrainSettings,
    source: ImageSource,
    seeds: Sequence[int],
    samples: int,
    classes: int = 0,
    test_images: int = 1000,
    said: Callable[[int], None] = lambda seen: None,
    angles: bool = False,
) -> LearningCurve:
    """Train one naive network per seed for `samples` images, one at a time, in one batch.

    Each seed draws its own classes (all of them when `classes` is 0), weights, feedback and images;
    test images are never trained on.

    Raises:
        DataError: the data set has too few images or classes, or more classes than outputs.
    """
    chosen = classes or source.classes
    if chosen > source.classes or chosen > settings.sizes[-1]:
        raise DataError(
            f"{chosen} classes asked for; `{source.name}` has {source.classes}, the network "
            f"{settings.sizes[-1]} outputs: "
            "ask for fewer with `--classes`, or change the last of `--sizes`"
        )
    drawn = [_draw_stream(source, settings, seed, chosen, samples, test_images) for seed in seeds]
    x, y, x_test, y_test = (torch.stack([d[part] for d in drawn]) for part in range(4))
    dtype = getattr(torch, settings.dtype)
    programs = programs_of(rule.program, settings)
    needs = programs.needs(settings.sizes)
    if needs.third:
        raise DataError("images give no third factor; use `--third surprise` or `reward`")
    networks = draw_networks(needs, settings, [(seed, 0, 0) for seed in seeds], [samples] * len(seeds))
    coefficients = torch.tensor(theta, dtype=dtype).expand(len(seeds), -1)
    backend = backend_for(settings.backend, samples * len(seeds))
    learner = Learner(rule, coefficients, programs.network, networks.W, networks.B, backend)
    points, rows, degrees = measuring_points(samples), [], []
    for before, now in zip((0, *points), points, strict=False):
        part = slice(before, now)
        learner.see(
            x[:, part].to(dtype), y[:, part], {name: s[:, part] for name, s in networks.signals.items()}
        )
        rows.append(query_scores(programs, learner.state, x_test.to(dtype), y_test)[1])
        if angles:
            named = networks.B | learner.state
            degrees.append(measure(programs, named, coefficients, x_test.to(dtype), y_test).alpha)
        said(now)
    accuracy = torch.stack(rows, -1)
    alpha = torch.stack(degrees, 1).tolist() if angles else []
    return LearningCurve(
        points, tuple(map(tuple, accuracy.tolist())), tuple(tuple(map(tuple, curve)) for curve in alpha)
    )


def _draw_stream(
    source: ImageSource, settings: TrainSettings, seed: int, classes: int, samples: int, test_images: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    random = generator(seed, 0, STREAM)
    picked = random.choice(source.classes, classes, replace=False)
    members = [random.permutation(source.members[c]) for c in picked]
    held_out = max(1, test_images // classes)
    per_class = -(-samples // classes)
    smallest = min(len(m) for m in members)
    if held_out + 1 > smallest:
        raise DataError(
            f"`{source.name}` has {smallest} images in its smallest class; {held_out} are to be held out"
        )
    test = np.concatenate([m[:held_out] for m in members])
    # Classes with fewer images than asked for are seen again, in a new order.
    train = np.concatenate([_cycled(m[held_out:], per_class, random) for m in members])
    train = random.permutation(train)[:samples]
    inputs = settings.sizes[0]
    label = {int(place): int(source.labels[place]) for place in (*train, *test)}
    values = sorted(np.unique(source.labels).tolist())
    # Where outputs are fewer than classes, those picked share them out in order.
    shown = values if source.classes <= settings.sizes[-1] else sorted(values[c] for c in picked)
    numbers = {value: n for n, value in enumerate(shown)}
    y = torch.tensor([numbers[label[int(p)]] for p in train], dtype=torch.int64)
    y_test = torch.tensor([numbers[label[int(p)]] for p in test], dtype=torch.int64)
    return fit_pixels(source.read(train), inputs), y, fit_pixels(source.read(test), inputs), y_test


def _cycled(places: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    rounds = -(-count // len(places))
    return np.concatenate([random.permutation(places) for _ in range(rounds)])[:count]
