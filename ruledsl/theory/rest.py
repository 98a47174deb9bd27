"""Where the averaged rule comes to rest: dW/dt = Σ θ_r E[ΔW_r | W, B], followed from a naive network, and how
it behaves there: eigenvalues of the linearised flow, neutral directions, the largest step that is stable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import sympy as sp

from ruledsl.compiler import RuleProgram
from ruledsl.theory.checking import FARTHEST, POST, PRE, measured_drift, networks, numbers
from ruledsl.theory.polynomials import Function

Matrix = np.ndarray
Flow = Callable[[Matrix], Matrix]
STEPS, TINY, HUGE = 2_000, 1e-9, 1e3
NEUTRAL = 1e-5
"""Of the largest eigenvalue: directions slower than this are called neutral."""


@dataclass(frozen=True)
class Rest:
    """How the averaged rule ends from a naive network.

    Attributes:
        end: `rests`, `grows` without bound, `vanishes`, or `moves` still after all steps.
        relations: what holds of W there, in formulas.
        alignment: the angle between W and Bᵀ, in degrees.
        slowest, fastest: real parts of eigenvalues of the linearised flow, neutral ones left out; both are
            negative where the rest is stable.
        neutral: directions that the flow does not move.
    """

    end: str
    relations: tuple[str, ...] = ()
    alignment: float = 90.0
    slowest: float = 0.0
    fastest: float = 0.0
    neutral: int = 0
    farthest: float = 0.0
    """At rest: the largest mean update of an entry over samples, in its standard errors."""

    @property
    def largest_step(self) -> float:
        """The factor on Θ beyond which W + s E[ΔW] does not return to rest; infinite where nothing moves."""
        return -2.0 / self.fastest if self.fastest < 0 else float("inf")

    def __str__(self) -> str:
        if self.end == "vanishes":
            return "W vanishes"
        if self.end == "moves":
            return "W has not come to rest"
        toward = f"at {self.alignment:.0f}° from Bᵀ"
        if self.end == "grows":
            return f"W grows without bound, {toward}"
        holds = f" where {', '.join(self.relations)}" if self.relations else ""
        kind = "stable" if self.slowest <= 0 else "not stable"
        free = f", {self.neutral} neutral directions" if self.neutral else ""
        return (
            f"W comes to rest{holds}, {toward}: {kind}\n"
            f"    eigenvalues {self.fastest:.3g} … {self.slowest:.3g}{free}; "
            f"steps up to {self.largest_step:.3g} Θ return to it\n"
            f"    measured there, no entry moves by more than {self.farthest:.1f} standard errors"
        )


def rest_of(
    rule: RuleProgram,
    drifts: Mapping[int, sp.Expr],
    theta: Mapping[int, float],
    input_mean: bool = False,
    seed: int = 0,
) -> Rest:
    """Follow the averaged rule from a naive network of 5 → 4 cells: coefficients by the numbers of their
    terms, each with its expected drift."""
    start, B = networks(seed)
    average = Function(sp.Add(*(value * drifts[r] for r, value in theta.items())), numbers(POST, PRE))

    def flow(W: Matrix) -> Matrix:
        return average(W=W, B=B)

    W, end = _followed(flow, start)
    angle = _angle(W, B.T)
    if end != "rests":
        return Rest(end, alignment=angle)
    eigenvalues = np.linalg.eigvals(_jacobian(flow, W)).real
    size = float(np.abs(eigenvalues).max())
    moving = eigenvalues[np.abs(eigenvalues) > NEUTRAL * size]
    neutral = len(eigenvalues) - len(moving)
    slowest, fastest = (float(moving.max()), float(moving.min())) if len(moving) else (0.0, 0.0)
    mean, error = measured_drift(rule, theta, W, B, seed, input_mean)
    farthest = float(np.max(np.abs(mean) / np.maximum(error, 1e-9 * max(1.0, float(np.abs(W).max())))))
    if farthest > FARTHEST:  # not so slow as it seemed
        return Rest("moves", alignment=angle)
    return Rest("rests", tuple(_relations(W, B)), angle, slowest, fastest, neutral, farthest)


def _followed(flow: Flow, W: Matrix) -> tuple[Matrix, str]:
    """Heun's method, with steps in which the flow itself changes by at most a fifth."""
    first, size = float(np.abs(flow(W)).max()), float(np.abs(W).max())
    if first == 0.0:
        return W, "rests"
    step = 0.01 / first
    for _ in range(STEPS):
        one = flow(W)
        if np.abs(one).max() < TINY * first:
            return W, "vanishes" if np.abs(W).max() < 0.01 * size else "rests"
        two = flow(W + step * one)
        if np.abs(one - two).max() > 0.2 * np.abs(one).max():
            step /= 2
            continue
        W = W + step * (one + two) / 2
        if not np.isfinite(W).all() or np.abs(W).max() > HUGE:
            return W, "grows"
        if np.abs(W).max() < 1e-6 * size:
            return W, "vanishes"
        step *= 1.2
    return W, "moves"


def _jacobian(flow: Flow, W: Matrix, h: float = 1e-5) -> Matrix:
    columns = []
    for n in range(W.size):
        nudge = np.zeros(W.size)
        nudge[n] = h
        nudge = nudge.reshape(W.shape)
        columns.append(((flow(W + nudge) - flow(W - nudge)) / (2 * h)).ravel())
    return np.stack(columns, 1)


def _angle(a: Matrix, b: Matrix) -> float:
    cosine = float((a * b).sum() / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _relations(W: Matrix, B: Matrix) -> list[str]:
    """What holds of W, of a few things that rules are known for."""
    known: Mapping[str, Matrix] = {
        "W Wᵀ = 1": W @ W.T - np.eye(len(W)),
        "every row of W has length 1": (W * W).sum(1) - 1.0,
    }
    found = [name for name, residual in known.items() if np.abs(residual).max() < 1e-4][:1]
    if _angle(W, B.T) < 0.1:
        found.append("W is a multiple of Bᵀ")
    return found
