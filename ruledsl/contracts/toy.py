"""The toy problem that plugins are tried on: three noisy clusters, a small network, float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruledsl.backend import CompiledRule, compile_rule
from ruledsl.engines import MetaGradient, meta_gradient
from ruledsl.errors import UserError
from ruledsl.measures import AdaptedView
from ruledsl.meta import starting_theta
from ruledsl.network import endings_of, programs_of, variants_of
from ruledsl.registry import Registered
from ruledsl.rules import load
from ruledsl.settings import TrainSettings
from ruledsl.tasks import Episode, ImageSource, draw_episodes

SETTINGS = TrainSettings.of(
    sizes=(16, 10, 8, 3),
    labels=3,
    shots=8,
    queries=8,
    meta_batch=1,
    dtype="float64",
    threads=1,
    learning_rate=2e-3,
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


def hold(holds: bool, found: str) -> None:
    if not holds:
        raise Broken(found)


def guarded(what: str, check: Callable[[Registered], None], plugin: Registered) -> Check:
    """A clause with whatever goes wrong in the plugin turned into a finding."""
    try:
        check(plugin)
    except (Broken, UserError, ValueError) as problem:
        return Check(what, False, str(problem))
    except Exception as error:  # a user's code may raise anything
        return Check(what, False, f"{type(error).__name__}: {error}")
    return Check(what, True)


def toy_source(with_targets: bool = False) -> ImageSource:
    """Three clusters of 60 points in 16 dimensions;
    with targets, a smooth function of each point in their place."""
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
            return SETTINGS.put(feedback=name)
        case "activation":
            return SETTINGS.put(activation=name, beta=2.0)
        case "task":
            return SETTINGS.put(tasks=name)
        case "objective":
            return variants_of(SETTINGS.put(objective=((name, 1.0),)))[0]
        case "diagnostic":
            return SETTINGS.put(diagnostics=(name,))
        case _:
            return SETTINGS


def toy_rule(name: str = "bio") -> CompiledRule:
    return compile_rule(load(name))


def batch_of(settings: TrainSettings, seeds: range, rule: CompiledRule) -> Episode:
    """One stream for each seed."""
    source = toy_source(settings.network.output == "linear")
    needs = programs_of(rule.program, settings).needs(settings.sizes)
    return draw_episodes(needs, settings, source, [(seed, 0, 0) for seed in seeds])


def theta_of(rule: CompiledRule, settings: TrainSettings, count: int, rate: float = RATE) -> Tensor:
    """(N, R): θ_0 = rate, all else where it starts, with a little of every other term."""
    # Squared errors are not bounded as those of a softmax are: they ask for smaller steps.
    gentle = 0.1 if settings.network.output == "linear" else 1.0
    theta = torch.tensor([*starting_theta(rule.program, settings).values()], dtype=torch.float64)
    theta = theta + 1e-3 * gentle
    theta[0] = rate * gentle
    return theta.expand(count, -1)


def adapted(
    rule: CompiledRule, settings: TrainSettings, batch: Episode, theta: Tensor, engine: str = "auto"
) -> MetaGradient:
    """An episode of the toy problem."""
    network = programs_of(rule.program, settings).network
    return meta_gradient(
        rule, theta, batch, network, engine=engine, backend="eager", objectives=endings_of(settings)
    )


def require_exact_gradient(rule: CompiledRule, settings: TrainSettings) -> None:
    """The meta-gradient must be that of central differences, coefficient by coefficient.

    Where a function has kinks a stream may cross one within a step; a smaller one then decides.
    """
    batch = batch_of(settings, range(1), rule)
    theta = theta_of(rule, settings, 1).clone()
    found = adapted(rule, settings, batch, theta).grad[0]
    hold(bool(found.isfinite().all()), "its meta-gradient is not finite")
    for r in range(theta.shape[1]):
        slopes = [_slope(rule, settings, batch, theta, r, step) for step in (1e-6, 1e-8)]
        scale = max(abs(slopes[0]), float(found.abs().max()), 1e-6)
        nearest = min(slopes, key=lambda s, own=float(found[r]): abs(s - own))
        wrong = abs(nearest - float(found[r])) > 1e-4 * scale
        hold(not wrong, f"θ_{r}: {float(found[r]):.6g}, by differences {nearest:.6g}")


def _slope(
    rule: CompiledRule, settings: TrainSettings, batch: Episode, theta: Tensor, term: int, step: float
) -> float:
    change = torch.zeros_like(theta)
    change[0, term] = step
    ahead, behind = (adapted(rule, settings, batch, theta + sign * change, "none").loss for sign in (1, -1))
    return float((ahead - behind) / (2 * step))


def part_of(batch: Episode, row: int) -> Episode:
    """One stream of a batch alone."""
    return batch.rows(slice(row, row + 1))


def view_of(rule: CompiledRule, settings: TrainSettings, batch: Episode, result: MetaGradient) -> AdaptedView:
    """What objectives and diagnostics see after an episode."""
    named = {**batch.feedback, **result.carried}
    return AdaptedView(programs_of(rule.program, settings), named, *batch.queries, batch.keys)
