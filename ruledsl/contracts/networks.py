"""Contracts of whatever takes part in an episode: feedback, activations, tasks, objectives, diagnostics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ruledsl.backend import CompiledRule, compile_rule
from ruledsl.contracts.toy import (
    SETTINGS,
    Broken,
    adapted,
    batch_of,
    hold,
    part_of,
    require_exact_gradient,
    theta_of,
    toy_rule,
    toy_settings,
    toy_source,
    view_of,
)
from ruledsl.meta import MetaTrainer
from ruledsl.network import programs_of
from ruledsl.registry import Registered
from ruledsl.rules import rule as rule_of
from ruledsl.settings import RunSpec, TrainSettings
from ruledsl.tasks import Task, draw_task

Clause = Callable[[Registered], None]


def settings_for(plugin: Registered) -> TrainSettings:
    """Toy settings that a plugin can work in: regressions are given a linear output."""
    settings = toy_settings(plugin)
    if plugin.kind != "task":
        return settings
    try:
        draw_task(toy_source(False), settings, 0, 0, 0)
    except Exception:  # the clause on shapes will say what is wrong, if this does not help
        return settings.put(output="linear")
    return settings


def rule_for(plugin: Registered) -> CompiledRule:
    """Gradients alone for tasks, whose errors may be large;
    three terms of the paper's for everything else."""
    return toy_rule("pseudo_gradient" if plugin.kind == "task" else "bio")


def builds(plugin: Registered) -> None:
    """A step with the plugin in it, and its adjoint, pass the compiler's own checks."""
    rule = rule_for(plugin)
    programs = programs_of(rule.program, settings_for(plugin))
    hold(bool(programs.adjoint.backward.outputs), "no coefficient has any effect")


def is_deterministic(plugin: Registered) -> None:
    rule, settings = rule_for(plugin), settings_for(plugin)
    batch = batch_of(settings, range(2), rule)
    theta = theta_of(rule, settings, 2)
    first, second = (adapted(rule, settings, batch, theta) for _ in range(2))
    hold(
        torch.equal(first.loss, second.loss) and torch.equal(first.grad, second.grad),
        "two equal calls differ",
    )


def keeps_batches(plugin: Registered) -> None:
    rule, settings = rule_for(plugin), settings_for(plugin)
    batch = batch_of(settings, range(3), rule)
    together = adapted(rule, settings, batch, theta_of(rule, settings, 3))
    alone = adapted(rule, settings, part_of(batch, 1), theta_of(rule, settings, 1))
    for what, a, b in (
        ("loss", together.loss[1], alone.loss[0]),
        ("gradient", together.grad[1], alone.grad[0]),
    ):
        hold(torch.allclose(a, b, rtol=1e-9, atol=1e-12), f"the {what} of a run depends on its neighbours")


def has_exact_gradient(plugin: Registered) -> None:
    require_exact_gradient(toy_rule(), settings_for(plugin))


def reaches_every_layer(plugin: Registered) -> None:
    rule, settings = toy_rule("pseudo_gradient"), settings_for(plugin)
    batch = batch_of(settings, range(2), rule)
    result = adapted(rule, settings, batch, theta_of(rule, settings, 2))
    for layer, (before, after) in enumerate(zip(batch.W, result.weights, strict=True), start=1):
        hold(bool((before != after).flatten(1).any(1).all()), f"nothing is learned into layer {layer}")


RATES = (5e-3, 2e-2, 5e-2, 5e-1)
WAITING = (
    "term waiting = -third * e_post * (trace(y_pre, 2) - mean(trace(y_pre, 2)) * 1_pre)^T\nrule r = waiting"
)
"""For a task that tells by `third` when to learn, perhaps of what was seen before."""


def learns(plugin: Registered) -> None:
    """One stream of learning must beat no learning, in the mean of eight networks."""
    settings = settings_for(plugin)
    naive, best = _losses(toy_rule("pseudo_gradient"), settings)
    if plugin.kind == "task" and drawn_for(plugin, settings, 0, 0).third is not None:
        best = min(best, _losses(compile_rule(rule_of(WAITING)), settings.put(third="task"))[1])
    hold(best < 0.9 * naive, f"query loss {naive:.4g} before and {best:.4g} after learning")


def _losses(rule: CompiledRule, settings: TrainSettings) -> tuple[float, float]:
    """Before learning, and at the best of the rates."""
    batch = batch_of(settings, range(8), rule)
    naive, *tried = (
        float(adapted(rule, settings, batch, theta_of(rule, settings, 8, rate), "none").loss.mean())
        for rate in (0.0, *RATES)
    )
    return naive, min((loss for loss in tried if math.isfinite(loss)), default=math.inf)


