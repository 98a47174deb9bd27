"""The inputs of a meta-step: tasks, initial weights, feedback and noise of every run, stacked into one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ruledsl.network import StepPrograms, cell_signs
from ruledsl.settings import TrainSettings
from ruledsl.tasks import (
    KEYS,
    WEIGHTS,
    DataError,
    ImageSource,
    draw_feedback,
    draw_signals,
    draw_task,
    draw_weights,
    generator,
)


@dataclass(frozen=True)
class Batch:
    """Everything with the streams' axis N in front, in the order of (run, task)."""

    weights: list[Tensor]
    feedback: dict[str, Tensor]
    x: Tensor
    y: Tensor
    x_query: Tensor
    y_query: Tensor
    signals: dict[str, Tensor]
    keys: list[int]
    """One number per stream, for objectives that draw random numbers."""

    def repeated(self, times: int) -> Batch:
        """Each stream several times in a row: candidates of a population see the same tasks."""
        if times == 1:
            return self

        def again(tensor: Tensor) -> Tensor:
            return tensor.repeat_interleave(times, 0)

        return Batch(
            [again(w) for w in self.weights],
            {n: again(b) for n, b in self.feedback.items()},
            again(self.x),
            again(self.y),
            again(self.x_query),
            again(self.y_query),
            {n: again(s) for n, s in self.signals.items()},
            [key for key in self.keys for _ in range(times)],
        )


def draw_batch(
    programs: StepPrograms, settings: TrainSettings, source: ImageSource, streams: Sequence[tuple[int, int, int]]
) -> Batch:
    """Draw the streams named by (seed, episode, task).

    Raises `DataError` when the data cannot give such tasks, or the tasks lack what the network hears.
    """
    sizes, shapes = settings.sizes, {f"n{n}": size for n, size in enumerate(settings.sizes)}
    tasks = [draw_task(source, settings.task, sizes, *s, settings.tasks, settings.output) for s in streams]
    weights = [draw_initial(settings, stream) for stream in streams]
    back = {name: (shapes[rows], shapes[columns]) for name, (rows, columns) in programs.matrices.items()}
    feedback = [draw_feedback(back, *stream) for stream in streams]
    heard = {name: shapes[dims[0]] for name, dims in programs.further_signals.items() if dims}
    noise = [draw_signals(heard, len(t.x), *stream) for t, stream in zip(tasks, streams, strict=True)]
    dtype, device = getattr(torch, settings.dtype), settings.device

    def put(parts: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack(list(parts))
        return stacked.to(device, dtype if stacked.is_floating_point() else stacked.dtype)

    signals = {name: put([n[name] for n in noise]) for name in heard}
    if "third" in programs.further_signals:
        if any(t.third is None for t in tasks):
            raise DataError(f"the task `{settings.tasks}` gives no third factor; use `--third surprise` or `reward`")
        signals["third"] = put([t.third for t in tasks if t.third is not None])
    return Batch(
        [put([w[n] for w in weights]) for n in range(len(sizes) - 1)],
        {name: put([f[name] for f in feedback]) for name in back},
        put([t.x for t in tasks]),
        put([t.y for t in tasks]),
        put([t.x_query for t in tasks]),
        put([t.y_query for t in tasks]),
        signals,
        [int(generator(seed, episode, KEYS, task).integers(2**31)) for seed, episode, task in streams],
    )


def draw_initial(settings: TrainSettings, stream: tuple[int, int, int]) -> list[Tensor]:
    """Initial weights; with inhibitory cells each column has its cell's sign, in balance."""
    seed, episode, task = stream
    drawn = draw_weights(settings.sizes, seed, episode, WEIGHTS, task, settings.init)
    if not settings.inhibitory:
        return drawn
    signed = []
    for matrix in drawn:
        signs = cell_signs(matrix.shape[1], settings.inhibitory)
        # Few inhibitory cells must weigh as much as the many excitatory ones, and all together no more than before.
        gain = torch.where(signs > 0, 1.0, (signs > 0).sum() / (signs < 0).sum().clamp_min(1))
        signed.append(matrix.abs() * signs * gain / gain.square().mean().sqrt())
    return signed
