"""Draws what an episode needs. Every draw is a function of (seed, episode, purpose) alone.

There is no generator state to save: an interrupted run resumes by counting, and a run in a batch
draws what it would draw alone.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt, sqrt
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruledsl.errors import DataError
from ruledsl.ir import Kind, Slot
from ruledsl.registry import find
from ruledsl.settings import Convolution, Maps, TaskShape, TrainSettings
from ruledsl.tasks.source import ImageSource, Pixels

TASK, WEIGHTS, FEEDBACK, STREAM, TEACHER, SIGNALS, KEYS = range(7)
Places = NDArray[np.int64]


def generator(seed: int, episode: int, purpose: int, extra: int = 0) -> np.random.Generator:
    """Independent random numbers for one purpose of one episode of one run."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, episode, purpose, extra])))


@dataclass(frozen=True)
class Task:
    """A training stream and its query set.

    Attributes:
        x: (T, n_0) inputs, in order. y: (T,) output units, or (T, n_L) targets of a regression.
        x_query, y_query: (Q, …) alike.
        third: (T,) what every synapse hears with each sample, for rules that read `third` (`--third task`).
    """

    x: Tensor
    y: Tensor
    x_query: Tensor
    y_query: Tensor
    third: Tensor | None = None


@dataclass(frozen=True)
class TaskRequest:
    """What a task plugin is given: where to draw from, what is wanted, and the random numbers of this very
    task.

    Attributes:
        source: the data set. shape: M labels, K images each for training, Q for the query set.
        sizes: layer sizes of the network. output: `softmax` or `linear`.
        random: a generator; whatever is drawn from it is the same whenever this task is drawn.
    """

    source: ImageSource
    shape: TaskShape
    sizes: Sequence[int]
    output: str
    random: np.random.Generator

    def draw_classes(self) -> tuple[Places, Places]:
        """M distinct classes and their output units: their own numbers, or random units where outputs are
        fewer.

        Raises `DataError` when the data set has too few classes or images.
        """
        check_task(self.source, self.shape, self.sizes)
        count, outputs = self.source.classes, self.sizes[-1]
        classes = self.random.choice(count, size=self.shape.labels, replace=False)
        units = (
            classes
            if count <= outputs
            else self.random.choice(outputs, size=self.shape.labels, replace=False)
        )
        return classes, units

    def draw_places(self, classes: Places) -> tuple[Places, Places]:
        """Distinct images of each class, for training (M, K) and for the query set (M, Q),
        by their places."""
        each = self.shape.shots + self.shape.queries
        members = self.source.members
        places = np.stack([self.random.choice(members[c], size=each, replace=False) for c in classes])
        return places[:, : self.shape.shots], places[:, self.shape.shots :]

    def images(self, places: Places) -> Tensor:
        """(n, n_0) the inputs at some places, fitted to the input layer."""
        return fit_pixels(self.source.read(places), self.sizes[0])

    def task(
        self, train: Places, y: Places, query: Places, y_query: Places, third: Places | None = None
    ) -> Task:
        """A task of images by their places, in the order given."""
        pixels = self.images(np.concatenate([train, query]))
        heard = None if third is None else torch.from_numpy(np.asarray(third, dtype=np.float32))
        labels, asked = torch.from_numpy(np.asarray(y)), torch.from_numpy(np.asarray(y_query))
        return Task(pixels[: len(train)], labels, pixels[len(train) :], asked, heard)

    def draw_any(self) -> Places:
        """M (K + Q) distinct samples of a data set with real targets.
        Raises `DataError` where there are fewer."""
        if self.source.targets is None:
            raise DataError(f"`{self.source.name}` has labels, no real targets; use `--task classes`")
        wanted, held = self.shape.labels * (self.shape.shots + self.shape.queries), len(self.source.labels)
        if wanted > held:
            raise DataError(
                f"`{self.source.name}` holds {held} samples; {wanted} distinct ones are asked for"
            )
        return self.random.choice(held, size=wanted, replace=False)

    def targets(self, places: Places) -> Tensor:
        """(n, n_L) the real targets at some places."""
        assert self.source.targets is not None
        return torch.from_numpy(np.ascontiguousarray(self.source.targets[places]))

    def require_linear(self, name: str) -> None:
        """Raise `DataError` unless the output is linear, as a regression needs."""
        if self.output != "linear":
            raise DataError(
                f"the task `{name}` has real numbers as targets; give the network `--output linear`"
            )


