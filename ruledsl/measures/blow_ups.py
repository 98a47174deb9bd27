"""Where a stream of samples goes wrong: the first update that is as large as the weights it changes."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

import torch
from torch import Tensor

from ruledsl.backend import CompiledRule, EagerProgram
from ruledsl.engines import moved
from ruledsl.ir import Kind, Slot
from ruledsl.measures.probe import probe_values
from ruledsl.measures.terms import layer_quantities, signs_of, term_change
from ruledsl.network import State, StepPrograms, Stream, prepare, weights_of
from ruledsl.settings import Network
from ruledsl.tasks import Episode

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


def inspect_stream(rule: CompiledRule, theta: Tensor, episode: Episode, network: Network) -> StreamReport:
    """Walk one episode sample by sample, and measure every update on the way.

    Args: as for `adapt`, for one run and without batch axes.

    Raises:
        ValueError: the stream holds no sample.
    """
    x, depth = episode.x, len(episode.W)
    if not x.shape[0]:
        raise ValueError("a stream without samples changes nothing")
    prepared = prepare(rule, theta, network, episode)
    programs, stream = prepared.programs, prepared.stream
    history, ratios = _walk(programs, stream, prepared.theta)
    flat = [
        (t, layer)
        for t, row in enumerate(ratios)
        for layer, r in enumerate(row, start=1)
        if not r < TOO_LARGE
    ]
    sizes = [
        (r, t, layer) for t, row in enumerate(ratios) for layer, r in enumerate(row, start=1) if not isnan(r)
    ]
    _, peak, peak_layer = max(sizes, default=(0.0, 0, 1))

    def norms(sample: int, layer: int) -> Norms:
        named = stream.constants | history[sample]
        seen = stream.part(slice(sample, sample + 1))
        values = probe_values(programs, named, prepared.theta, seen[Kind.input], seen[Kind.target])
        matrix = named[Slot(Kind.weights, layer - 1)]
        quantities = layer_quantities(values, layer, 0, network) | signs_of(named, layer)
        changes = [
            theta[r] * term_change(rule.program, r, quantities, matrix)
            if rule.program.acts_in(r, layer) and rule.program.forms[r] is not None and float(theta[r])
            else torch.zeros_like(matrix)
            for r in range(len(rule.names))
        ]
        whole = torch.stack(changes).sum(0)
        return Norms(sample, layer, _norm(matrix), _norm(whole), tuple(map(_norm, changes)))

    at, layer = flat[0] if flat else (peak, peak_layer)
    if flat:  # the worst layer of that sample: the one whose update is largest beside its weights
        layer = max(range(1, depth + 1), key=lambda n: _order(ratios[at][n - 1]))
    led = tuple(norms(t, layer) for t in range(max(0, at - BEFORE), at))
    return StreamReport(x.shape[0], norms(at, layer) if flat else None, led, norms(peak, peak_layer))


def _walk(programs: StepPrograms, stream: Stream, theta: Tensor) -> tuple[list[State], list[list[float]]]:
    """The state before each of the samples walked, and ‖ΔW‖/‖W‖ of every layer;
    ends at what is not finite."""
    runner = EagerProgram(programs.step, stream.sizes)
    state, history, ratios = dict(stream.state), [], []
    for time in range(stream.length):
        history.append(state)
        values = runner.run(stream.inputs(time, state), theta)
        after = moved(programs.step.updates, values, state)
        pairs = zip(weights_of(state), weights_of(after), strict=True)
        ratios.append([float((b - a).norm() / a.norm()) for a, b in pairs])
        state = after
        if not all(r < float("inf") for r in ratios[-1]):
            break
    return history, ratios


def _norm(matrix: Tensor) -> float:
    return float(matrix.double().norm())


def _order(ratio: float) -> float:
    return float("inf") if isnan(ratio) else ratio
