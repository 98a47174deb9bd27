"""Contracts of what moves Θ, and of functions of the rule language."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ruledsl.backend import compile_rule
from ruledsl.contracts.toy import SETTINGS, hold, require_exact_gradient
from ruledsl.meta import Again, Coefficients, Optimiser, concluded
from ruledsl.registry import Registered
from ruledsl.rules import rule

GOAL = torch.tensor([0.03, -0.02, 0.01], dtype=torch.float64)
STEPS, RATE = 100, 2e-3


def toy_terms() -> Coefficients:
    """Three coefficients, the third of which is a rival five times as strong as F⁰."""
    free = torch.full((3,), math.inf, dtype=torch.float64)
    return Coefficients(
        torch.zeros(3, dtype=torch.float64),
        torch.ones(3, dtype=torch.bool),
        -free,
        free,
        torch.tensor([1.0, 0.5, 5.0], dtype=torch.float64),
        torch.tensor([1.0, 0.5, 1.0], dtype=torch.float64),
        worst_loss=8.0,
    )


def made(plugin: Registered, seed: int = 0) -> Optimiser:
    return plugin.item(toy_terms(), RATE, 0.0, STEPS, seed)


def meta_step(optimiser: Optimiser, step: int, tasks: int = 2) -> bool:
    """A bowl around `GOAL`, seen through noise that is the same for every candidate, as tasks are."""
    asked = optimiser.ask()
    noise = torch.Generator().manual_seed(step)
    shift = 2e-3 * torch.randn(tasks, 3, generator=noise, dtype=torch.float64)
    curvature = 500.0 * toy_terms().scales.square()

    def lived(theta: Tensor) -> tuple[Tensor, Tensor]:
        away = theta.unsqueeze(1) - GOAL - shift
        return 0.5 * (curvature * away.square()).sum(-1), curvature * away

    losses, gradients = lived(asked)
    told = optimiser.tell(losses, gradients if optimiser.needs_gradient else None)

    def answer(again: Again) -> tuple[Tensor, Tensor]:
        losses, gradients = lived(again.theta)
        return losses, gradients * again.with_gradients

    return concluded(told, answer)


def asks_for_candidates(plugin: Registered) -> None:
    optimiser = made(plugin)
    first = optimiser.ask()
    hold(first.dim() == 2 and first.shape[1] == 3, f"`ask` gives {tuple(first.shape)}, expected (P, 3)")
    hold(
        first.dtype == torch.float64 and bool(first.isfinite().all()),
        "candidates must be finite float64 numbers",
    )
    hold(isinstance(meta_step(optimiser, 0), bool), "`tell` says whether Θ could use it: True or False")
    hold(optimiser.ask().shape == first.shape, "the number of candidates changes")


def is_reproducible(plugin: Registered) -> None:
    first, second = (_after(made(plugin), 20) for _ in range(2))
    hold(torch.equal(first, second), "two equal searches differ: draw from the seed alone")


def is_restored(plugin: Registered) -> None:
    """Interrupted, written as JSON and read back, it goes on bit for bit."""
    whole = made(plugin)
    for step in range(12):
        meta_step(whole, step)
    document = json.dumps(whole.state(), allow_nan=False)
    again = made(plugin)
    again.restore(json.loads(document))
    for step in range(12, 20):
        meta_step(whole, step)
        meta_step(again, step)
    hold(
        torch.equal(whole.theta, again.theta), "a restored search does not go on as the one it was saved from"
    )


def survives_divergence(plugin: Registered) -> None:
    optimiser = made(plugin)
    for step in range(15):
        meta_step(optimiser, step)
    asked = optimiser.ask()
    broken = torch.full((asked.shape[0], 2), math.nan, dtype=torch.float64)
    gradients = broken.unsqueeze(-1).expand(-1, -1, 3) if optimiser.needs_gradient else None
    told = optimiser.tell(broken, gradients)

    def answer(again: Again) -> tuple[Tensor, Tensor]:
        losses = broken[:1].expand(len(again.theta), -1)
        return losses, losses.unsqueeze(-1).expand(-1, -1, 3)

    moved = concluded(told, answer)
    hold(moved is False, "`tell` of losses that are not finite must be False")
    hold(bool(optimiser.theta.isfinite().all()), "Θ is not finite after an episode that was not")


def finds_the_goal(plugin: Registered) -> None:
    start = float((toy_terms().scales * GOAL).norm())
    left = float((toy_terms().scales * (_after(made(plugin), STEPS) - GOAL)).norm())
    hold(left < 0.25 * start, f"{left:.3g} from the goal after {STEPS} steps, {start:.3g} at the start")


def _after(optimiser: Optimiser, steps: int) -> Tensor:
    for step in range(steps):
        meta_step(optimiser, step)
    return optimiser.theta


# functions ---------------------------------------------------------------------


def is_entry_by_entry(plugin: Registered) -> None:
    """It can be called on vectors and matrices, and gives the shape it was given."""
    for argument, whole in (("W", "{}"), ("y_post", "{} * y_pre^T"), ("e_pre", "y_post * {}^T")):
        text = f"term a = {whole.format(f'{plugin.name}({argument})')}\nrule r = a\n"
        rule(text)


def changes_its_argument(plugin: Registered) -> None:
    call, plain = (rule(f"term a = {text}\nrule r = a\n").forms[0] for text in (f"{plugin.name}(W)", "W"))
    hold(call != plain, "it gives its argument back unchanged")
    hold("W" in call.reads, "it does not depend on its argument")


def differentiates(plugin: Registered) -> None:
    text = f"term a = -{plugin.name}(0.5 * e_post) * y_pre^T\nterm b = -e_post * y_pre^T\nrule both = b + a\n"
    require_exact_gradient(compile_rule(rule(text)), SETTINGS)


Clause = Callable[[Registered], None]
SEARCH: Mapping[str, Clause] = {
    "it asks for candidates": asks_for_candidates,
    "the same seed gives the same search": is_reproducible,
    "saved and restored, it goes on bit for bit": is_restored,
    "an episode that is not finite does no harm": survives_divergence,
    "it finds the goal": finds_the_goal,
}
CONTRACTS: dict[str, Mapping[str, Clause]] = {
    "optimiser": SEARCH,
    "recipe": SEARCH,
    "function": {
        "it works entry by entry": is_entry_by_entry,
        "it changes its argument": changes_its_argument,
        "its meta-gradient is that of finite differences": differentiates,
    },
}
