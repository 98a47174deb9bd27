"""Streams of a meta-step: drawn by their numbers, lived through all at once or a few at a time, wherever."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ruledsl.backend import CannotBuild, CompiledRule, NotPrintable
from ruledsl.engines import Backend, MetaGradient, build_step, meta_gradient
from ruledsl.errors import PluginError, SettingsError
from ruledsl.ir import Slot
from ruledsl.measures import AdaptedView, measure
from ruledsl.meta.teacher import teacher_labels
from ruledsl.network import endings_of, programs_of, variants_of
from ruledsl.registry import find
from ruledsl.settings import TrainSettings
from ruledsl.tasks import Episode, ImageSource, StreamKey, cell_signs, draw_episodes

Computer = Literal["compiled", "eager"]


class SlowWarning(UserWarning):
    """Something makes a training slower than it could be."""


@dataclass(frozen=True)
class Portion:
    """Streams that are computed together: what they are drawn by, and the Θs that each is lived through with.

    It is all that travels to whoever computes them, and decides every bit of what comes back.
    """

    keys: tuple[StreamKey, ...]
    theta: Tensor
    """(streams, candidates, coefficients), float64."""
    present: Tensor
    """(streams, coefficients) which of them each stream's rule has."""
    engine: str
    computed_by: Computer


