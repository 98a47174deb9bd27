"""Algorithm 1 over many independent runs at once. The trainer says what happened; it writes nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ruledsl.backend import CompiledRule
from ruledsl.compiler import RuleProgram
from ruledsl.engines import Backend
from ruledsl.errors import PluginError
from ruledsl.ir import Kind, Slot
from ruledsl.measures import StreamReport, gradient_content, inspect_stream
from ruledsl.meta.asking import together
from ruledsl.meta.optimisers import Coefficients, Optimiser
from ruledsl.meta.reliving import Reliver, Reliving
from ruledsl.meta.streams import Computer, Crew, Lived, Portion, Streams
from ruledsl.network import programs_of, sizes_by_name
from ruledsl.registry import find
from ruledsl.settings import EpisodeRecord, RunSpec, TrainSettings, refuse_too_large
from ruledsl.tasks import Episode, ImageSource, StreamKey, draw_episodes

SCALE_SEED, SCALE_NETWORKS, SCALE_SAMPLES = 2**31, 4, 8
"""Naive networks on draws of their own: the same for every run of a training."""
FRESH_EPISODE = 2**30
"""From here on count the episodes that no training reaches."""
WORTH_COMPILING = 40
"""Episodes after which compiling (7 to 9 s) has paid: eager torch takes about 0.3 s more for each."""


@dataclass
class RunState:
    """One run with an optimiser of its own, so that one run's mishap touches no other."""

    spec: RunSpec
    recipe: Optimiser
    present: Tensor
    """(coefficients,) which of them it has: the others stay 0, and their gradients are not asked for."""
    diverged: int = 0


def coefficient_names(rule: RuleProgram, settings: TrainSettings) -> tuple[str, ...]:
    """One name per number in Θ: the rule's terms, then what the feedback pathway adds."""
    return programs_of(rule, settings).coefficient_names


def starting_theta(rule: RuleProgram, settings: TrainSettings) -> dict[str, float]:
    """Where each number in Θ starts, by its name."""
    added = programs_of(rule, settings).pathway_coefficients
    return {**dict(zip(rule.names, rule.initial, strict=True)), **{c.name: c.start for c in added}}


def silent_theta(rule: RuleProgram, settings: TrainSettings) -> dict[str, float]:
    """Θ of a network where no term does anything: what the pathway adds to it is where it starts."""
    return starting_theta(rule, settings) | dict.fromkeys(rule.names, 0.0)


def naive_networks(rule: RuleProgram, settings: TrainSettings, source: ImageSource) -> Episode:
    """A few networks before they learn, on draws of their own: the same for every run of a training."""
    cheap = settings.having(dtype="float32", device="cpu")
    needs = programs_of(rule, settings).needs(settings.sizes)
    return draw_episodes(needs, cheap, source, [(SCALE_SEED, n, 0) for n in range(SCALE_NETWORKS)])


def worst_loss(settings: TrainSettings, naive: Episode) -> float:
    """A query loss beyond this is that of a stream that diverged: far above what knowing nothing costs."""
    weight = max(1.0, sum(abs(w) for _, w in settings.objective))
    if settings.network.output == "softmax":
        return weight * 2.0 * math.log(max(2, settings.sizes[-1]))
    if not naive.y.is_floating_point():
        return weight * 5.0
    return weight * 5.0 * float(naive.y.square().sum(-1).mean())


def _backend(settings: TrainSettings, runs: int) -> Backend:
    """Compiled code when asked for, or when the episodes ahead repay the seconds of compiling it.

    Never by what happens to be in the cache: the same command must give the same bits every time.
    """
    if settings.backend != "auto":
        return settings.backend
    return "compiled" if settings.episodes * settings.meta_batch * runs >= WORTH_COMPILING else "eager"


@dataclass(frozen=True)
class Fresh:
    """How a run does on tasks that it never saw."""

    accuracy: float
    loss: float


