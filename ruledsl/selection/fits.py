"""What a selection finds on the way: rules refitted, and the rounds of the elimination."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from statistics import fmean

from ruledsl.errors import RunError
from ruledsl.meta import silent_theta
from ruledsl.runs import Crews, Metrics, Run, Spec
from ruledsl.settings import ACCURACY, ALPHA, LOSS, NO_TERMS, ORTHO, EpisodeRecord, RunSpec
from ruledsl.statistics import Interval, finite_mean

Support = tuple[str, ...]
"""The names of the terms that a rule keeps."""


@dataclass(frozen=True)
class Stage:
    """One training inside a selection: what it is for, and how many episodes it takes."""

    name: str
    text: str
    episodes: int


@dataclass(frozen=True)
class Fit:
    """A set of terms refitted without penalty: a score per seed (larger is better) and Θ over seeds."""

    terms: Support
    scores: tuple[float, ...]
    accuracy: tuple[float, ...]
    theta: Mapping[str, Interval]
    measured: Mapping[str, float] = field(default_factory=dict)
    """Means of the other columns of the metrics, angles among them, over the same episodes and seeds."""

    @property
    def accuracy_mean(self) -> float:
        return finite_mean(self.accuracy)

    @property
    def mean(self) -> float:
        """Over seeds; where a seed has no finite score, worse than anything that has."""
        value = fmean(self.scores)
        return value if isfinite(value) else -inf

    def is_clearly_above(self, other: Fit) -> bool:
        """Whether it scored more, seed by seed, by more than the interval; a fit that lost one is below."""
        if not isfinite(other.mean):
            return True
        mine, theirs = (dict(enumerate(f.scores)) for f in (self, other))
        return Interval.minus(mine, theirs, paired=True).is_positive

    def against(self, other: Fit) -> Interval:
        """The difference in accuracy to another fit, seed by seed."""
        mine, theirs = (dict(enumerate(f.accuracy)) for f in (self, other))
        return Interval.minus(mine, theirs, paired=True)


@dataclass(frozen=True)
class Round:
    """One step of the elimination: each term's score when it is left out, and the term that was dropped."""

    terms: Support
    score: float
    without: Mapping[str, float]
    dropped: str


def train_groups(
    folder: Run,
    base: Spec,
    groups: Sequence[Support],
    warm: Sequence[Mapping[str, float]],
    seeds: Sequence[int],
    episodes: int,
    listen: Callable[[Sequence[EpisodeRecord]], None],
    crews: Crews | None = None,
) -> list[tuple[Run, list[int]]]:
    """Train groups of terms of one rule side by side, one run per seed each; what is finished is only read.

    Args:
        base: rule, settings and data; its runs are replaced.
        warm: for each group where its coefficients start; empty for the rule's own start.
        crews: who computes the streams of a meta-step, in this process's place.

    Returns:
        For each group the training, and which of its runs are the group's.

    Raises:
        OtherTraining: the folder holds one of another rule, on other data or with other settings.
        KeyboardInterrupt: stopped; asked again, it goes on.
    """
    silent = silent_theta(base.rule.program, base.config.settings)
    starts = [tuple({**silent, **each}.values()) if each else () for each in warm]
    each = ((terms, start, seed) for terms, start in zip(groups, starts, strict=True) for seed in seeds)
    runs = tuple(RunSpec(n, seed, 0.0, t or NO_TERMS, start) for n, (t, start, seed) in enumerate(each))
    config = replace(base.config, settings=base.config.settings.having(episodes=episodes), runs=runs)
    trained = folder.ensure(Spec(base.rule, config, base.source), listen, fresh_tasks=0, crews=crews)
    count = len(seeds)
    return [(trained, list(range(n * count, (n + 1) * count))) for n in range(len(groups))]


@dataclass(frozen=True)
class Recorded:
    """What a finished run folder says, read once: a heat has hundreds of rules in one folder."""

    metrics: Metrics
    theta: Mapping[int, Mapping[str, float | None]]
    """By run."""
    diagnostics: tuple[str, ...]

    @classmethod
    def of(cls, run: Run) -> Recorded:
        learned = {r["run"]: r["theta"] for r in run.result["runs"]}
        return cls(run.metrics, learned, run.config.settings.diagnostics)


def fit_of(recorded: Recorded, terms: Support, numbers: Sequence[int], measure: str, worst: float) -> Fit:
    """What some runs of a folder found, in order. `worst` caps losses (see `meta.worst_loss`)."""
    metrics, learned = recorded.metrics, recorded.theta
    half = metrics.episodes // 2
    accuracy = tuple(finite_mean(metrics.column(n, ACCURACY)[half:]) for n in numbers)
    # Capped, since one diverged stream would outweigh all others; a mean, so that differences are those of
    # tasks.
    loss = tuple(-fmean(_capped(metrics.column(n, LOSS)[half:], worst)) for n in numbers)
    theta = {t: Interval.of([float(learned[n][t] or 0.0) for n in numbers]) for t in terms}
    others = [*recorded.diagnostics, *_angles(next(iter(metrics.runs.values())))]
    measured = {
        name: finite_mean([v for n in numbers for v in metrics.column(n, name)[half:]]) for name in others
    }
    return Fit(terms, accuracy if measure == "accuracy" else loss, accuracy, theta, measured)


def _angles(columns: Iterable[str]) -> list[str]:
    """Columns of α and of E_W."""
    return [name for name in columns if any(c.member(name) is not None for c in (ALPHA, ORTHO))]


def _capped(losses: Sequence[float], worst: float) -> list[float]:
    return [min(loss, worst) if isfinite(loss) else worst for loss in losses]


def smallest_as_good(fits: Sequence[Fit], tolerance: float) -> Fit:
    """The smallest rule whose score is within `tolerance` of the best.

    Raises `RunError` when no rule has a finite score.
    """
    best = max(fit.mean for fit in fits)
    if best == -inf:
        raise RunError("no set of terms was refitted to a finite score: nothing can be chosen")
    return min((f for f in fits if f.mean >= best - tolerance), key=lambda f: (len(f.terms), -f.mean))