@dataclass(frozen=True)
class Lived:
    """What streams say of their Θs, in the order of (stream, candidate); on the CPU."""

    loss: Tensor
    accuracy: Tensor
    grad: Tensor
    measured: list[Tensor]
    """Angles, E_W, and a number for each diagnostic."""
    engine: str

    @classmethod
    def joined(cls, parts: Sequence[Lived]) -> Lived:
        """Those of portions, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            torch.cat([p.loss for p in parts]),
            torch.cat([p.accuracy for p in parts]),
            torch.cat([p.grad for p in parts]),
            [torch.cat(values) for values in zip(*(p.measured for p in parts), strict=True)],
            next((p.engine for p in parts if p.engine != parts[0].engine), parts[0].engine),
        )


@dataclass(frozen=True)
class Rows:
    """Θ of every stream, as engines take it, and what of it is there; see `meta_gradient`."""

    theta: Tensor
    present: Tensor | None = None


Crew = Callable[[Sequence[Portion]], Sequence[Lived]]
"""Computes portions, in whatever order and place; gives what they say in the order that they were given."""


class Streams:
    """Online-learning episodes of one rule under one set of settings; nothing in it changes."""

    def __init__(
        self, rule: CompiledRule, settings: TrainSettings, source: ImageSource, backend: Backend
    ) -> None:
        self.rule, self.settings, self.source = rule, settings, source
        self.backend: Backend = backend
        self.variants = variants_of(settings)
        self.programs = programs_of(rule.program, self.variants[0])
        self.needs = self.programs.needs(settings.sizes)
        self.dtype = getattr(torch, settings.dtype)

    @cached_property
    def computed_by(self) -> Computer:
        """`compiled` or `eager`: their numbers differ in the last bits. Builds what is not yet (seconds).

        Raises `SettingsError` when compiled code was asked for and cannot be had.
        """
        if self.backend == "eager" or self.settings.device != "cpu":
            return "eager"
        try:
            build_step(self.programs, self.settings.sizes, self.dtype)
        except (CannotBuild, NotPrintable) as reason:
            if self.settings.backend == "compiled":
                raise SettingsError(f"--backend compiled: {reason}; use `--backend eager`") from None
            if isinstance(reason, CannotBuild):
                text = f"{reason}: eager torch computes this, many times slower"
                warnings.warn(text, SlowWarning, stacklevel=2)
            return "eager"
        return "compiled"

    def live(self, portion: Portion) -> Lived:
        """Draw its streams, let networks learn by each Θ, and judge and measure them."""
        candidates = portion.theta.shape[1]
        batch = self.draw(portion.keys).repeated(candidates)
        theta = portion.theta.flatten(0, 1)
        coefficients = self.rows(theta, portion.present.repeat_interleave(candidates, 0))
        result = self.judged(coefficients, batch, portion.engine)
        measured = list(self._measured(batch, result, theta))
        keys = [key for key in portion.keys for _ in range(candidates)]
        result = self.with_variants(result, coefficients, batch, keys, portion.engine)
        found = (result.loss, result.accuracy, result.grad)
        loss, accuracy, grad = (value.detach().cpu() for value in found)
        return Lived(loss, accuracy, grad, [m.detach().cpu() for m in measured], result.engine)

    def wide(self, theta: Tensor) -> Tensor:
        """Coefficients as the engines take them."""
        return theta.to(self.dtype).to(self.settings.device)

    def rows(self, theta: Tensor, present: Tensor | None = None) -> Rows:
        """Θ (streams, coefficients) and what of it is there, by stream or for all of them."""
        wide = self.wide(theta)
        return Rows(wide, None if present is None else present.expand(wide.shape).to(wide.device))

    def draw(self, keys: Sequence[StreamKey]) -> Episode:
        """Streams by (seed, episode, task), answers of a teacher among them."""
        batch = draw_episodes(self.needs, self.settings, self.source, keys)
        if not self.settings.teacher:
            return batch
        return replace(batch, y_query=teacher_labels(self.rule, self.settings, batch, keys, self.backend))

    def judged(self, rows: Rows, batch: Episode, engine: str) -> MetaGradient:
        """Every stream of a batch lived through, and its objectives with their gradients."""
        return self._judged(self.variants[0], rows, batch, engine)

    def _judged(self, settings: TrainSettings, rows: Rows, batch: Episode, engine: str) -> MetaGradient:
        return meta_gradient(
            self.rule,
            rows.theta,
            batch,
            programs_of(self.rule.program, settings).network,
            engine=engine,
            backend=self.backend,
            objectives=endings_of(settings),
            on_lost=self.settings.on_lost,
            present=rows.present,
        )

    def fresh(self, theta: Tensor, keys: Sequence[StreamKey]) -> tuple[Tensor, Tensor]:
        """(streams,) query accuracy and (streams,) loss after learning by one Θ each."""
        batch, network = self.draw(keys), self.programs.network
        judged = meta_gradient(self.rule, theta, batch, network, engine="none", backend=self.backend)
        return judged.accuracy, judged.loss

    def with_variants(
        self, result: MetaGradient, rows: Rows, batch: Episode, keys: Sequence[StreamKey], engine: str
    ) -> MetaGradient:
        """Losses and gradients with those of networks that live otherwise, on the same tasks, added. `keys`:
        of every stream of the batch."""
        for variant in self.variants[1:]:
            heard = self._heard(variant, batch, keys)
            other = self._judged(variant, rows, heard, engine)
            result = replace(result, loss=result.loss + other.loss, grad=result.grad + other.grad)
        return result

    def _heard(self, variant: TrainSettings, batch: Episode, keys: Sequence[StreamKey]) -> Episode:
        """The same tasks and networks, with what else a variant of them hears, such as noise."""
        needs = programs_of(self.rule.program, variant).needs(variant.sizes)
        place = {key: n for n, key in enumerate(dict.fromkeys(keys))}
        drawn = draw_episodes(needs, variant, self.source, list(place))
        return batch.hearing(drawn.rows(torch.tensor([place[key] for key in keys])))

    def signs(self, count: int) -> dict[Slot, Tensor]:
        """Which cells are inhibitory, of so many streams."""
        fraction, sizes = self.settings.network.inhibitory, self.settings.sizes
        return {s: cell_signs(sizes[s.number], fraction).expand(count, -1) for s in self.programs.signs}

    def _measured(self, batch: Episode, result: MetaGradient, theta: Tensor) -> Iterator[Tensor]:
        """Angles, E_W and every diagnostic, of each stream."""
        signs = {slot: value.to(batch.x) for slot, value in self.signs(len(batch.x)).items()}
        named = {**batch.feedback, **result.carried, **signs}
        coefficients, (x_query, y_query) = theta.to(batch.x), batch.queries
        found = measure(self.programs, named, coefficients, x_query, y_query)
        yield found.alpha
        yield found.ortho
        view = AdaptedView(self.programs, named, x_query, y_query, batch.keys, coefficients)
        with torch.no_grad():
            for name in self.settings.diagnostics:
                value = find("diagnostic", name).item(view)
                if not isinstance(value, Tensor) or value.shape != batch.x.shape[:1]:
                    raise PluginError(
                        f"diagnostic `{name}` must give one number per run, a tensor of shape (N,)"
                    )
                yield value