def drawn_for(plugin: Registered, settings: TrainSettings, seed: int, episode: int) -> Task:
    source = toy_source(settings.network.output == "linear")
    return draw_task(source, settings.put(tasks=plugin.name), seed, episode, 0)


def answers_vary(plugin: Registered) -> None:
    """In some of four tasks at least: one task by itself may show a single class."""
    settings = settings_for(plugin)
    drawn = [drawn_for(plugin, settings, seed, 0) for seed in range(4)]
    for name in ("x", "y", "y_query"):
        each = [getattr(task, name) for task in drawn]
        hold(any(bool((v != v[0]).any()) for v in each), f"{name} is the same for every sample")
        hold(all(bool(torch.isfinite(v).all()) for v in each), f"{name} holds numbers that are not finite")


def is_drawn_from_its_request(plugin: Registered) -> None:
    settings = settings_for(plugin)

    def draw(seed: int) -> Tensor:
        np.random.seed(seed + 1)  # what a task must not depend on
        return drawn_for(plugin, settings, seed, 3).x

    hold(torch.equal(draw(0), draw(0)), "the same request gives two tasks: draw from request.random alone")
    hold(not torch.equal(draw(0), draw(1)), "another seed gives the same task")


def can_be_lowered(plugin: Registered) -> None:
    """A short meta-training on this objective alone must make it smaller."""
    settings = settings_for(plugin).put(episodes=20, learning_rate=3e-3, engine="auto", backend="eager")
    trainer = MetaTrainer(
        toy_rule("bio"),
        settings,
        [RunSpec(n, n) for n in range(4)],
        toy_source(settings.network.output == "linear"),
    )
    first = [r.meta_loss for r in trainer.step(0)]
    before = [s.recipe.theta.clone() for s in trainer.states]
    for episode in range(1, 20):
        trainer.step(episode)
    hold(
        any(not torch.equal(s.recipe.theta, b) for s, b in zip(trainer.states, before, strict=True)),
        "Θ never moves",
    )
    last = [r.meta_loss for r in trainer.step(0)]  # the tasks of the first episode again
    change = np.mean(last) - np.mean(first)
    hold(
        bool(change < 0), f"objective {np.mean(first):.4g} before and {np.mean(last):.4g} after 20 meta-steps"
    )


def measures_each_run(plugin: Registered) -> None:
    rule, settings = toy_rule(), SETTINGS
    batch = batch_of(settings, range(3), rule)
    result = adapted(rule, settings, batch, theta_of(rule, settings, 3))
    value = plugin.item(view_of(rule, settings, batch, result))
    if not isinstance(value, Tensor) or tuple(value.shape) != (3,):
        raise Broken("a diagnostic gives one number for each run, a tensor of shape (N,)")
    hold(bool(value.isfinite().all()), f"not finite: {value.tolist()}")
    alone = adapted(rule, settings, part_of(batch, 1), theta_of(rule, settings, 1))
    own = plugin.item(view_of(rule, settings, part_of(batch, 1), alone))
    hold(torch.allclose(value[1], own[0], rtol=1e-9, atol=1e-12), "a run's value depends on its neighbours")
    hold(bool((value != value[0]).any()), f"the same number, {float(value[0]):.4g}, for different networks")


EPISODE: Mapping[str, Clause] = {
    "a step with it compiles": builds,
    "the same call gives the same numbers": is_deterministic,
    "a run in a batch gives what it gives alone": keeps_batches,
}
CONTRACTS: dict[str, Mapping[str, Clause]] = {
    "feedback": {
        **EPISODE,
        "its meta-gradient is that of finite differences": has_exact_gradient,
        "errors reach every layer": reaches_every_layer,
        "networks learn with it": learns,
    },
    "activation": {
        **EPISODE,
        "its meta-gradient is that of finite differences": has_exact_gradient,
        "errors reach every layer": reaches_every_layer,
        "networks learn with it": learns,
    },
    "task": {
        "it depends on its request alone": is_drawn_from_its_request,
        "questions and answers vary": answers_vary,
        **EPISODE,
        "networks learn it": learns,
    },
    "objective": {
        **EPISODE,
        "its meta-gradient is that of finite differences": has_exact_gradient,
        "meta-learning lowers it": can_be_lowered,
    },
    "diagnostic": {"it measures each run by itself": measures_each_run},
}
