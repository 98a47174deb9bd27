"""What torch's layers have in common: rows of presynaptic and of postsynaptic cells, and W between them.

A linear layer has a row for each sample, and one for each further position where its input has more axes. A
convolution is one linear layer for every patch: a row for each sample and position.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from ruledsl.errors import ModelError


class Geometry(ABC):
    """How a layer's tensors are read as rows of cells."""

    positions: int = 1
    """How many rows of one sample a cell below takes part in, at most: what scales random feedback."""

    @abstractmethod
    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What the layer computes."""

    @abstractmethod
    def matrix(self, weight: Tensor) -> Tensor:
        """(n_post, n_pre) the weights, presynaptic cells in the order of `pre`."""

    @abstractmethod
    def weight(self, matrix: Tensor, like: Tensor) -> Tensor:
        """A matrix shaped as the layer's own weights are; undoes `matrix`."""

    @abstractmethod
    def pre(self, x: Tensor) -> Tensor:
        """(rows, n_pre) the presynaptic cells of every row, of the input or of anything shaped like it."""

    @abstractmethod
    def post(self, z: Tensor) -> Tensor:
        """(rows, n_post) the postsynaptic cells of every row, of the layer's output."""

    @abstractmethod
    def count(self, z: Tensor) -> int:
        """How many rows an output has."""

    @abstractmethod
    def back(self, matrix: Tensor, error: Tensor, like: Tensor) -> Tensor:
        """Errors shaped as the output through M (n_pre, n_post), added up where rows share a cell of the
        input."""

    @abstractmethod
    def gather(self, rows: Tensor, like: Tensor) -> Tensor:
        """(rows, n_pre) added up where rows share a cell of the input `like`."""


@dataclass(frozen=True)
class Dense(Geometry):
    """nn.Linear, and the two halves of a recurrent cell."""

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, weight, bias)

    def matrix(self, weight: Tensor) -> Tensor:
        return weight

    def weight(self, matrix: Tensor, like: Tensor) -> Tensor:
        return matrix

    def pre(self, x: Tensor) -> Tensor:
        return x.reshape(-1, x.shape[-1])

    def post(self, z: Tensor) -> Tensor:
        return z.reshape(-1, z.shape[-1])

    def count(self, z: Tensor) -> int:
        return z.numel() // z.shape[-1]

    def back(self, matrix: Tensor, error: Tensor, like: Tensor) -> Tensor:
        return error @ matrix.T

    def gather(self, rows: Tensor, like: Tensor) -> Tensor:
        return rows.reshape(like.shape)


Pair = tuple[int, int]


@dataclass(frozen=True)
class Patches(Geometry):
    """nn.Conv1d and nn.Conv2d without groups, padded by zeros; one dimension is two of height 1.

    The cells of a patch stand in the order of height, width, channel.
    """

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    flat: bool
    """Whether it is a Conv1d."""

    @property
    def positions(self) -> int:  # type: ignore[override]
        return self.kernel[0] * self.kernel[1]

    @classmethod
    def of(cls, module: nn.Conv1d | nn.Conv2d) -> Patches:
        """The geometry of a convolution whose padding is numbers."""
        flat = isinstance(module, nn.Conv1d)

        def two(values: object, absent: int) -> Pair:
            found = cast("tuple[int, ...]", values)
            return (absent, found[0]) if flat else (found[0], found[1])

        return cls(
            two(module.kernel_size, 1),
            two(module.stride, 1),
            two(module.padding, 0),
            two(module.dilation, 1),
            flat,
        )

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if x.dim() != (3 if self.flat else 4):
            raise ModelError("a convolution was given one sample without a batch axis; add it (unsqueeze(0))")
        kernel = weight.unsqueeze(-2) if self.flat else weight
        # Channels last: a position's cells lie side by side, so that rows of cells need no copy.
        image = self._image(x).contiguous(memory_format=torch.channels_last)
        found = F.conv2d(image, kernel, bias, self.stride, self.padding, self.dilation)
        return found.squeeze(-2) if self.flat else found

    def matrix(self, weight: Tensor) -> Tensor:
        kernel = weight.unsqueeze(-2) if self.flat else weight
        return kernel.permute(0, 2, 3, 1).reshape(len(weight), -1)

    def weight(self, matrix: Tensor, like: Tensor) -> Tensor:
        return self._kernel(matrix).reshape(like.shape)

    def _kernel(self, matrix: Tensor) -> Tensor:
        return matrix.reshape(len(matrix), *self.kernel, -1).permute(0, 3, 1, 2)

    def pre(self, x: Tensor) -> Tensor:
        (high, wide), (down, right) = self.padding, self.stride
        image = F.pad(self._image(x), (wide, wide, high, high)).permute(0, 2, 3, 1).contiguous()
        samples, height, width, channels = image.shape
        spans = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
        places = ((height - spans[0] - 1) // down + 1, (width - spans[1] - 1) // right + 1)
        n, h, w, c = image.stride()
        patches = image.as_strided(
            (samples, *places, *self.kernel, channels),
            (n, h * down, w * right, h * self.dilation[0], w * self.dilation[1], c),
        )
        return patches.reshape(-1, self.positions * channels)

    def post(self, z: Tensor) -> Tensor:
        image = self._image(z)
        return image.permute(0, 2, 3, 1).reshape(-1, image.shape[1])

    def count(self, z: Tensor) -> int:
        return z.numel() // z.shape[1]

    def back(self, matrix: Tensor, error: Tensor, like: Tensor) -> Tensor:
        # torch declares its pairs as single numbers
        steps: Any = (self.stride, self.padding, self.dilation)
        found = conv2d_input(self._image(like).shape, self._kernel(matrix.T), self._image(error), *steps)
        return found.reshape(like.shape)

    def gather(self, rows: Tensor, like: Tensor) -> Tensor:
        image = self._image(like)
        by_channel = rows.reshape(len(image), -1, self.positions, image.shape[1]).permute(0, 3, 2, 1)
        found = F.fold(
            by_channel.flatten(1, 2), image.shape[2:], self.kernel, self.dilation, self.padding, self.stride
        )
        return found.reshape(like.shape)

    def _image(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-2) if self.flat else x
