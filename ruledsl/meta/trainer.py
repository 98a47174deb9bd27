"""Algorithm 1 over many independent runs at once. The trainer says what happened; it writes nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ruledsl.backend import CompiledRule
from ruledsl.compiler import RuleProgram
from ruledsl.meta.draws import Batch, draw_batch
from ruledsl.meta.optimisers import Optimiser, Terms
from ruledsl.meta.teacher import teacher_labels
from ruledsl.network import (
    AdaptedView,
    Backend,
    Engine,
    MetaGradient,
    StreamReport,
    cell_signs,
    endings_of,
    gradient_content,
    inspect_stream,
    measure,
    meta_gradient,
    programs_of,
    variants_of,
)
from ruledsl.registry import PluginError, find
from ruledsl.settings import EpisodeRecord, RunSpec, TrainSettings
from ruledsl.tasks import ImageSource

SCALE_SEED, SCALE_NETWORKS, SCALE_SAMPLES = 2**31, 4, 8
"""Naive networks on draws of their own: the same for every run of a training."""
WORTH_COMPILING = 40
"""Episodes after which compiling (7 to 9 s) has paid: eager torch takes about 0.3 s more for each."""


@dataclass
class RunState:
    """One run with an optimiser of its own, so that one run's mishap touches no other."""

    spec: RunSpec
    recipe: Optimiser
    diverged: int = 0


def coefficient_names(rule: RuleProgram, settings: TrainSettings) -> tuple[str, ...]:
    """One name per number in Θ: the rule's terms, then what the feedback pathway adds."""
    return (*rule.names, *(c.name for c in programs_of(rule, settings).pathway_coefficients))


