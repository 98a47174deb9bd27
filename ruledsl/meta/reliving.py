"""Episodes lived through again with other Θ, those of many runs at once: answers to what recipes ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ruledsl.errors import PluginError
from ruledsl.meta.asking import Again, Answer
from ruledsl.meta.streams import Streams

FEWEST = 32
"""Streams that are lived through at once at least, unless the settings say how many may be."""


@dataclass(frozen=True)
class Reliver:
    """A run, as far as it decides how an episode comes out."""

    seed: int
    present: Tensor
    """(R,) which coefficients it has."""


@dataclass(frozen=True)
class _Life:
    """One Θ (R,) on the tasks of one run."""

    seed: int
    present: Tensor
    theta: Tensor
    engine: str

    @property
    def key(self) -> tuple[object, ...]:
        # Losses are the same whichever terms are left out, as those are 0; gradients are not.
        left = self.present.numpy().tobytes() if self.engine != "none" else b""
        return self.seed, self.engine, self.theta.numpy().tobytes(), left


class Reliving:
    """One episode of every run. What is asked twice, by runs of one seed say, is computed once."""

    def __init__(self, streams: Streams, episode: int, engine: str, runs: Sequence[Reliver]) -> None:
        self.streams, self.episode, self.engine, self.runs = streams, episode, engine, runs
        self.tasks = streams.settings.meta_batch
        self._known: dict[tuple[object, ...], Answer] = {}

    def answers(self, asked: Sequence[tuple[int, Again]]) -> list[Answer]:
        """See `Answers`; askers are runs, by their places. Raises `PluginError` for Θs of another rule."""
        lives = [self._questions(self.runs[number], again) for number, again in asked]
        for engine in (self.engine, "none"):
            new = {life.key: life for own in lives for life in own if life.engine == engine}
            self._compute([life for key, life in new.items() if key not in self._known], engine)
        return [self._joined([self._known[life.key] for life in own]) for own in lives]

    def _questions(self, run: Reliver, again: Again) -> list[_Life]:
        if again.theta.shape[1] != len(run.present):
            raise PluginError(
                f"`Again` asks about {again.theta.shape[1]} coefficients; the rule has {len(run.present)}"
            )
        if again.with_gradients and self.engine == "none":
            raise PluginError("an optimiser that needs no gradient is given none: ask for losses alone")
        engine = self.engine if again.with_gradients else "none"
        return [_Life(run.seed, run.present, row, engine) for row in again.theta.double()]

    def _joined(self, parts: list[Answer]) -> Answer:
        losses, gradients = zip(*parts, strict=True)
        return torch.stack(losses), torch.stack(gradients)

    def _compute(self, lives: list[_Life], engine: str) -> None:
        """Some at a time: their networks are held in memory, no more of them than of a meta-step."""
        streams = self.streams.settings.at_once or max(FEWEST, len(self.runs) * self.tasks)
        most = max(1, streams // self.tasks)
        for start in range(0, len(lives), most):
            part = lives[start : start + most]
            answers = zip(*self._computed(part, engine), strict=True)
            self._known |= {life.key: answer for life, answer in zip(part, answers, strict=True)}

    def _computed(self, lives: list[_Life], engine: str) -> Answer:
        """Losses (lives, tasks) and gradients (lives, tasks, R)."""
        seeds, streams = list(dict.fromkeys(life.seed for life in lives)), self.streams
        place = {seed: n * self.tasks for n, seed in enumerate(seeds)}
        keys = [(seed, self.episode, task) for seed in seeds for task in range(self.tasks)]
        own = [place[life.seed] + task for life in lives for task in range(self.tasks)]
        theta, present = (torch.stack([getattr(life, n) for life in lives]) for n in ("theta", "present"))
        rows = streams.rows(*(v.repeat_interleave(self.tasks, 0) for v in (theta, present)))
        batch = streams.draw(keys).rows(torch.tensor(own))
        result = streams.judged(rows, batch, engine)
        result = streams.with_variants(result, rows, batch, [keys[n] for n in own], engine)
        shape = (len(lives), self.tasks)
        return result.loss.double().cpu().reshape(shape), result.grad.double().cpu().reshape(*shape, -1)