class MetaTrainer:
    """Meta-learns Θ for every run in lockstep; each run sees the episodes it would see alone."""

    def __init__(
        self,
        rule: CompiledRule,
        settings: TrainSettings,
        runs: Sequence[RunSpec],
        source: ImageSource,
        crew: Crew | None = None,
    ) -> None:
        """`crew` computes the portions of `settings.at_once` streams, in this trainer's place."""
        refuse_too_large(settings, len(runs))
        self.rule, self.settings, self.source = rule, settings, source
        self.streams = Streams(rule, settings, source, _backend(settings, len(runs)))
        self.programs, self.dtype = self.streams.programs, self.streams.dtype
        self.names = self.programs.coefficient_names
        self.crew = crew
        self.coefficients = self._coefficients()
        self.states = [self._new_state(spec) for spec in runs]

    def _coefficients(self) -> Coefficients:
        """The coefficients' starts and bounds, and what each holds of F⁰,
        measured in a few naive networks."""
        program, added = self.rule.program, self.programs.pathway_coefficients
        naive = naive_networks(program, self.streams.variants[0], self.source)
        initial = torch.tensor([*starting_theta(program, self.settings).values()], dtype=torch.float64)
        named = (
            {Slot(Kind.weights, n): w for n, w in enumerate(naive.W)} | naive.feedback | self._resting(naive)
        )
        samples = slice(0, SCALE_SAMPLES)
        theta = initial.float().expand(SCALE_NETWORKS, -1)
        scales = gradient_content(
            self.programs, named, theta, naive.x[:, samples], naive.y[:, samples]
        ).double()
        scales[~scales.isfinite()] = 1.0
        sizes = [program.written_size(r) for r in range(len(program.names))]
        written = torch.tensor(sizes, dtype=torch.float64).clamp(1e-30, 1e30)  # squares of it must be finite
        steps = torch.tensor([1.0 / c.step for c in added], dtype=torch.float64)
        bounds = [*program.bounds, *((c.low, c.high) for c in added)]
        return Coefficients(
            initial,
            torch.tensor([*program.trainable, *(True for _ in added)]),
            torch.tensor([low for low, _ in bounds], dtype=torch.float64),
            torch.tensor([high for _, high in bounds], dtype=torch.float64),
            torch.cat([torch.maximum(scales, written), steps]),
            torch.cat([written, torch.ones_like(steps)]),
            worst_loss=worst_loss(self.settings, naive),
        )

    def _resting(self, batch: Episode) -> dict[Slot, Tensor]:
        """Biases, and which cells are inhibitory, before anything was learned."""
        sizes, count = sizes_by_name(self.settings.sizes, self.programs.network), len(batch.x)
        biases = {slot: dims[0] for slot, dims in self.programs.shapes.items() if slot.kind == Kind.bias}
        named = {slot: torch.zeros(count, sizes[dim]) for slot, dim in biases.items()}
        return named | self.streams.signs(count)

    def _new_state(self, spec: RunSpec) -> RunState:
        own = len(self.rule.names)
        taking_part = torch.tensor([n >= own or spec.takes_part(name) for n, name in enumerate(self.names)])
        initial = (
            torch.tensor(spec.initial, dtype=torch.float64) if spec.initial else self.coefficients.initial
        )
        coefficients = replace(
            self.coefficients,
            initial=initial * taking_part,
            trainable=self.coefficients.trainable & taking_part,
            lower=torch.where(taking_part, self.coefficients.lower, 0.0),
            upper=torch.where(taking_part, self.coefficients.upper, 0.0),
        )
        settings = self.settings
        kind, name = ("optimiser", settings.optimiser) if settings.optimiser else ("recipe", settings.recipe)
        try:
            made = find(kind, name).item(
                coefficients, settings.learning_rate, spec.l1, settings.episodes, spec.seed
            )
        except ImportError as error:
            raise PluginError(f"{kind} `{name}`: {error}") from None
        return RunState(spec, made, taking_part)

    @property
    def needs_gradient(self) -> bool:
        return self.states[0].recipe.needs_gradient

    @property
    def computed_by(self) -> Computer:
        """See `Streams.computed_by`."""
        return self.streams.computed_by

    @property
    def engine(self) -> str:
        return self.settings.engine if self.needs_gradient else "none"

    def step(self, episode: int) -> list[EpisodeRecord]:
        """One episode and one meta-step of every run; the records, in order of runs."""
        tasks = self.settings.meta_batch
        asked = torch.stack([state.recipe.ask() for state in self.states])
        present = torch.stack([state.present for state in self.states])
        wide = (asked.repeat_interleave(tasks, 0), present.repeat_interleave(tasks, 0))
        lived = self._lived(self._keys(self._seeds, episode), *wide)
        before = [(state.recipe.theta.clone(), state.recipe.penalty()) for state in self.states]
        moved = self._told(episode, lived)
        measured = [self._per_run(value) for value in lived.measured]
        return [
            self._record(n, episode, lived, [m[n] for m in measured], before[n], moved[n])
            for n in range(len(self.states))
        ]

    def _lived(self, keys: Sequence[StreamKey], theta: Tensor, present: Tensor) -> Lived:
        """Streams, each with its Θs (streams, candidates, coefficients): all at once, or in portions."""
        portions = [
            Portion(tuple(keys[p]), theta[p].clone(), present[p].clone(), self.engine, self.computed_by)
            for p in self._portions(len(keys))
        ]
        return Lived.joined(self.crew(portions) if self.crew else [self.streams.live(p) for p in portions])

    def _portions(self, streams: int) -> list[slice]:
        size = self.settings.at_once or streams
        return [slice(n, n + size) for n in range(0, streams, size)]

    def gradients(self, episode: int) -> Tensor:
        """(runs, coefficients): the meta-gradient at each run's Θ, of absent terms too; nothing moves.

        A coefficient that is held at 0 has a derivative like any other: what a term would do, were it there.
        """
        batch, tasks = self._draw(episode), self.settings.meta_batch
        theta = torch.stack([state.recipe.theta for state in self.states]).repeat_interleave(tasks, 0)
        judged = self.streams.judged(self.streams.rows(theta), batch, self.engine)
        return self._per_run(judged.grad.double().cpu())

    def _per_run(self, values: Tensor) -> Tensor:
        """Mean over the streams of a meta-step: (runs · streams, …) to (runs, …)."""
        # A network without hidden layers has no E_W: the streams must be counted, not left to `reshape`.
        streams = len(values) // len(self.states)
        return values.reshape(len(self.states), streams, *values.shape[1:]).mean(1)

    def _own(self, number: int, values: Tensor) -> Tensor:
        """A run's streams, (candidates, tasks, …)."""
        streams = len(values) // len(self.states)
        own = values[number * streams : (number + 1) * streams].double()
        return own.reshape(self.settings.meta_batch, -1, *own.shape[1:]).transpose(0, 1)

    def _told(self, episode: int, lived: Lived) -> list[bool]:
        """Let Θ of every run move, unless that would make it infinite or NaN: it then goes back to where it
        was, moments too.

        A rate may be absurd and a recipe may be anybody's; what they do must not be believed.
        """
        recipes = [state.recipe for state in self.states]
        before = [_copied(recipe.state()) for recipe in recipes]
        told = [
            recipe.tell(self._own(n, lived.loss), self._own(n, lived.grad) if self.needs_gradient else None)
            for n, recipe in enumerate(recipes)
        ]
        runs = [Reliver(state.spec.seed, state.present) for state in self.states]
        moved = together(told, Reliving(self.streams, episode, self.engine, runs).answers)
        for number, recipe in enumerate(recipes):
            if not bool(recipe.theta.isfinite().all()):
                recipe.restore(before[number])
                moved[number] = False
        return moved

    def _record(
        self,
        number: int,
        episode: int,
        lived: Lived,
        measured: list[Tensor],
        before: tuple[Tensor, float],
        moved: bool,
    ) -> EpisodeRecord:
        """What an episode was for a run, by the Θ and penalty that it had then."""
        state, (theta, penalty) = self.states[number], before
        streams = len(lived.loss) // len(self.states)
        own = slice(number * streams, (number + 1) * streams)
        state.diverged += not moved
        alpha, ortho, *diagnostics = measured
        return EpisodeRecord(
            run=state.spec.run,
            seed=state.spec.seed,
            episode=episode,
            meta_loss=float(self._own(number, lived.loss).mean()) + penalty,
            meta_accuracy=float(lived.accuracy[own].mean()),
            diverged=not moved,
            theta=tuple(theta.tolist()),
            alpha=tuple(alpha.tolist()),
            ortho=tuple(ortho.tolist()),
            diagnostics=tuple(float(d) for d in diagnostics),
            engine=lived.engine,
        )

    @property
    def theta(self) -> dict[int, list[float]]:
        """Each run's Θ, as it is now."""
        return {state.spec.run: state.recipe.theta.tolist() for state in self.states}

    def judge_fresh(self, tasks: int, worst: float = math.inf) -> dict[int, Fresh]:
        """Each run's mean query accuracy and loss on tasks that no episode ever showed, with its Θ as it is.

        As many tasks at once as in training; a stream that is not finite counts as the accuracy it has, and
        its loss as `worst`.
        """
        found: dict[int, list[Fresh]] = {state.spec.run: [] for state in self.states}
        theta = torch.stack([state.recipe.theta for state in self.states])
        wide = self.streams.wide(theta.repeat_interleave(self.settings.meta_batch, 0))
        for number in range(-(-tasks // self.settings.meta_batch)):
            keys = self._keys(self._seeds, FRESH_EPISODE + number)
            parts = [self.streams.fresh(wide[p], keys[p]) for p in self._portions(len(keys))]
            accuracy, loss = (torch.cat(each) for each in zip(*parts, strict=True))
            loss = loss.nan_to_num(worst, worst).clamp(max=worst)
            for state, *own in zip(self.states, self._per_run(accuracy), self._per_run(loss), strict=True):
                found[state.spec.run].append(Fresh(*map(float, own)))
        return {
            run: Fresh(*(sum(v) / len(v) for v in ([f.accuracy for f in own], [f.loss for f in own])))
            for run, own in found.items()
        }

    def draw_fresh(self, number: int) -> Episode:
        """Tasks that no episode ever shows, for every run."""
        return self._draw(FRESH_EPISODE + number)

    def inspect(self, run: int, episode: int, theta: Sequence[float]) -> list[StreamReport]:
        """Draw an episode of one run again, and walk through it with a Θ: one report per task."""
        spec = next(s.spec for s in self.states if s.spec.run == run)
        batch = self.streams.draw(self._keys([spec.seed], episode))
        found = torch.tensor(theta, dtype=self.dtype)
        return [
            inspect_stream(self.rule, found, _single(batch, task), self.programs.network)
            for task in range(self.settings.meta_batch)
        ]

    @property
    def _seeds(self) -> list[int]:
        return [state.spec.seed for state in self.states]

    def _keys(self, run_seeds: Sequence[int], episode: int) -> list[StreamKey]:
        """(seed, episode, task) of every stream, in the order of (run, task)."""
        return [(seed, episode, task) for seed in run_seeds for task in range(self.settings.meta_batch)]

    def _draw(self, episode: int) -> Episode:
        return self.streams.draw(self._keys(self._seeds, episode))


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    """Lists are copied: a recipe may hand out the one that it goes on writing to."""
    return {name: list(value) if isinstance(value, list) else value for name, value in state.items()}


def _single(batch: Episode, row: int) -> Episode:
    """One stream of a batch without its batch axis, on the CPU."""
    return Episode(
        [w[row].cpu() for w in batch.W],
        {name: b[row].cpu() for name, b in batch.feedback.items()},
        batch.x[row].cpu(),
        batch.y[row].cpu(),
        signals={name: s[row].cpu() for name, s in batch.signals.items()},
    )