class MetaTrainer:
    """Meta-learns Θ for every run in lockstep; each run sees the episodes it would see alone."""

    def __init__(
        self, rule: CompiledRule, settings: TrainSettings, runs: Sequence[RunSpec], source: ImageSource
    ) -> None:
        self.rule, self.settings, self.source = rule, settings, source
        self.variants = variants_of(settings)
        self.programs = programs_of(rule.program, self.variants[0])
        self.names = coefficient_names(rule.program, settings)
        self.dtype = getattr(torch, settings.dtype)
        self.terms = self._terms()
        self.states = [self._new_state(spec) for spec in runs]

    def _terms(self) -> Terms:
        """The coefficients' starts and bounds, and what each holds of F⁰, measured in a few naive networks."""
        program, added = self.rule.program, self.programs.pathway_coefficients
        settings = replace(self.settings, dtype="float32", device="cpu")
        batch = draw_batch(self.programs, settings, self.source, [(SCALE_SEED, n, 0) for n in range(SCALE_NETWORKS)])
        initial = torch.tensor([*program.initial, *(c.start for c in added)], dtype=torch.float64)
        named = {f"W{n}": w for n, w in enumerate(batch.weights)} | batch.feedback | self._resting(batch)
        samples = slice(0, SCALE_SAMPLES)
        theta = initial.float().expand(SCALE_NETWORKS, -1)
        scales = gradient_content(self.programs, named, theta, batch.x[:, samples], batch.y[:, samples]).double()
        scales[~scales.isfinite()] = 1.0
        bounds = [*program.bounds, *((c.low, c.high) for c in added)]
        return Terms(
            initial,
            torch.tensor([*program.trainable, *(True for _ in added)]),
            torch.tensor([low for low, _ in bounds], dtype=torch.float64),
            torch.tensor([high for _, high in bounds], dtype=torch.float64),
            torch.cat([scales.clamp_min(1.0), torch.tensor([1.0 / c.step for c in added], dtype=torch.float64)]),
            worst_loss=self._worst_loss(batch),
        )

    def _resting(self, batch: Batch) -> dict[str, Tensor]:
        """Biases, and which cells are inhibitory, before anything was learned."""
        shapes, sizes = self.programs.shapes, self.settings.sizes
        count = len(batch.x)
        named = {f"b{n}": torch.zeros(count, sizes[n]) for n in range(1, len(sizes)) if f"b{n}" in shapes}
        signs = {name: cell_signs(sizes[int(name[4:])], self.settings.inhibitory) for name in self.programs.signs}
        return named | {name: value.expand(count, -1) for name, value in signs.items()}

    def _worst_loss(self, batch: Batch) -> float:
        """A query loss beyond this is that of a stream that diverged: far above what knowing nothing costs."""
        weight = sum(abs(w) for name, w in self.settings.objective)
        if self.settings.output == "softmax":
            return max(1.0, weight) * 2.0 * math.log(max(2, self.settings.sizes[-1]))
        if not batch.y.is_floating_point():
            return max(1.0, weight) * 5.0
        return max(1.0, weight) * 5.0 * float(batch.y.square().sum(-1).mean())

    def _new_state(self, spec: RunSpec) -> RunState:
        own = len(self.rule.names)
        taking_part = torch.tensor(
            [n >= own or not spec.terms or name in spec.terms for n, name in enumerate(self.names)]
        )
        initial = torch.tensor(spec.initial, dtype=torch.float64) if spec.initial else self.terms.initial
        terms = replace(
            self.terms,
            initial=initial * taking_part,
            trainable=self.terms.trainable & taking_part,
            lower=torch.where(taking_part, self.terms.lower, 0.0),
            upper=torch.where(taking_part, self.terms.upper, 0.0),
        )
        settings = self.settings
        kind, name = ("optimiser", settings.optimiser) if settings.optimiser else ("recipe", settings.recipe)
        try:
            made = find(kind, name).item(terms, settings.learning_rate, spec.l1, settings.episodes, spec.seed)
        except ImportError as error:
            raise PluginError(f"{kind} `{name}`: {error}") from None
        return RunState(spec, made)

    @property
    def needs_gradient(self) -> bool:
        return self.states[0].recipe.needs_gradient

    @property
    def backend(self) -> Backend:
        """Compiled code when asked for, or when the episodes ahead repay the seconds of compiling it.

        Never by what happens to be in the cache: the same command must give the same bits every time.
        """
        if self.settings.backend != "auto":
            return self.settings.backend
        ahead = self.settings.episodes * self.settings.meta_batch * len(self.states)
        return "compiled" if ahead >= WORTH_COMPILING else "eager"

    @property
    def engine(self) -> Engine:
        return self.settings.engine if self.needs_gradient else "none"

    def step(self, episode: int) -> list[EpisodeRecord]:
        """One episode and one meta-step of every run; the records, in order of runs."""
        asked = [state.recipe.ask() for state in self.states]
        candidates = asked[0].shape[0]
        tasks = self.settings.meta_batch
        batch = self._draw(episode).repeated(candidates)
        # Streams stand in the order of (run, task, candidate).
        theta = torch.stack(asked).unsqueeze(1).expand(-1, tasks, -1, -1).reshape(-1, len(self.names))
        coefficients = theta.to(self.dtype).to(self.settings.device)
        result = self._judged(self.variants[0], coefficients, batch)
        measured = self._measured(batch, result, theta)
        for variant in self.variants[1:]:
            other = self._judged(variant, coefficients, self._heard(variant, batch, episode, candidates))
            result = replace(result, loss=result.loss + other.loss, grad=result.grad + other.grad)
        return [self._finish(n, episode, result, [m[n] for m in measured]) for n in range(len(self.states))]

    def _judged(self, settings: TrainSettings, theta: Tensor, batch: Batch) -> MetaGradient:
        """Every stream of a batch lived through, and its objectives with their gradients."""
        return meta_gradient(
            self.rule,
            theta,
            batch.weights,
            batch.feedback,
            batch.x,
            batch.y,
            batch.x_query,
            batch.y_query,
            engine=self.engine,
            backend=self.backend,
            network=programs_of(self.rule.program, settings).network,
            signals=batch.signals,
            objectives=endings_of(settings),
            keys=batch.keys,
        )

    def _heard(self, variant: TrainSettings, batch: Batch, episode: int, candidates: int) -> Batch:
        """The same tasks and networks, with what else a variant of them hears, such as noise."""
        programs = programs_of(self.rule.program, variant)
        drawn = draw_batch(programs, variant, self.source, self._streams(self._seeds, episode))
        return replace(batch, signals=drawn.repeated(candidates).signals)

    def _measured(self, batch: Batch, result: MetaGradient, theta: Tensor) -> list[Tensor]:
        """Angles, E_W and every diagnostic, averaged over the streams of each run."""
        named = {**batch.feedback, **result.carried, **self._signs_on(batch)}
        coefficients = theta.to(batch.x)
        found = measure(self.programs, named, coefficients, batch.x_query, batch.y_query)
        per_run = [found.alpha, found.ortho]
        view = AdaptedView(self.programs, named, batch.x_query, batch.y_query, batch.keys, coefficients)
        with torch.no_grad():
            for name in self.settings.diagnostics:
                value = find("diagnostic", name).item(view)
                if not isinstance(value, Tensor) or value.shape != batch.x.shape[:1]:
                    raise PluginError(f"diagnostic `{name}` must give one number per run, a tensor of shape (N,)")
                per_run.append(value)
        return [self._per_run(value) for value in per_run]

    def _signs_on(self, batch: Batch) -> dict[str, Tensor]:
        return {n: v.to(batch.x).expand(len(batch.x), -1) for n, v in self._resting(batch).items() if n[0] == "s"}

    def _per_run(self, values: Tensor) -> Tensor:
        """Mean over the streams of a meta-step: (runs · streams, …) to (runs, …)."""
        return values.reshape(len(self.states), -1, *values.shape[1:]).mean(1)

    def _finish(self, number: int, episode: int, result: MetaGradient, measured: list[Tensor]) -> EpisodeRecord:
        state, tasks = self.states[number], self.settings.meta_batch
        streams = len(result.loss) // len(self.states)
        own = slice(number * streams, (number + 1) * streams)
        losses = result.loss[own].double().cpu().reshape(tasks, -1).T
        gradients = result.grad[own].double().cpu().reshape(tasks, losses.shape[0], -1).transpose(0, 1)
        theta = state.recipe.theta.clone()
        penalty = state.recipe.penalty()
        moved = state.recipe.tell(losses, gradients if self.needs_gradient else None)
        state.diverged += not moved
        alpha, ortho, *diagnostics = measured
        return EpisodeRecord(
            state.spec.run,
            state.spec.seed,
            episode,
            float(losses.mean()) + penalty,
            float(result.accuracy[own].mean()),
            not moved,
            tuple(theta.tolist()),
            tuple(alpha.tolist()),
            tuple(ortho.tolist()),
            result.engine,
            tuple(float(d) for d in diagnostics),
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
                {name: b[task].cpu() for name, b in batch.feedback.items()},
                batch.x[task].cpu(),
                batch.y[task].cpu(),
                self.programs.network,
                {name: s[task].cpu() for name, s in batch.signals.items()},
            )
            for task in range(self.settings.meta_batch)
        ]

    @property
    def _seeds(self) -> list[int]:
        return [state.spec.seed for state in self.states]

    def _streams(self, run_seeds: Sequence[int], episode: int) -> list[tuple[int, int, int]]:
        """(seed, episode, task) of every stream, in the order of (run, task)."""
        return [(seed, episode, task) for seed in run_seeds for task in range(self.settings.meta_batch)]

    def _draw(self, episode: int) -> Batch:
        return self._draw_for(self._seeds, episode)

    def _draw_for(self, run_seeds: Sequence[int], episode: int) -> Batch:
        streams = self._streams(run_seeds, episode)
        batch = draw_batch(self.programs, self.settings, self.source, streams)
        if not self.settings.teacher:
            return batch
        return replace(batch, y_query=teacher_labels(self.rule, self.settings, batch, streams, self.backend))
