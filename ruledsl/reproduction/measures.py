"""Results to numbers: one for every seed. What each measure means is in `vocabulary`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from ruledsl.reproduction.claims import Measure
from ruledsl.reproduction.experiments import Result, StreamResult, TheoryResult, TrainingResult
from ruledsl.reproduction.vocabulary import SETTLED, SMALL
from ruledsl.runs import RunError, moving_average

Window = tuple[int, int] | None
Scores = Mapping[int, float]
"""Seed → number."""
AVERAGE, TREND = 11, 51
"""Episodes of a moving average: the paper's curves, and what is left when Adam's wandering is averaged out."""


def measured(result: Result, measure: Measure, window: Window, share: float) -> Scores:
    """A measure of an experiment, seed by seed.

    Args:
        window: first and last episode, of the paper's count. share: how much of that count was run; the window shrinks
            with it.

    Raises:
        RunError: the experiment has no such layer, coefficient or diagnostic.
    """
    match result:
        case TrainingResult():
            return {seed: _of_training(result, run, measure, window, share) for seed, run in result.seeds.items()}
        case StreamResult():
            return {seed: _of_stream(result, seed, measure, share) for seed in range(len(result.accuracy))}
        case TheoryResult():
            if str(measure) not in result.values:
                raise RunError(f"there is no `{measure}`; measured were {', '.join(result.values)}")
            return dict(enumerate(result.values[str(measure)]))


def _of_training(result: TrainingResult, run: int, measure: Measure, window: Window, share: float) -> float:
    columns = result.metrics.runs[run]
    first, last = episodes_of(window, len(columns["episode"]), share)

    def mean(name: str) -> float:
        return _mean(_column(columns, name)[first:last])

    def over_layers(name: str, of: Callable[[float], float] = lambda v: v) -> float:
        layers = [measure.argument] if measure.argument else range(1, len(result.config.settings.sizes) - 1)
        return _mean([of(mean(f"{name}_{layer}")) for layer in layers])

    settings = result.config.settings
    match measure.what:
        case "accuracy" | "loss":
            return mean(f"meta_{measure.what}")
        case "refused":
            return mean("diverged")
        case "angle":
            return over_layers("alpha")
        case "deep_angle":
            return mean(f"alpha_{len(settings.sizes) - 2}") - mean("alpha_1")
        case "ortho":
            return over_layers("ortho")
        case "ortho_sum":
            return over_layers("ortho") * settings.labels * settings.queries
        case "log_ortho":
            return over_layers("ortho", lambda v: math.log10(v) if v > 0 else math.nan)
        case "diagnostic":
            return mean(f"diagnostic_{measure.argument}")
        case _:
            return _of_theta(result, columns, measure, slice(first, last))


def _of_theta(result: TrainingResult, columns: Mapping[str, list[float]], measure: Measure, window: slice) -> float:
    """Measures of coefficients."""

    def mean(name: str) -> float:
        return _mean(_column(columns, _theta_column(result, name))[window])

    match measure.what:
        case "small":
            names = measure.argument.split() or list(result.metrics.terms)
            return float(sum(abs(mean(name)) < SMALL for name in names))
        case "zeros":
            return float(sum(_column(columns, f"theta[{n}]")[-1] == 0.0 for n in result.metrics.terms))
        case "settles" | "trend_settles":
            width = AVERAGE if measure.what == "settles" else TREND
            return settling_episode(_column(columns, _theta_column(result, measure.argument)), width)
        case _:
            return mean(measure.argument)


def episodes_of(window: Window, count: int, share: float) -> tuple[int, int]:
    """First and last (exclusive) row of a window of the paper's episodes; never empty."""
    first, last = window or (0, 10**9)
    low, high = round(first * share), min(count, round(last * share))
    return (low, high) if low < high else (max(0, count - max(1, count // 4)), count)


def settling_episode(theta: Sequence[float], width: int = AVERAGE) -> float:
    """The episode after which the moving average stays within 20 % of the mean of the last 100.

    One that does not stay there gives the number of all episodes.
    """
    final = _mean(theta[-100:])
    far = [not abs(value - final) <= SETTLED * abs(final) for value in moving_average(theta, width)]
    return float(len(theta) - far[::-1].index(True)) if True in far else 0.0


def _theta_column(result: TrainingResult, name: str) -> str:
    """The column of a coefficient, by name or number. A term of a pool stands in for one derived from it."""
    terms = result.metrics.terms
    if name.isdigit() and int(name) < len(terms):
        return f"theta[{terms[int(name)]}]"
    near = [t for t in terms if t == name] or [t for t in terms if t.startswith(name)]
    return f"theta[{near[0] if near else name}]"


def _column(columns: Mapping[str, list[float]], name: str) -> list[float]:
    if name not in columns:
        raise RunError(f"there is no column `{name}` to measure; there are {', '.join(columns)}")
    return columns[name]


def _of_stream(result: StreamResult, seed: int, measure: Measure, share: float) -> float:
    accuracy, alpha = result.accuracy[seed], result.alpha[seed]
    if measure.what == "aligns":
        return _hidden(alpha[-1]) - _hidden(alpha[0])
    if measure.what == "reaches":
        level = _number(measure)
        # Where it is never reached, the whole stream is what is known to be too short.
        return next(
            (float(n) for n, a in zip(result.samples, accuracy, strict=True) if a >= level), float(result.samples[-1])
        )
    wanted = _number(measure) * share
    point = min(range(len(result.samples)), key=lambda n: abs(math.log1p(result.samples[n]) - math.log1p(wanted)))
    return accuracy[point] if measure.what == "accuracy_at" else _hidden(alpha[point])


def _number(measure: Measure) -> float:
    try:
        return float(measure.argument)
    except ValueError:
        raise RunError(f"`{measure}` needs a number in its brackets") from None


def _hidden(angles: Sequence[float]) -> float:
    return _mean(angles[1:-1])


def _mean(values: Sequence[float]) -> float:
    finite = [v for v in values if math.isfinite(v)]
    return fmean(finite) if finite else math.nan