def draw_task(source: ImageSource, settings: TrainSettings, seed: int, episode: int, task: int = 0) -> Task:
    """One task of the kind that the settings name (a task plugin), for one run's episode.

    Raises:
        DataError: the data set cannot give such a task, or the plugin gave tensors that do not fit.
    """
    sizes, random = settings.sizes, generator(seed, episode, TASK, task)
    drawn = find("task", settings.tasks).item(
        TaskRequest(source, settings.task, sizes, settings.network.output, random)
    )
    _check_drawn(settings.tasks, drawn, sizes)
    return drawn


def _check_drawn(kind: str, task: object, sizes: Sequence[int]) -> None:
    if not isinstance(task, Task):
        raise DataError(f"the task `{kind}` gave a {type(task).__name__}, not a Task")
    for name, x, y in (("x", task.x, task.y), ("x_query", task.x_query, task.y_query)):
        if x.dim() != 2 or x.shape[1] != sizes[0]:
            raise DataError(
                f"the task `{kind}` gave {name} of shape {tuple(x.shape)}; the input layer has {sizes[0]}"
            )
        expected = (len(x), sizes[-1]) if y.is_floating_point() else (len(x),)
        if tuple(y.shape) != expected:
            raise DataError(f"the task `{kind}` gave answers of shape {tuple(y.shape)}, expected {expected}")


def check_task(source: ImageSource, shape: TaskShape, sizes: Sequence[int]) -> None:
    """Raise `DataError` unless tasks of this shape can be drawn and shown to a network of these sizes."""
    smallest = min(len(m) for m in source.members)
    if source.targets is not None:
        raise DataError(f"`{source.name}` holds real numbers as targets, no labels; use `--task samples`")
    if shape.labels > source.classes:
        raise DataError(
            f"`{source.name}` has {source.classes} classes; a task of {shape.labels} cannot be drawn from "
            f"it; "
            f"use smaller `--labels`"
        )
    if shape.shots + shape.queries > smallest:
        raise DataError(
            f"`{source.name}` has {smallest} images in its smallest class; "
            f"{shape.shots} + {shape.queries} distinct ones are asked for; use smaller `--shots` or "
            f"`--queries`"
        )
    if sizes[-1] < shape.labels:
        raise DataError(
            f"a task of {shape.labels} labels needs as many outputs; the network has {sizes[-1]}: "
            "change the last of `--sizes`, or `--labels`"
        )
    if source.side and isqrt(sizes[0]) ** 2 != sizes[0]:
        raise DataError(
            f"the input layer holds a square picture; {sizes[0]} is not a square (28 · 28 = 784): "
            "change the first of `--sizes`"
        )


def fit_pixels(images: Pixels, inputs: int) -> Tensor:
    """(n, side, side) to (n, inputs); pictures are resized when the input layer is not side². Plain vectors,
    (n, features), must have the input layer's size."""
    pixels = torch.from_numpy(np.ascontiguousarray(images))
    if pixels.dim() == 2:
        if pixels.shape[1] != inputs:
            raise DataError(
                f"the data have {pixels.shape[1]} numbers a sample; the input layer has {inputs}: change "
                "the first of `--sizes`"
            )
        return pixels
    side = isqrt(inputs)
    if side != pixels.shape[-1]:
        resized = torch.nn.functional.interpolate(
            pixels.unsqueeze(1), (side, side), mode="bilinear", antialias=True
        )
        pixels = resized.squeeze(1).clamp(0, 1)
    return pixels.reshape(len(pixels), inputs)


