"""Numbers to verdicts. A claim accepts a range; ours is an interval over seeds.

agrees     the whole 95 % interval lies in the range
disagrees  it lies outside
open       it reaches across the range's border: more seeds or longer runs would have to tell
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ruledsl.reproduction.claims import Alternative, Claim, ClaimFile, Measure
from ruledsl.reproduction.experiments import Workshop
from ruledsl.reproduction.measures import Scores, Window, measured
from ruledsl.runs import mean_and_interval

Verdict = Literal["agrees", "disagrees", "open"]


@dataclass(frozen=True)
class Interval:
    """Mean over seeds and 95 % half-width (Student's t); NaN for a half-width that one seed cannot give."""

    mean: float
    half: float
    by_seed: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        return cls(*mean_and_interval(values), tuple(values))

    def shown(self, form: str = ".3g") -> str:
        """`0.707 ± 0.005`: as many digits of the mean as its half-width has."""
        if math.isnan(self.mean):
            return "not finite"
        if math.isnan(self.half):
            return f"{self.mean:{form}}"
        if self.half == 0.0:
            return f"{self.mean:g} ± 0"
        if abs(self.mean) + self.half < 1e-5:
            return f"{self.mean:.1e} ± {self.half:.0e}"
        digits = min(6, max(0, 1 - math.floor(math.log10(self.half))))
        return f"{self.mean:.{digits}f} ± {self.half:.{digits}f}"


@dataclass(frozen=True)
class Judged:
    """A claim with what was measured for it."""

    claim: Claim
    ours: Interval
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


def judge(workshop: Workshop, file: ClaimFile, claim: Claim) -> Judged:
    """Run what a claim needs, if it has not been, and compare."""
    ours = _ours(workshop, file, claim, claim.measure, claim.of, claim.against)
    verdict = verdict_of(ours, claim.low, claim.high)
    if verdict == "agrees" or claim.if_not is None or not claim.if_not.of:
        return Judged(claim, ours, verdict)
    measure = claim.if_not.measure or claim.measure
    support = _ours(workshop, file, claim, measure, claim.if_not.of, claim.if_not.against)
    return Judged(claim, ours, verdict, support, verdict_of(support, claim.low, claim.high))


def _ours(workshop: Workshop, file: ClaimFile, claim: Claim, measure: Measure, of: str, against: str) -> Interval:
    share = workshop.budget.share
    scores = measured(workshop.result(file, of), measure, claim.episodes, share)
    if against:
        scores = _minus(scores, measured(workshop.result(file, against), measure, claim.episodes, share))
    return Interval.of(list(scores.values()))


def _minus(first: Scores, second: Scores) -> Scores:
    return {seed: value - second[seed] for seed, value in first.items()}


def verdict_of(ours: Interval, low: float, high: float) -> Verdict:
    """See the module's text. A single seed, or a number that is not finite in some seed, leaves a claim open.

    So do numbers that all lie on the border itself: where nothing happened, 0 is neither above nor below 0.
    """
    if not math.isfinite(ours.mean) or not math.isfinite(ours.half) or not all(map(math.isfinite, ours.by_seed)):
        return "open"
    if ours.half == 0.0 and ours.mean in (low, high):
        return "open"
    if low <= ours.mean - ours.half and ours.mean + ours.half <= high:
        return "agrees"
    outside = ours.mean + ours.half < low or ours.mean - ours.half > high
    return "disagrees" if outside else "open"


def compare(workshop: Workshop, file: ClaimFile, alternative: Alternative) -> Compared:
    """Each measure here and there, and the difference seed by seed."""

    def scores(name: str, measure: Measure, window: Window) -> Scores:
        return measured(workshop.result(file, name), measure, window, workshop.budget.share)

    effects = []
    for other in alternative.others:
        for measure, there_measure in zip(alternative.measures, alternative.there_measures, strict=True):
            here = scores(alternative.of, measure, alternative.episodes)
            there = scores(other, there_measure, alternative.episodes)
            difference = Interval.of(list(_minus(there, here).values()))
            here, there = (Interval.of(list(s.values())) for s in (here, there))
            effects.append(Effect(measure, other, here, there, difference))
    return Compared(alternative, tuple(effects))
