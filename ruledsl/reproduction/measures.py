"""Results to numbers: one for every seed. What each measure means is in `vocabulary`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from ruledsl.report import AVERAGE
from ruledsl.reproduction.claims import Measure
from ruledsl.reproduction.results import Result, StreamResult, TheoryResult, TrainingResult
from ruledsl.reproduction.vocabulary import SETTLED, SMALL
from ruledsl.runs import RunError, moving_average

Window = tuple[int, int] | None
Scores = Mapping[int, float]
"""Seed → number."""
TREND = 51
"""Episodes of a moving average that leaves out Adam's wandering; the paper's curves take `AVERAGE`, 11."""


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
            return {seed: _of_stream(result, seed, measure) for seed in range(len(result.accuracy))}
        case TheoryResult():
            if str(measure) not in result.values:
                raise RunError(f"there is no `{measure}`; measured were {', '.join(result.values)}")
            return dict(enumerate(result.values[str(measure)]))


def _of_training(result: TrainingResult, run: int, measure: Measure, window: Window, share: float) -> float:
    columns = result.metrics.runs[run]
    first, last = episodes_of(window, len(columns["episode"]), share)

    def mean(name: str, logarithm: bool = False) -> float:
        values = _column(columns, name)[first:last]
        return _mean([math.log10(v) if v > 0 else math.nan for v in values] if logarithm else values)

    def over_layers(name: str, logarithm: bool = False) -> float:
        layers = [measure.argument] if measure.argument else range(1, len(result.config.settings.sizes) - 1)
        return _mean([mean(f"{name}_{layer}", logarithm) for layer in layers])

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
            return over_layers("ortho", logarithm=True)
        case "diagnostic":
            return mean(f"diagnostic_{measure.argument}")
        case _:
            return _of_theta(result, columns, measure, slice(first, last), share)


def _of_theta(
    result: TrainingResult, columns: Mapping[str, list[float]], measure: Measure, window: slice, share: float
) -> float:
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
            return settling_episode(_column(columns, _theta_column(result, measure.argument)), width, share)
        case _:
            return mean(measure.argument)


def episodes_of(window: Window, count: int, share: float) -> tuple[int, int]:
    """First and last (exclusive) row of a window of the paper's episodes. Raises `RunError` for one past the end."""
    first, last = window or (0, 10**9)
    low, high = round(first * share), min(count, round(last * share))
    if low >= high:
        raise RunError(f"episodes {first} … {last} are asked for; only {count} were run")
    return low, high


def settling_episode(theta: Sequence[float], width: int = AVERAGE, share: float = 1.0) -> float:
    """The episode after which the moving average stays within 20 % of the mean of the last 100.

    One that never does gives the number of all episodes; NaN where fewer were run than the paper's, since nobody
    knows then when it would have.
    """
    final = _mean(theta[-max(1, round(100 * share)) :])
    far = [not abs(value - final) <= SETTLED * abs(final) for value in moving_average(theta, width)]
    settled = float(len(theta) - far[::-1].index(True)) if True in far else 0.0
    # The last of them lie near their own mean whatever they do: to have settled only there says nothing.
    never = settled > len(theta) - round(50 * share)
    return settled if not never else (float(len(theta)) if share == 1.0 else math.nan)


def _theta_column(result: TrainingResult, name: str) -> str:
    """The column of a coefficient, by name or number; `a` also means `a[2]` and `a_24th`, which stand for it."""
    terms = result.metrics.terms
    if name.isdecimal() and int(name) < len(terms):
        return f"theta[{terms[int(name)]}]"
    near = [t for t in terms if t == name] or [t for t in terms if name and t.startswith(name)]
    return f"theta[{near[0] if near else name}]"


def _column(columns: Mapping[str, list[float]], name: str) -> list[float]:
    if name not in columns:
        raise RunError(f"there is no column `{name}` to measure; there are {', '.join(columns)}")
    return columns[name]


def _of_stream(result: StreamResult, seed: int, measure: Measure) -> float:
    accuracy, alpha = result.accuracy[seed], result.alpha[seed]
    if measure.what == "aligns":
        return _hidden(alpha[-1]) - _hidden(alpha[0])
    wanted = float(measure.argument)
    if measure.what == "reaches":
        # Where it is never reached, the whole stream is what is known to be too short.
        return next(
            (float(n) for n, a in zip(result.samples, accuracy, strict=True) if a >= wanted), float(result.samples[-1])
        )
    if wanted > result.samples[-1]:
        raise RunError(f"`{measure}` asks for more than the {result.samples[-1]} samples of the stream")
    point = min(range(len(result.samples)), key=lambda n: abs(math.log1p(result.samples[n]) - math.log1p(wanted)))
    return accuracy[point] if measure.what == "accuracy_at" else _hidden(alpha[point])


def _hidden(angles: Sequence[float]) -> float:
    return _mean(angles[1:-1])


def _mean(values: Sequence[float]) -> float:
    finite = [v for v in values if math.isfinite(v)]
    return fmean(finite) if finite else math.nan