INITS = ("xavier", "kaiming", "orthogonal")


class MatrixShape(NamedTuple):
    """The shape of a matrix that is drawn, and n_in + n_out of its synapses, which bound Xavier's draw."""

    rows: int
    columns: int
    fans: int

    @classmethod
    def of(cls, rows: int, columns: int, shared: Convolution | None = None) -> MatrixShape:
        return cls(rows, columns, rows + columns if shared is None else shared.fans)


def draw_weights(
    sizes: Sequence[int], seed: int, episode: int, purpose: int, task: int = 0, init: str = "xavier"
) -> list[Tensor]:
    """Random weights, (n_{l+1}, n_l) each, or (n_l, n_{l+1}) for feedback; in a convolution (channels, patch
    size), or transposed.

    `xavier` is uniform in ±√(6/(n_in + n_out)), the paper's; `kaiming` in ±√(6/n_in); `orthogonal` has
    orthonormal rows or columns.
    """
    shapes = [_synapses(below, above) for below, above in itertools.pairwise(sizes)]
    if purpose == FEEDBACK:
        shapes = [MatrixShape(s.columns, s.rows, s.fans) for s in shapes]
    return draw_matrices(shapes, generator(seed, episode, purpose, task), init)


def _synapses(below: int, above: int) -> MatrixShape:
    if not isinstance(above, Maps):
        return MatrixShape.of(above, below)
    shared = above.convolution
    return MatrixShape.of(shared.channels, shared.patches.size, shared)


def draw_matrices(
    shapes: Sequence[MatrixShape], random: np.random.Generator, init: str = "xavier"
) -> list[Tensor]:
    """One matrix after another; see `draw_weights`."""
    matrices = []
    for rows, columns, fans in shapes:
        if init == "orthogonal":
            normal = random.standard_normal((max(rows, columns), min(rows, columns)))
            q, r = np.linalg.qr(normal)
            q = (q * np.sign(np.diag(r))).astype(np.float32)  # Haar measure needs this choice of signs
            matrices.append(torch.from_numpy(np.ascontiguousarray(q if rows >= columns else q.T)))
            continue
        bound = sqrt(6.0 / columns) if init == "kaiming" else sqrt(6.0 / fans)
        matrices.append(
            torch.from_numpy(random.random((rows, columns), dtype=np.float32)).mul_(2 * bound).sub_(bound)
        )
    return matrices


def draw_feedback(
    shapes: Mapping[str, MatrixShape], seed: int, episode: int, task: int = 0
) -> dict[str, Tensor]:
    """Random matrices by name, Xavier-uniform. Each family (B0, B1 …; D0 …) has random numbers of its own."""
    families: dict[str, list[Slot]] = {}
    for slot in sorted(map(Slot.read, shapes), key=lambda s: (s.kind, s.number)):
        families.setdefault(slot.kind, []).append(slot)
    drawn: dict[str, Tensor] = {}
    for family, names in families.items():
        purpose = FEEDBACK if family == Kind.feedback else 1000 + zlib.crc32(family.encode())
        random = generator(seed, episode, purpose, task)
        drawn |= dict(zip(names, draw_matrices([shapes[n] for n in names], random), strict=True))
    return drawn


def draw_signals(
    sizes: Mapping[str, int], length: int, seed: int, episode: int, task: int = 0
) -> dict[str, Tensor]:
    """(T, n) standard normal numbers for every named signal."""
    drawn = {}
    for name, size in sizes.items():
        random = generator(seed, episode, 1000 + zlib.crc32(name.encode()), task)
        drawn[name] = torch.from_numpy(random.standard_normal((length, size), dtype=np.float32))
    return drawn
