"""Where a stream of samples goes wrong: the first update that is as large as the weights it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import torch
from torch import Tensor

from ruledsl.backend import CompiledRule, EagerProgram, apply_update
from ruledsl.network.engines import Stream, programs_for
from ruledsl.network.measure import probe_values
from ruledsl.network.terms import layer_quantities, term_change

TOO_LARGE = 1.0
"""‖ΔW‖/‖W‖ from which on an update is a blow-up: the weights after it are mostly that one sample."""
BEFORE = 4
"""Samples shown that led there."""


@dataclass(frozen=True)
class Norms:
    """Frobenius norms in one layer at one sample: of W, of its whole update, and of each θ_r F^r."""

    sample: int
    layer: int
    weights: float
    update: float
    terms: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return self.update / self.weights if self.weights > 0 else float("inf")


@dataclass(frozen=True)
class StreamReport:
    """What one stream did. `blew_up` is None when no update was ever as large as its weights."""

    samples: int
    blew_up: Norms | None
    led_there: tuple[Norms, ...]
    """The same layer at the samples before, oldest first; without a blow-up, around the largest update."""
    largest: Norms


def inspect_stream(
    rule: CompiledRule,
    theta: Tensor,
    W: Sequence[Tensor],
    B: Sequence[Tensor],
    x: Tensor,
    y: Tensor,
    feedback: str,
    beta: float,
) -> StreamReport:
    """Walk one episode sample by sample, and measure every update on the way.

    Args: theta (R,), W[l] (n_{l+1}, n_l), B[l] (n_l, n_{l+1}), x (T, n_0), y (T,), of one run.

    Raises:
        ValueError: the stream holds no sample.
    """
    if not x.shape[0]:
        raise ValueError("a stream without samples changes nothing")
    history, ratios = _walk(rule, theta, W, B, x, y, feedback, beta)
    flat = [(t, layer) for t, row in enumerate(ratios) for layer, r in enumerate(row, start=1) if not r < TOO_LARGE]
    sizes = [(r, t, layer) for t, row in enumerate(ratios) for layer, r in enumerate(row, start=1) if not isnan(r)]
    _, peak, peak_layer = max(sizes, default=(0.0, 0, 1))

    def norms(sample: int, layer: int) -> Norms:
        values = probe_values(
            history[sample], [b[None] for b in B], feedback, beta, x[None, sample, None], y[None, sample, None]
        )
        matrix = history[sample][layer - 1]
        quantities = layer_quantities(values, layer, 0)
        changes = [
            theta[r] * term_change(rule.program, r, quantities, matrix)
            if rule.program.acts_in(r, layer) and float(theta[r])
            else torch.zeros_like(matrix)
            for r in range(len(rule.names))
        ]
        whole = torch.stack(changes).sum(0)
        return Norms(sample, layer, _norm(matrix), _norm(whole), tuple(map(_norm, changes)))

    at, layer = flat[0] if flat else (peak, peak_layer)
    if flat:  # the worst layer of that sample: the one whose update is largest beside its weights
        layer = max(range(1, len(W) + 1), key=lambda n: _order(ratios[at][n - 1]))
    led = tuple(norms(t, layer) for t in range(max(0, at - BEFORE), at))
    return StreamReport(x.shape[0], norms(at, layer) if flat else None, led, norms(peak, peak_layer))


def _walk(
    rule: CompiledRule,
    theta: Tensor,
    W: Sequence[Tensor],
    B: Sequence[Tensor],
    x: Tensor,
    y: Tensor,
    feedback: str,
    beta: float,
) -> tuple[list[list[Tensor]], list[list[float]]]:
    """Weights before each of the last samples walked, and ‖ΔW‖/‖W‖ of every layer; ends at what is not finite."""
    programs = programs_for(rule.program, len(W), feedback, beta)
    targets = torch.nn.functional.one_hot(y, W[-1].shape[0]).to(x.dtype)[None]
    stream = Stream([w[None] for w in W], [b[None] for b in B], x[None], targets)
    runner = EagerProgram(programs.step, stream.sizes)
    weights, history, ratios = stream.weights, [], []
    for time in range(stream.length):
        history.append(weights)
        values = runner.run(stream.inputs(time, weights), theta[None])
        moved = [apply_update(u, values, w) for u, w in zip(programs.step.updates, weights, strict=True)]
        ratios.append([float((b - a).norm() / a.norm()) for a, b in zip(weights, moved, strict=True)])
        weights = moved
        if not all(r < float("inf") for r in ratios[-1]):
            break
    return history, ratios


def _norm(matrix: Tensor) -> float:
    return float(matrix.double().norm())


def _order(ratio: float) -> float:
    return float("inf") if isnan(ratio) else ratio
