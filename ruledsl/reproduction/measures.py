"""Every measure that a claim can be about: a row of a table says what it means and how it is taken, seed by
seed.

Results become numbers here: one for every seed. A further measure is a further row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruledsl.errors import RunError
from ruledsl.reproduction.claims import Measure
from ruledsl.reproduction.results import Result, StreamResult, TheoryResult, TrainingResult
from ruledsl.settings import ACCURACY, ALPHA, COLUMNS, DIVERGED, LOSS, ORTHO, THETA
from ruledsl.statistics import AVERAGE, finite_mean, moving_average

Window = tuple[int, int] | None
Scores = Mapping[int, float]
"""Seed → number."""
TREND = 51
"""Episodes of a moving average that leaves out Adam's wandering; the paper's curves take `AVERAGE`, 11."""
SMALL = 2e-3
SETTLED = 0.2
SHOWN = ("accuracy", "loss", "angle", "theta", "ortho", "claims")
"""What a panel may draw."""


@dataclass(frozen=True)
class Seen:
    """What a measure of a training is taken from: one run's columns, in a window of its episodes."""

    result: TrainingResult
    columns: Mapping[str, list[float]]
    window: slice
    share: float
    """Of the paper's episodes that were run."""

    def mean(self, name: str, of: Callable[[float], float] = lambda v: v) -> float:
        """Mean of a column inside the window."""
        return finite_mean([of(v) for v in self.column(name)[self.window]])

    def column(self, name: str) -> list[float]:
        if name not in self.columns:
            raise RunError(f"there is no column `{name}` to measure; there are {', '.join(self.columns)}")
        return self.columns[name]

    def theta(self, name: str) -> str:
        """The column of a coefficient, by name or number;
        `a` also means `a[2]` and `a_24th`, which stand for it."""
        terms = self.result.metrics.terms
        if name.isdecimal() and int(name) < len(terms):
            return THETA.named(terms[int(name)])
        near = [t for t in terms if t == name] or [t for t in terms if name and t.startswith(name)]
        return THETA.named(near[0] if near else name)

    def over_layers(self, family: Any, layer: str, of: Callable[[float], float] = lambda v: v) -> float:
        """Mean of a column of every hidden layer, or of one."""
        inner = [layer] if layer else [str(n) for n in range(1, self.result.config.settings.depth)]
        return finite_mean([self.mean(family.named(n), of) for n in inner])

    @property
    def queries(self) -> int:
        task = self.result.config.settings.task
        return task.labels * task.queries


@dataclass(frozen=True)
class Row:
    """A measure: of which kind of experiment, what it means, what stands in its brackets."""

    of: str
    meaning: str
    value: Callable[[Any, str], float]
    """(what it is taken from, the argument) → the number of one seed."""
    argument: str = ""
    """What must stand in brackets; empty where nothing must."""
    may_name_layer: bool = False

    @property
    def is_number(self) -> bool:
        """Whether a number must stand in its brackets."""
        return self.argument in (SAMPLES, REACHED)


def _logarithm(value: float) -> float:
    return math.log10(value) if value > 0 else math.nan


def _small(seen: Seen, names: str) -> float:
    terms = names.split() or list(seen.result.metrics.terms)
    return float(sum(abs(seen.mean(seen.theta(name))) < SMALL for name in terms))


def _zeros(seen: Seen, _: str) -> float:
    return float(sum(seen.column(THETA.named(n))[-1] == 0.0 for n in seen.result.metrics.terms))


def _settles(width: int) -> Callable[[Seen, str], float]:
    return lambda seen, name: settling_episode(seen.column(seen.theta(name)), width, seen.share)


def _deep(seen: Seen, _: str) -> float:
    return seen.mean(ALPHA.named(seen.result.config.settings.depth - 1)) - seen.mean(ALPHA.named(1))


StreamSeen = tuple[StreamResult, int]


def _reaches(seen: StreamSeen, wanted: str) -> float:
    """Where it is never reached, the whole stream is what is known to be too short."""
    result, seed = seen
    pairs = zip(result.samples, result.accuracy[seed], strict=True)
    return next((float(n) for n, a in pairs if a >= float(wanted)), float(result.samples[-1]))


def _point(result: StreamResult, wanted: str) -> int:
    """The point of the curve that is nearest to a number of samples."""
    count = float(wanted)
    if count > result.samples[-1]:
        raise RunError(f"`[{wanted}]` asks for more than the {result.samples[-1]} samples of the stream")
    return min(
        range(len(result.samples)), key=lambda n: abs(math.log1p(result.samples[n]) - math.log1p(count))
    )


def _hidden(angles: Sequence[float]) -> float:
    return finite_mean(angles[1:-1])


TRAINING, STREAM, THEORY = "Training", "LongStream", "Theory"
COEFFICIENT, SAMPLES, LAYER, REACHED = "a coefficient", "a number of samples", "a layer", "an accuracy"
_DIAGNOSTIC = COLUMNS["diagnostics"]

