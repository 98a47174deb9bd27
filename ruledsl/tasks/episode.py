"""Everything an episode is given: a task, initial weights, feedback and noise,
of many streams stacked into one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ruledsl.errors import DataError
from ruledsl.settings import TrainSettings
from ruledsl.tasks.sampler import (
    KEYS,
    WEIGHTS,
    MatrixShape,
    draw_feedback,
    draw_signals,
    draw_task,
    draw_weights,
    generator,
)
from ruledsl.tasks.source import ImageSource

StreamKey = tuple[int, int, int]
"""(seed, episode, task): all that the random numbers of a stream depend on."""


@dataclass(frozen=True)
class Needs:
    """What a network's programs read besides weights and samples, with numbers of cells:
    what has to be drawn."""

    matrices: Mapping[str, MatrixShape]
    signals: Mapping[str, int]
    """Standard normal vectors, drawn anew for every sample."""
    third: bool
    """Whether a task must say what `third` is."""


@dataclass(frozen=True)
class Episode:
    """What one online learning episode starts from and sees; every tensor may have any leading batch axes.

    Attributes:
        W: initial weights, W[l] of shape (…, n_{l+1}, n_l), l = 0 … L−1.
        B: feedback weights, B[l] of shape (…, n_l, n_{l+1}) for layered pathways; a mapping by name (`B0` …)
            for pathways with several families; None when the pathway reads none, as `symmetric` does.
        x: (…, T, n_0) inputs. y: (…, T) integer labels below n_L, or (…, T, n_L) targets.
        x_query: (…, Q, n_0). y_query: (…, Q) labels or (…, Q, n_L) targets; needed by whatever judges the
            episode.
        signals: (…, T, n) what else comes with every sample, by name, such as `third` (…, T).
        seen: how many samples the networks have seen before, for rules that read `age`.
        keys: one number per run (batch axes merged), for objectives that draw random numbers.

    >>> import torch
    >>> episode = Episode([torch.zeros(3, 4)], None, torch.rand(5, 4), torch.zeros(5, dtype=torch.long))
    >>> episode.feedback
    {}
    """

    W: Sequence[Tensor]
    B: Sequence[Tensor] | Mapping[str, Tensor] | None
    x: Tensor
    y: Tensor
    x_query: Tensor | None = None
    y_query: Tensor | None = None
    signals: Mapping[str, Tensor] = field(default_factory=dict)
    keys: Sequence[int] = ()
    seen: int = 0

    @property
    def queries(self) -> tuple[Tensor, Tensor]:
        """x_query and y_query. Raises `ValueError` for an episode without a query set."""
        if self.x_query is None or self.y_query is None:
            raise ValueError("this episode has no query set; give it `x_query` and `y_query`")
        return self.x_query, self.y_query

    @property
    def feedback(self) -> dict[str, Tensor]:
        """B by name."""
        return (
            dict(self.B) if isinstance(self.B, Mapping) else {f"B{n}": b for n, b in enumerate(self.B or [])}
        )

    def rows(self, rows: Tensor | slice) -> Episode:
        """Some of the runs of one leading batch axis."""
        chosen = range(len(self.x))[rows] if isinstance(rows, slice) else rows.tolist()
        x_query, y_query = self.queries
        return Episode(
            [w[rows] for w in self.W],
            {n: b[rows] for n, b in self.feedback.items()},
            self.x[rows],
            self.y[rows],
            x_query[rows],
            y_query[rows],
            {n: s[rows] for n, s in self.signals.items()},
            [self.keys[n] for n in chosen] if self.keys else (),
            self.seen,
        )

    def repeated(self, times: int) -> Episode:
        """Each run several times in a row: candidates of a population see the same tasks."""
        if times == 1:
            return self
        again = torch.arange(len(self.x), device=self.x.device).repeat_interleave(times)
        return self.rows(again)

    def hearing(self, other: Episode) -> Episode:
        """The same tasks and networks with the signals of another draw."""
        return replace(self, signals=other.signals)


@dataclass(frozen=True)
class Drawn:
    """Networks before they learn: weights, feedback, and the noise of `length` samples,
    one row per stream."""

    W: list[Tensor]
    B: dict[str, Tensor]
    signals: dict[str, Tensor]


def draw_networks(
    needs: Needs, settings: TrainSettings, streams: Sequence[StreamKey], lengths: Sequence[int]
) -> Drawn:
    """Initial weights, feedback and noise of the streams named by (seed, episode, task)."""
    weights = [draw_initial(settings, stream) for stream in streams]
    feedback = [draw_feedback(needs.matrices, *stream) for stream in streams]
    noise = [draw_signals(needs.signals, n, *stream) for n, stream in zip(lengths, streams, strict=True)]
    return Drawn(
        [stacked(settings, [w[n] for w in weights]) for n in range(settings.depth)],
        {name: stacked(settings, [f[name] for f in feedback]) for name in needs.matrices},
        {name: stacked(settings, [n[name] for n in noise]) for name in needs.signals},
    )


def stacked(settings: TrainSettings, parts: Sequence[Tensor]) -> Tensor:
    """One tensor of many, on the training's device; reals in its precision."""
    whole = torch.stack(list(parts))
    dtype = getattr(torch, settings.dtype) if whole.is_floating_point() else whole.dtype
    return whole.to(settings.device, dtype)


