"""The toy problem that plugins are tried on: three noisy clusters, a small network, float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruledsl.backend import CompiledRule
from ruledsl.ir.kinds import Locality
from ruledsl.meta.draws import Batch, draw_batch
from ruledsl.network import AdaptedView, Engine, MetaGradient, endings_of, meta_gradient, programs_of, variants_of
from ruledsl.pipeline import Rule, compile_rule, load
from ruledsl.registry import PluginError, Registered
from ruledsl.settings import TrainSettings
from ruledsl.tasks import DataError, ImageSource

SETTINGS = TrainSettings(
    sizes=(16, 10, 8, 3), labels=3, shots=8, queries=8, meta_batch=1, dtype="float64", threads=1, learning_rate=2e-3
)
RATE = 2e-2
"""θ_0 at which gradients of any kind learn the toy problem in one stream."""


@dataclass(frozen=True)
class Check:
    """One clause of a contract: what was looked at, whether it holds, and what was found if not."""

    what: str
    passed: bool
    found: str = ""


class Broken(Exception):
    """A clause that does not hold; the message says what was found."""


def require(holds: bool, found: str) -> None:
    if not holds:
        raise Broken(found)


def guarded(what: str, check: Callable[[Registered], None], plugin: Registered) -> Check:
    """A clause with whatever goes wrong in the plugin turned into a finding."""
    try:
        check(plugin)
    except (Broken, PluginError, DataError, ValueError) as problem:
        return Check(what, False, str(problem))
    except Exception as error:  # a user's code may raise anything
        return Check(what, False, f"{type(error).__name__}: {error}")
    return Check(what, True)


def toy_source(with_targets: bool = False) -> ImageSource:
    """Three clusters of 60 points in 16 dimensions; with targets, a smooth function of each point in their place."""
    random = np.random.default_rng(7)
    labels = np.repeat(np.arange(3, dtype=np.int64), 60)
    centres = random.random((3, 16)) * 2.0
    points = (centres[labels] + 0.3 * random.standard_normal((180, 16))).astype(np.float32)

    def read(places: NDArray[np.int64]) -> NDArray[np.float32]:
        return points[places]

    if not with_targets:
        return ImageSource("toy", 0, labels, read)
    targets = np.tanh(points @ random.standard_normal((16, 3)).astype(np.float32) / 4.0)
    return ImageSource("toy", 0, np.zeros_like(labels), read, targets)


def toy_settings(plugin: Registered) -> TrainSettings:
    """The toy settings with the plugin in its place."""
    name = plugin.name
    match plugin.kind:
        case "feedback":
            return replace(SETTINGS, feedback=name)
        case "activation":
            return replace(SETTINGS, activation=name, beta=2.0)
        case "task":
            return replace(SETTINGS, tasks=name)
        case "objective":
            return variants_of(replace(SETTINGS, objective=((name, 1.0),)))[0]
        case "diagnostic":
            return replace(SETTINGS, diagnostics=(name,))
        case _:
            return SETTINGS


def rule_of(text: str) -> Rule:
    """A rule from the text of a file of its own."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tried.rule"
        path.write_text(text, encoding="utf-8")
        return load(path, allow=Locality.layer)


def toy_rule(name: str = "bio") -> CompiledRule:
    return compile_rule(load(name))


def batch_of(settings: TrainSettings, seeds: range, rule: CompiledRule) -> Batch:
    """One stream for each seed."""
    source = toy_source(settings.output == "linear")
    return draw_batch(programs_of(rule.program, settings), settings, source, [(seed, 0, 0) for seed in seeds])


def theta_of(rule: CompiledRule, settings: TrainSettings, count: int, rate: float = RATE) -> Tensor:
    """(N, R): θ_0 = rate, all else where it starts, with a little of every other term."""
    added = programs_of(rule.program, settings).pathway_coefficients
    # Squared errors are not bounded as those of a softmax are: they ask for smaller steps.
    gentle = 0.1 if settings.output == "linear" else 1.0
    theta = torch.tensor([*rule.program.initial, *(c.start for c in added)], dtype=torch.float64)
    theta = theta + 1e-3 * gentle
    theta[0] = rate * gentle
    return theta.expand(count, -1)


def adapted(
    rule: CompiledRule, settings: TrainSettings, batch: Batch, theta: Tensor, engine: Engine = "auto"
) -> MetaGradient:
    """An episode of the toy problem."""
    return meta_gradient(
        rule, theta, batch.weights, batch.feedback, batch.x, batch.y, batch.x_query, batch.y_query,
        engine=engine, backend="eager", network=programs_of(rule.program, settings).network,
        signals=batch.signals, objectives=endings_of(settings), keys=batch.keys,
    )  # fmt: skip


def require_exact_gradient(rule: CompiledRule, settings: TrainSettings) -> None:
    """The meta-gradient must be that of central differences, coefficient by coefficient.

    Where a function has kinks a stream may cross one within a step; a smaller one then decides.
    """
    batch = batch_of(settings, range(1), rule)
    theta = theta_of(rule, settings, 1).clone()
    found = adapted(rule, settings, batch, theta).grad[0]
    require(bool(found.isfinite().all()), "its meta-gradient is not finite")
    for r in range(theta.shape[1]):
        slopes = [_slope(rule, settings, batch, theta, r, step) for step in (1e-6, 1e-8)]
        scale = max(abs(slopes[0]), float(found.abs().max()), 1e-6)
        nearest = min(slopes, key=lambda s, own=float(found[r]): abs(s - own))
        wrong = abs(nearest - float(found[r])) > 1e-4 * scale
        require(not wrong, f"θ_{r}: {float(found[r]):.6g}, by differences {nearest:.6g}")


def _slope(rule: CompiledRule, settings: TrainSettings, batch: Batch, theta: Tensor, term: int, step: float) -> float:
    change = torch.zeros_like(theta)
    change[0, term] = step
    ahead, behind = (adapted(rule, settings, batch, theta + sign * change, "none").loss for sign in (1, -1))
    return float((ahead - behind) / (2 * step))


def part_of(batch: Batch, row: int) -> Batch:
    """One stream of a batch alone."""
    own = slice(row, row + 1)

    def named(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: value[own] for name, value in values.items()}

    return Batch(
        [w[own] for w in batch.weights],
        named(batch.feedback),
        batch.x[own],
        batch.y[own],
        batch.x_query[own],
        batch.y_query[own],
        named(batch.signals),
        batch.keys[own],
    )


def view_of(rule: CompiledRule, settings: TrainSettings, batch: Batch, result: MetaGradient) -> AdaptedView:
    """What objectives and diagnostics see after an episode."""
    named = {**batch.feedback, **result.carried}
    return AdaptedView(programs_of(rule.program, settings), named, batch.x_query, batch.y_query, batch.keys)
