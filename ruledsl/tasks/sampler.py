"""Draws what an episode needs. Every draw is a function of (seed, episode, purpose) alone.

There is no generator state to save: an interrupted run resumes by counting, and a run in a batch
draws what it would draw alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt, sqrt

import numpy as np
import torch
from torch import Tensor

from ruledsl.settings import TaskShape
from ruledsl.tasks.source import DataError, ImageSource, Pixels

TASK, WEIGHTS, FEEDBACK, STREAM, TEACHER = range(5)


def generator(seed: int, episode: int, purpose: int, extra: int = 0) -> np.random.Generator:
    """Independent random numbers for one purpose of one episode of one run."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, episode, purpose, extra])))


@dataclass(frozen=True)
class Task:
    """A shuffled training stream and its query set; x in 0 … 1, y output units."""

    x: Tensor
    y: Tensor
    x_query: Tensor
    y_query: Tensor


def draw_task(
    source: ImageSource, shape: TaskShape, sizes: Sequence[int], seed: int, episode: int, task: int = 0
) -> Task:
    """Distinct classes, distinct images of each, in random order (Methods 4.1).

    The label is the class's own number; with more classes than outputs, a random output unit
    stands for each class of the task.

    Raises `DataError` when the data set has too few classes or images.
    """
    check_task(source, shape, sizes)
    random = generator(seed, episode, TASK, task)
    classes = random.choice(source.classes, size=shape.labels, replace=False)
    units = classes if source.classes <= sizes[-1] else random.choice(sizes[-1], size=shape.labels, replace=False)
    each = shape.shots + shape.queries
    places = np.stack([random.choice(source.members[c], size=each, replace=False) for c in classes])
    order = random.permutation(shape.stream)
    train, query = places[:, : shape.shots].reshape(-1)[order], places[:, shape.shots :].reshape(-1)
    y = np.repeat(units, shape.shots)[order]
    pixels = fit_pixels(source.read(np.concatenate([train, query])), sizes[0])
    y_query = np.repeat(units, shape.queries)
    return Task(pixels[: shape.stream], torch.from_numpy(y), pixels[shape.stream :], torch.from_numpy(y_query))


def check_task(source: ImageSource, shape: TaskShape, sizes: Sequence[int]) -> None:
    """Raise `DataError` unless tasks of this shape can be drawn and shown to a network of these sizes."""
    smallest = min(len(m) for m in source.members)
    if shape.labels > source.classes:
        raise DataError(
            f"`{source.name}` has {source.classes} classes; a task of {shape.labels} cannot be drawn from it"
        )
    if shape.shots + shape.queries > smallest:
        raise DataError(
            f"`{source.name}` has {smallest} images in its smallest class; "
            f"{shape.shots} + {shape.queries} distinct ones are asked for"
        )
    if sizes[-1] < shape.labels:
        raise DataError(f"a task of {shape.labels} labels needs as many outputs; the network has {sizes[-1]}")
    if isqrt(sizes[0]) ** 2 != sizes[0]:
        raise DataError(f"the input layer holds a square picture; {sizes[0]} is not a square (28 · 28 = 784)")


def fit_pixels(images: Pixels, inputs: int) -> Tensor:
    """(n, side, side) to (n, inputs); pictures are resized when the input layer is not side²."""
    pixels = torch.from_numpy(np.ascontiguousarray(images))
    side = isqrt(inputs)
    if side != pixels.shape[-1]:
        resized = torch.nn.functional.interpolate(pixels.unsqueeze(1), (side, side), mode="bilinear", antialias=True)
        pixels = resized.squeeze(1).clamp(0, 1)
    return pixels.reshape(len(pixels), inputs)


def draw_weights(sizes: Sequence[int], seed: int, episode: int, purpose: int, task: int = 0) -> list[Tensor]:
    """Xavier-uniform weights, ±√(6/(n_in + n_out)): (n_{l+1}, n_l) each, or (n_l, n_{l+1}) for feedback."""
    random = generator(seed, episode, purpose, task)
    matrices = []
    for below, above in itertools.pairwise(sizes):
        bound = sqrt(6.0 / (below + above))
        shape = (below, above) if purpose == FEEDBACK else (above, below)
        matrices.append(torch.from_numpy(random.random(shape, dtype=np.float32)).mul_(2 * bound).sub_(bound))
    return matrices
