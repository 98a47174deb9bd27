"""Numbers to verdicts. A claim accepts a range; ours is an interval over seeds.

agrees     the whole 95 % interval lies in the range
disagrees  it lies outside
open       it reaches across the range's border: more seeds or longer runs would have to tell
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ruledsl.reproduction.claims import Alternative, Claim, Measure
from ruledsl.reproduction.measures import Scores, Window, measured
from ruledsl.reproduction.results import Result
from ruledsl.statistics import Interval

Verdict = Literal["agrees", "disagrees", "open"]


@dataclass(frozen=True)
class Judged:
    """A claim with what was measured for it."""

    claim: Claim
    ours: Interval
    by_seed: tuple[float, ...]
    verdict: Verdict
    support: Interval | None = None
    """For a claim that does not agree: the same measure in the experiment that its explanation names."""
    supported: Verdict | None = None


@dataclass(frozen=True)
class Effect:
    """What an alternative changes in one measure: here, there, and the paired difference."""

    measure: Measure
    other: str
    here: Interval
    there: Interval
    difference: Interval


@dataclass(frozen=True)
class Compared:
    alternative: Alternative
    effects: tuple[Effect, ...]


Results = Mapping[str, Result]
"""What each experiment of a file left."""


def judge(results: Results, claim: Claim, share: float) -> Judged:
    """Compare a claim with what was measured for it. `share` of the paper's episodes were run."""
    by_seed = _ours(results, claim, claim.measure, claim.of, claim.against, share)
    ours, verdict = Interval.of(by_seed), verdict_of(by_seed, claim.low, claim.high)
    if verdict == "agrees" or claim.if_not is None or not claim.if_not.of:
        return Judged(claim, ours, by_seed, verdict)
    measure = claim.if_not.measure or claim.measure
    there = _ours(results, claim, measure, claim.if_not.of, claim.if_not.against, share)
    return Judged(claim, ours, by_seed, verdict, Interval.of(there), verdict_of(there, claim.low, claim.high))


def _ours(
    results: Results, claim: Claim, measure: Measure, of: str, against: str, share: float
) -> tuple[float, ...]:
    scores = measured(results[of], measure, claim.episodes, share)
    if against:
        scores = _minus(scores, measured(results[against], measure, claim.episodes, share))
    return tuple(scores.values())


def _minus(first: Scores, second: Scores) -> Scores:
    return {seed: value - second[seed] for seed, value in first.items()}


def verdict_of(by_seed: Sequence[float], low: float, high: float) -> Verdict:
    """See the module's text. A single seed, or a number that is not finite in some seed, leaves a claim open.

    So do numbers that all lie on the border itself: where nothing happened, 0 is neither above nor below 0.
    """
    ours = Interval.of(by_seed)
    if not math.isfinite(ours.mean) or not math.isfinite(ours.half) or not all(map(math.isfinite, by_seed)):
        return "open"
    if ours.half == 0.0 and ours.mean in (low, high):
        return "open"
    if low <= ours.low and ours.high <= high:
        return "agrees"
    return "disagrees" if ours.high < low or ours.low > high else "open"


def compare(results: Results, alternative: Alternative, share: float) -> Compared:
    """Each measure here and there, and the difference seed by seed."""

    def scores(name: str, measure: Measure, window: Window) -> Scores:
        return measured(results[name], measure, window, share)

    effects = []
    for other in alternative.others:
        for measure, there_measure in zip(alternative.measures, alternative.there_measures, strict=True):
            here = scores(alternative.of, measure, alternative.episodes)
            there = scores(other, there_measure, alternative.episodes)
            intervals = [Interval.of(s.values()) for s in (here, there, _minus(there, here))]
            effects.append(Effect(measure, other, *intervals))
    return Compared(alternative, tuple(effects))
