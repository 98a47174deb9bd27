"""Which sign of θ a term wants, to first order in a naive network: what its expected drift does to the loss,
to the alignment of W with Bᵀ, and to the orthonormality of W."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import sympy as sp

from ruledsl.algebra import POST_CELL, PRE_CELL, IndexForm, entry
from ruledsl.theory.checking import networks, numbers
from ruledsl.theory.expectation import expected_drift
from ruledsl.theory.polynomials import Function

NETWORKS, POST, PRE = 30, 20, 30
CLEAR = 6.0
"""Standard errors from zero: smaller first-order changes are not called one."""

Matrix = np.ndarray


@dataclass(frozen=True)
class Direction:
    """The sign of θ that makes something better, with the mean first-order change and its standard error."""

    what: str
    change: float
    error: float

    @property
    def sign(self) -> int:
        """−1 or 1; 0 where the first order says nothing."""
        clear = abs(self.change) > CLEAR * self.error and abs(self.change) > 1e-12
        return 0 if not clear else 1 if self.change > 0 else -1


_MEASURES: Mapping[str, Callable[[Matrix, Matrix, Matrix], float]] = {
    "turns W towards Bᵀ": lambda W, B, D: float((D * B.T).sum() / np.linalg.norm(B) / np.linalg.norm(W)),
    "makes the rows of W more orthonormal": lambda W, B, D: (
        -float(((W @ W.T - np.eye(len(W))) @ W * D).sum())
    ),
}
LOSS = "makes the loss of this layer smaller"


def directions(form: IndexForm, input_mean: bool = False) -> list[Direction]:
    """What a positive θ does, to first order, in naive networks of 30 → 20 cells.

    The loss is that of a layer whose e_post is its own gradient: ∂L/∂W = e_post y_preᵀ.

    Raises `NotPolynomial` as `expected_drift` does.
    """
    drift = expected_drift(form, input_mean)
    gradient: sp.Expr = entry("e_post", POST_CELL) * entry("y_pre", PRE_CELL)
    slope = expected_drift(IndexForm(sp.expand(form.entry * gradient)), input_mean)
    known = numbers(POST, PRE)
    drift_of, slope_of = Function(drift, known), Function(slope, known)
    found: dict[str, list[float]] = {name: [] for name in (LOSS, *_MEASURES)}
    for seed in range(NETWORKS):
        W, B = networks(seed, POST, PRE)
        D = drift_of(W=W, B=B)
        found[LOSS].append(-float(slope_of(W=W, B=B).sum()))
        for name, measure in _MEASURES.items():
            found[name].append(measure(W, B, D))
    return [Direction(name, *_mean_and_error(values)) for name, values in found.items()]


def _mean_and_error(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1)) / len(values) ** 0.5