MEASURES: Mapping[str, Row] = {
    "accuracy": Row(TRAINING, "query accuracy, mean over the episodes", lambda s, _: s.mean(ACCURACY)),
    "loss": Row(TRAINING, "meta-loss, mean over the episodes", lambda s, _: s.mean(LOSS)),
    "refused": Row(TRAINING, "share of the episodes that diverged or were not finite",
        lambda s, _: s.mean(DIVERGED)),
    "angle": Row(
        TRAINING, "angle[ℓ] α_ℓ in degrees; without ℓ the mean of layers 1 … L−1",
        lambda s, layer: s.over_layers(ALPHA, layer), may_name_layer=True,
    ),
    "deep_angle": Row(TRAINING, "α of the last hidden layer minus α of the first", _deep),
    "ortho": Row(
        TRAINING, "ortho[ℓ] the orthonormality error E_W (Eq. 10)",
        lambda s, layer: s.over_layers(ORTHO, layer),
        may_name_layer=True,
    ),
    "ortho_sum": Row(
        TRAINING, "ortho_sum[ℓ] E_W added up over the query set, as the released code has it",
        lambda s, layer: s.over_layers(ORTHO, layer) * s.queries, may_name_layer=True,
    ),
    "log_ortho": Row(
        TRAINING, "log_ortho[ℓ] its decimal logarithm",
        lambda s, layer: s.over_layers(ORTHO, layer, _logarithm),
        may_name_layer=True,
    ),
    "theta": Row(
        TRAINING, "theta[NAME] a coefficient, by name or by number, mean over the episodes",
        lambda s, name: s.mean(s.theta(name)), COEFFICIENT,
    ),
    "small": Row(
        TRAINING, "small[NAME …] how many of these have a mean below 2·10⁻³, two of Adam's steps",
        _small,
        "coefficients",
    ),
    "zeros": Row(TRAINING, "how many coefficients are exactly zero in the last episode", _zeros),
    "settles": Row(
        TRAINING, "settles[NAME] the episode after which a coefficient stays within 20 % of its last 100",
        _settles(AVERAGE), COEFFICIENT,
    ),
    "trend_settles": Row(
        TRAINING, "trend_settles[NAME] the same of the moving average over 51 episodes in place of 11",
        _settles(TREND),
        COEFFICIENT,
    ),
    "diagnostic": Row(
        TRAINING, "diagnostic[NAME] a diagnostic's column", lambda s, name: s.mean(_DIAGNOSTIC.named(name)),
        "a diagnostic",
    ),
    "accuracy_at": Row(
        STREAM, "accuracy_at[N] accuracy on held-out images after N samples",
        lambda s, n: s[0].accuracy[s[1]][_point(s[0], n)], SAMPLES,
    ),
    "angle_at": Row(
        STREAM, "angle_at[N] mean α of layers 1 … L−1 after N samples",
        lambda s, n: _hidden(s[0].alpha[s[1]][_point(s[0], n)]), SAMPLES,
    ),
    "aligns": Row(
        STREAM, "α after the last sample minus α before the first, mean of layers 1 … L−1",
        lambda s, _: _hidden(s[0].alpha[s[1]][-1]) - _hidden(s[0].alpha[s[1]][0]),
    ),
    "reaches": Row(STREAM, "reaches[A] samples after which accuracy is first at least A", _reaches, REACHED),
    "gradient_digits": Row(
        THEORY, "decimal digits in which F⁰ through Wᵀ and autograd's gradient agree", lambda v, _: v
    ),
    "angle_to_B": Row(
        THEORY, "angle_to_B[ℓ] degrees between ⟨e_ℓ e_{ℓ−1}ᵀ⟩ and Bᵀ, weights that enter layer ℓ",
        lambda v, _: v, LAYER
    ),
    "angle_to_covariance": Row(
        THEORY, "angle_to_covariance[ℓ] degrees between ⟨e_ℓ e_{ℓ−1}ᵀ⟩ and Cov(e_ℓ) Bᵀ", lambda v, _: v, LAYER
    ),
}  # fmt: skip
"""Every measure by name; those of theory are numbers already."""


def measures_of(kind: str) -> list[str]:
    """Names of the measures of a kind of experiment."""
    return [name for name, row in MEASURES.items() if row.of == kind]


def measured(result: Result, measure: Measure, window: Window, share: float) -> Scores:
    """A measure of an experiment, seed by seed.

    Args:
        window: first and last episode, of the paper's count. share: how much of that count was run; the
            window shrinks with it.

    Raises:
        RunError: the experiment has no such layer, coefficient or diagnostic.
    """
    value, argument = MEASURES[measure.what].value, measure.argument
    match result:
        case TrainingResult():
            found = {}
            for seed, run in result.seeds.items():
                columns = result.metrics.runs[run]
                first, last = episodes_of(window, len(columns[LOSS]), share)
                found[seed] = value(Seen(result, columns, slice(first, last), share), argument)
            return found
        case StreamResult():
            return {seed: value((result, seed), argument) for seed in range(len(result.accuracy))}
        case TheoryResult():
            if str(measure) not in result.values:
                raise RunError(f"there is no `{measure}`; measured were {', '.join(result.values)}")
            return {seed: value(v, argument) for seed, v in enumerate(result.values[str(measure)])}


def episodes_of(window: Window, count: int, share: float) -> tuple[int, int]:
    """First and last (exclusive) row of a window of the paper's episodes.
    Raises `RunError` for one past the end."""
    first, last = window or (0, 10**9)
    low, high = round(first * share), min(count, round(last * share))
    if low >= high:
        raise RunError(f"episodes {first} … {last} are asked for; only {count} were run")
    return low, high


def settling_episode(theta: Sequence[float], width: int = AVERAGE, share: float = 1.0) -> float:
    """The episode after which the moving average stays within 20 % of the mean of the last 100.

    One that never does gives the number of all episodes; NaN where fewer were run than the paper's, since
    nobody knows then when it would have.
    """
    final = finite_mean(theta[-max(1, round(100 * share)) :])
    far = [not abs(value - final) <= SETTLED * abs(final) for value in moving_average(theta, width)]
    settled = float(len(theta) - far[::-1].index(True)) if True in far else 0.0
    # The last of them lie near their own mean whatever they do: to have settled only there says nothing.
    never = settled > len(theta) - round(50 * share)
    return settled if not never else (float(len(theta)) if share == 1.0 else math.nan)
