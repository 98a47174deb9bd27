"""Algorithm 1 over many independent runs at once. The trainer says what happened; it writes nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ruledsl.backend import CompiledRule
from ruledsl.meta.recipes import RECIPES, Recipe, Terms
from ruledsl.meta.teacher import teacher_labels
from ruledsl.network import (
    Backend,
    MetaGradient,
    StreamReport,
    gradient_content,
    inspect_stream,
    measure,
    meta_gradient,
)
from ruledsl.settings import EpisodeRecord, RunSpec, TrainSettings
from ruledsl.tasks import FEEDBACK, WEIGHTS, ImageSource, Task, check_task, draw_task, draw_weights

SCALE_SEED, SCALE_NETWORKS, SCALE_SAMPLES = 2**31, 4, 8
"""Naive networks on draws of their own: the same for every run of a training."""
WORTH_COMPILING = 40
"""Episodes after which compiling (7 to 9 s) has paid: eager torch takes about 0.3 s more for each."""


@dataclass
class RunState:
    """One run with a recipe of its own, so that one run's mishap touches no other."""

    spec: RunSpec
    recipe: Recipe
    diverged: int = 0


class MetaTrainer:
    """Meta-learns Θ for every run in lockstep; each run sees the episodes it would see alone."""

    def __init__(
        self, rule: CompiledRule, settings: TrainSettings, runs: Sequence[RunSpec], source: ImageSource
    ) -> None:
        check_task(source, settings.task, settings.sizes)
        self.rule, self.settings, self.source = rule, settings, source
        self.dtype = getattr(torch, settings.dtype)
        self.terms = self._terms()
        self.states = [self._new_state(spec) for spec in runs]

    def _terms(self) -> Terms:
        """The coefficients' starts and bounds, and what each holds of F⁰, measured in a few naive networks."""
        program, settings = self.rule.program, self.settings
        numbers = range(SCALE_NETWORKS)
        tasks = [draw_task(self.source, settings.task, settings.sizes, SCALE_SEED, n) for n in numbers]
        weights, feedback = (
            [draw_weights(settings.sizes, SCALE_SEED, n, purpose) for n in numbers] for purpose in (WEIGHTS, FEEDBACK)
        )
        batch = _Batch.stacked(tasks, weights, feedback, torch.float32, "cpu")
        scales = gradient_content(
            program, batch.weights, batch.feedback, settings.feedback, settings.beta,
            batch.x[:, :SCALE_SAMPLES], batch.y[:, :SCALE_SAMPLES],
        ).double()  # fmt: skip
        scales[~scales.isfinite()] = 1.0
        return Terms(
            torch.tensor(program.initial, dtype=torch.float64),
            torch.tensor(program.trainable),
            torch.tensor([low for low, _ in program.bounds], dtype=torch.float64),
            torch.tensor([high for _, high in program.bounds], dtype=torch.float64),
            scales,
            worst_loss=2.0 * math.log(settings.sizes[-1]),
        )

    def _new_state(self, spec: RunSpec) -> RunState:
        taking_part = torch.tensor([not spec.terms or name in spec.terms for name in self.rule.names])
        initial = torch.tensor(spec.initial, dtype=torch.float64) if spec.initial else self.terms.initial
        terms = replace(
            self.terms,
            initial=initial * taking_part,
            trainable=self.terms.trainable & taking_part,
            lower=torch.where(taking_part, self.terms.lower, 0.0),
            upper=torch.where(taking_part, self.terms.upper, 0.0),
        )
        return RunState(
            spec, RECIPES[self.settings.recipe](terms, self.settings.learning_rate, spec.l1, self.settings.episodes)
        )

    @property
    def backend(self) -> Backend:
        """Compiled code when asked for, or when the episodes ahead repay the seconds of compiling it.

        Never by what happens to be in the cache: the same command must give the same bits every time.
        """
        if self.settings.backend != "auto":
            return self.settings.backend
        ahead = self.settings.episodes * self.settings.meta_batch * len(self.states)
        return "compiled" if ahead >= WORTH_COMPILING else "eager"

    def step(self, episode: int) -> list[EpisodeRecord]:
        """One episode and one meta-step of every run; the records, in order of runs."""
        batch = self._draw(episode)
        theta = torch.stack([s.recipe.theta for s in self.states]).repeat_interleave(self.settings.meta_batch, 0)
        settings = self.settings
        result = meta_gradient(
            self.rule,
            theta.to(self.dtype).to(settings.device),
            batch.weights,
            batch.feedback,
            batch.x,
            batch.y,
            batch.x_query,
            batch.y_query,
            feedback=settings.feedback,
            beta=settings.beta,
            engine=settings.engine,
            backend=self.backend,
        )
        measured = measure(
            result.weights, batch.feedback, settings.feedback, settings.beta, batch.x_query, batch.y_query
        )
        alpha, ortho = self._per_run(measured.alpha), self._per_run(measured.ortho)
        return [self._finish(n, episode, result, alpha[n], ortho[n]) for n in range(len(self.states))]

    def _per_run(self, values: Tensor) -> Tensor:
        """Mean over the tasks of a meta-step: (runs · tasks, …) to (runs, …)."""
        return values.reshape(len(self.states), self.settings.meta_batch, *values.shape[1:]).mean(1)

    def _finish(self, number: int, episode: int, result: MetaGradient, alpha: Tensor, ortho: Tensor) -> EpisodeRecord:
        state = self.states[number]
        tasks = slice(number * self.settings.meta_batch, (number + 1) * self.settings.meta_batch)
        losses = result.loss[tasks].double().cpu()
        theta = state.recipe.theta.clone()
        penalty = state.recipe.penalty()
        moved = state.recipe.step(losses, result.grad[tasks].double().cpu())
        state.diverged += not moved
        return EpisodeRecord(
            state.spec.run,
            state.spec.seed,
            episode,
            float(losses.mean()) + penalty,
            float(result.accuracy[tasks].mean()),
            not moved,
            tuple(theta.tolist()),
            tuple(alpha.tolist()),
            tuple(ortho.tolist()),
            result.engine,
        )

    def inspect(self, run: int, episode: int, theta: Sequence[float]) -> list[StreamReport]:
        """Draw an episode of one run again, and walk through it with a Θ: one report per task."""
        spec = next(s.spec for s in self.states if s.spec.run == run)
        batch = self._draw_for([spec.seed], episode)
        return [
            inspect_stream(
                self.rule,
                torch.tensor(theta, dtype=self.dtype),
                [w[task].cpu() for w in batch.weights],
                [b[task].cpu() for b in batch.feedback],
                batch.x[task].cpu(),
                batch.y[task].cpu(),
                self.settings.feedback,
                self.settings.beta,
            )
            for task in range(self.settings.meta_batch)
        ]

    def _draw(self, episode: int) -> _Batch:
        return self._draw_for([state.spec.seed for state in self.states], episode)

    def _draw_for(self, run_seeds: Sequence[int], episode: int) -> _Batch:
        sizes, tasks = self.settings.sizes, range(self.settings.meta_batch)
        seeds = [(seed, task) for seed in run_seeds for task in tasks]
        drawn = [draw_task(self.source, self.settings.task, sizes, seed, episode, task) for seed, task in seeds]
        weights = [draw_weights(sizes, seed, episode, WEIGHTS, task) for seed, task in seeds]
        feedback = [draw_weights(sizes, seed, episode, FEEDBACK, task) for seed, task in seeds]
        batch = _Batch.stacked(drawn, weights, feedback, self.dtype, self.settings.device)
        if not self.settings.teacher:
            return batch
        draws = [(seed, episode, task) for seed, task in seeds]
        given = (batch.weights, batch.feedback, batch.x, batch.y, batch.x_query, batch.y_query)
        labels = teacher_labels(self.rule, self.settings, *given, draws, self.backend)
        return replace(batch, y_query=labels)


@dataclass(frozen=True)
class _Batch:
    weights: list[Tensor]
    feedback: list[Tensor]
    x: Tensor
    y: Tensor
    x_query: Tensor
    y_query: Tensor

    @classmethod
    def stacked(
        cls,
        tasks: list[Task],
        weights: list[list[Tensor]],
        feedback: list[list[Tensor]],
        dtype: torch.dtype,
        device: str,
    ) -> _Batch:
        def put(parts: list[Tensor]) -> Tensor:
            stacked = torch.stack(parts)
            return stacked.to(device, dtype if stacked.is_floating_point() else stacked.dtype)

        layers = range(len(weights[0]))
        return cls(
            [put([w[n] for w in weights]) for n in layers],
            [put([b[n] for b in feedback]) for n in layers],
            put([t.x for t in tasks]),
            put([t.y for t in tasks]),
            put([t.x_query for t in tasks]),
            put([t.y_query for t in tasks]),
        )
