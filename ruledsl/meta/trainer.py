"""Algorithm 1 over many independent runs at once. The trainer says what happened; it writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ruledsl.backend import CompiledRule
from ruledsl.network import Backend, MetaGradient, measure, meta_gradient
from ruledsl.settings import EpisodeRecord, RunSpec, TrainSettings
from ruledsl.tasks import FEEDBACK, WEIGHTS, ImageSource, Task, check_task, draw_task, draw_weights

WORTH_COMPILING = 40
"""Episodes after which compiling (about 6 s) has paid: eager torch takes about 0.3 s more for each."""


@dataclass
class RunState:
    """Θ of one run with its own optimiser, so that one run's mishap touches no other."""

    spec: RunSpec
    theta: Tensor
    optimiser: torch.optim.Optimizer
    diverged: int = 0


class MetaTrainer:
    """Meta-learns Θ for every run in lockstep; each run sees the episodes it would see alone."""

    def __init__(
        self, rule: CompiledRule, settings: TrainSettings, runs: Sequence[RunSpec], source: ImageSource
    ) -> None:
        check_task(source, settings.task, settings.sizes)
        self.rule, self.settings, self.source = rule, settings, source
        self.dtype = getattr(torch, settings.dtype)
        self.states = [self._new_state(spec) for spec in runs]
        self.trainable = torch.tensor(rule.program.trainable)
        self.lower = torch.tensor([low for low, _ in rule.program.bounds], dtype=torch.float64)
        self.upper = torch.tensor([high for _, high in rule.program.bounds], dtype=torch.float64)

    @property
    def backend(self) -> Backend:
        """Compiled code when asked for, or when the episodes ahead repay the seconds of compiling it."""
        wanted, ahead = self.settings.backend, self.settings.episodes * self.settings.meta_batch * len(self.states)
        return "compiled" if wanted == "auto" and ahead >= WORTH_COMPILING else wanted

    def _new_state(self, spec: RunSpec) -> RunState:
        theta = torch.tensor(self.rule.program.initial, dtype=torch.float64)
        return RunState(spec, theta, torch.optim.Adam([theta], lr=self.settings.learning_rate))

    def step(self, episode: int) -> list[EpisodeRecord]:
        """One episode and one meta-step of every run; the records, in order of runs."""
        batch = self._draw(episode)
        theta = torch.stack([s.theta for s in self.states]).repeat_interleave(self.settings.meta_batch, 0)
        penalty = torch.tensor([s.spec.l1 for s in self.states], dtype=self.dtype).repeat_interleave(
            self.settings.meta_batch
        )
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
            l1=penalty.to(settings.device),
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
        loss, accuracy = self._per_run(result.loss)[number], self._per_run(result.accuracy)[number]
        gradient = self._per_run(result.grad)[number]
        diverged = not (bool(loss.isfinite()) and bool(gradient.isfinite().all()))
        record = EpisodeRecord(
            state.spec.run,
            state.spec.seed,
            episode,
            float(loss),
            float(accuracy),
            diverged,
            tuple(state.theta.tolist()),
            tuple(alpha.tolist()),
            tuple(ortho.tolist()),
        )
        if diverged:
            state.diverged += 1
        else:
            self._meta_step(state, gradient)
        return record

    def _meta_step(self, state: RunState, gradient: Tensor) -> None:
        state.theta.grad = (gradient.cpu() * self.trainable).to(torch.float64)
        state.optimiser.step()
        state.theta.clamp_(self.lower, self.upper)

    def _draw(self, episode: int) -> _Batch:
        sizes, tasks = self.settings.sizes, range(self.settings.meta_batch)
        seeds = [(state.spec.seed, task) for state in self.states for task in tasks]
        drawn = [draw_task(self.source, self.settings.task, sizes, seed, episode, task) for seed, task in seeds]
        weights = [draw_weights(sizes, seed, episode, WEIGHTS, task) for seed, task in seeds]
        feedback = [draw_weights(sizes, seed, episode, FEEDBACK, task) for seed, task in seeds]
        return _Batch.stacked(drawn, weights, feedback, self.dtype, self.settings.device)


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