def draw_episodes(
    needs: Needs, settings: TrainSettings, source: ImageSource, streams: Sequence[StreamKey]
) -> Episode:
    """Draw the streams named by (seed, episode, task), stacked in their order.

    Raises `DataError` when the data cannot give such tasks, or the tasks lack what the network hears.
    """
    tasks = [draw_task(source, settings, *stream) for stream in streams]
    networks = draw_networks(needs, settings, streams, [len(t.x) for t in tasks])
    signals = networks.signals
    if needs.third:
        heard = [t.third for t in tasks if t.third is not None]
        if len(heard) < len(tasks):
            raise DataError(
                f"the task `{settings.tasks}` gives no third factor; use `--third surprise` or `reward`"
            )
        signals = {**signals, "third": stacked(settings, heard)}
    return Episode(
        networks.W,
        networks.B,
        stacked(settings, [t.x for t in tasks]),
        stacked(settings, [t.y for t in tasks]),
        stacked(settings, [t.x_query for t in tasks]),
        stacked(settings, [t.y_query for t in tasks]),
        signals,
        [int(generator(seed, episode, KEYS, task).integers(2**31)) for seed, episode, task in streams],
    )


def cell_signs(size: int, inhibitory: float) -> Tensor:
    """(n,) 1 or −1: a fraction of inhibitory cells, spread evenly over the layer."""
    passed = (torch.arange(1, size + 1, dtype=torch.float64) * inhibitory + 1e-9).floor()
    is_inhibitory = passed.diff(prepend=passed.new_zeros(1)) > 0
    return torch.where(is_inhibitory, -1.0, 1.0)


def draw_initial(settings: TrainSettings, stream: StreamKey) -> list[Tensor]:
    """Initial weights; with inhibitory cells each column has its cell's sign, in balance."""
    seed, episode, task = stream
    drawn = draw_weights(settings.sizes, seed, episode, WEIGHTS, task, settings.init)
    if not settings.network.inhibitory:
        return drawn
    signed = []
    for matrix in drawn:
        signs = cell_signs(matrix.shape[1], settings.network.inhibitory)
        # Few inhibitory cells must weigh as much as the many excitatory ones, and all together no more than
        # before.
        gain = torch.where(signs > 0, 1.0, (signs > 0).sum() / (signs < 0).sum().clamp_min(1))
        signed.append(matrix.abs() * signs * gain / gain.square().mean().sqrt())
    return signed
