"""Every formula beside a measurement: samples drawn under its assumptions, and the rule's own update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sympy as sp
import torch

from ruledsl.algebra import SIZE
from ruledsl.backend import EagerProgram, change_of
from ruledsl.compiler import RuleProgram
from ruledsl.ir import Program
from ruledsl.theory.expectation import MU_Y, SIGMA_E, SIGMA_Y
from ruledsl.theory.polynomials import Function

POST, PRE = 4, 5
SEEDS, SAMPLES = 5, 20_000
MOMENTS = {SIGMA_Y: 0.9, SIGMA_E: 0.7, MU_Y: 0.4}
FARTHEST = 5.0
"""Standard errors. Of 17 000 correct formulas one has an entry so far off, in a hundred of five networks."""


@dataclass(frozen=True)
class Check:
    """A formula against a measurement, over all entries of `SEEDS` networks."""

    distance: float | None
    """‖measured − predicted‖ / ‖predicted‖; None where nothing is predicted."""
    farthest: float
    """The largest difference of an entry, in standard errors of its mean."""

    @property
    def agrees(self) -> bool:
        return self.farthest < FARTHEST

    def __str__(self) -> str:
        verdict = "agrees" if self.agrees else "DISAGREES"
        near = "" if self.distance is None else f"relative distance {self.distance:.1%}, "
        return (
            f"{verdict} with {SAMPLES:,} samples in each of {SEEDS} networks: "
            f"{near}worst entry {self.farthest:.1f} standard errors"
        )


def check_drift(rule: RuleProgram, term: int, drift: sp.Expr, input_mean: bool) -> Check:
    """E[ΔW | W, B] of one term as derived, beside the mean of its update."""
    off, size, worst, formula = 0.0, 0.0, 0.0, Function(drift, numbers(POST, PRE))
    for seed in range(SEEDS):
        W, B = networks(seed)
        predicted = formula(W=W, B=B)
        mean, error = measured_drift(rule, {term: 1.0}, W, B, seed, input_mean)
        off += float(np.square(mean - predicted).sum())
        size += float(np.square(predicted).sum())
        rounding = 1e-9 * max(1.0, float(np.abs(predicted).max()))  # of terms that nothing random enters
        worst = max(worst, float(np.max(np.abs(mean - predicted) / np.maximum(error, rounding))))
    return Check((off / size) ** 0.5 if size else None, worst)


def networks(seed: int, post: int = POST, pre: int = PRE) -> tuple[np.ndarray, np.ndarray]:
    """W (post, pre) and B (pre, post) of a naive network, normal with variances of Xavier's."""
    random = np.random.default_rng(seed)
    spread = (2.0 / (post + pre)) ** 0.5
    return random.normal(0.0, spread, (post, pre)), random.normal(0.0, spread, (pre, post))


def numbers(post: int, pre: int) -> Mapping[sp.Symbol, float]:
    """Sizes and moments by their symbols."""
    return {SIZE["post"]: float(post), SIZE["pre"]: float(pre), **MOMENTS}


def measured_drift(
    rule: RuleProgram, theta: Mapping[int, float], W: np.ndarray, B: np.ndarray, seed: int, input_mean: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of Σ θ_r F^r over samples, and its standard error, (n_post, n_pre) each."""
    drawn = samples(W, B, seed, SAMPLES, input_mean)
    change = np.zeros((SAMPLES, *W.shape))
    for term, value in theta.items():
        change += value * updates(rule.single_program(term), {"W": W, **drawn})
    return change.mean(0), change.std(0, ddof=1) / SAMPLES**0.5


def samples(
    W: np.ndarray, B: np.ndarray, seed: int, count: int, input_mean: bool = False
) -> dict[str, np.ndarray]:
    """What the cells of a linear layer do at `count` samples, (count, cells) each, under what is assumed."""
    random = np.random.default_rng([seed, 1])
    mean = MOMENTS[MU_Y] if input_mean else 0.0
    y_pre = mean + MOMENTS[SIGMA_Y] * random.standard_normal((count, W.shape[1]))
    e_post = MOMENTS[SIGMA_E] * random.standard_normal((count, W.shape[0]))
    y_post, e_pre = y_pre @ W.T, e_post @ B.T
    pre = {"y_pre": y_pre, "z_pre": y_pre, "e_pre": e_pre}
    return {**pre, "y_post": y_post, "z_post": y_post, "e_post": e_post}


def updates(program: Program, quantities: Mapping[str, np.ndarray]) -> np.ndarray:
    """ΔW at every sample, (count, n_post, n_pre): W is one matrix, all else has a row for each sample."""
    count, (post, pre) = len(quantities["y_pre"]), quantities["W"].shape
    given = {name: torch.from_numpy(value) for name, value in quantities.items()}
    given["W"] = given["W"].expand(count, post, pre)
    ones = torch.ones(count, 1, dtype=torch.float64)
    values = EagerProgram(program, {"post": post, "pre": pre}).run(given, ones)
    return change_of(program.updates[0], values, given["W"]).numpy()
