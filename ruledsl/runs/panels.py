"""The panels of a training, as in the paper's figures: accuracy, loss, angles, Θ.
A further panel is a function here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ruledsl.figures import SMOOTHED, Colour, Curve, Guide, Panel, clear_of_zero
from ruledsl.runs.config import RunConfig
from ruledsl.runs.metrics import Metrics
from ruledsl.runs.summary import grouped, late_episodes, recorded_groups
from ruledsl.settings import ACCURACY, LOSS
from ruledsl.statistics import Interval, finite_mean
from ruledsl.wording import counted

EPISODES = "meta-training episode"
Groups = Mapping[str, Sequence[int]]


def training_panels(
    config: RunConfig, metrics: Metrics, every_group: bool = False
) -> tuple[str, list[Panel]]:
    """The title and the panels of a training; angles and Θ are those of its first group, or of every one."""
    groups = recorded_groups(config, metrics)
    chosen = groups if every_group else dict([next(iter(groups.items()))])
    panels = [accuracy_panel(config, metrics, groups), loss_panel(config, metrics, groups)]
    panels += [
        p
        for label, runs in chosen.items()
        for panel in PER_GROUP
        for p in panel(config, metrics, {label: runs})
    ]
    runs = counted(len(metrics.runs), "run")
    title = f"{config.rule} on {config.dataset}, feedback {config.settings.network.feedback}, {runs}"
    return title, panels


def curve_of(
    metrics: Metrics, runs: Sequence[int], column: str, label: str, colour: Colour, smooth: bool = True
) -> Curve:
    """A column's mean over runs, of the moving average where it is noisy."""
    return Curve.of(label, [metrics.column(run, column) for run in runs], colour, smooth=smooth)


def end_accuracy(metrics: Metrics, runs: Sequence[int]) -> Interval:
    """Accuracy of the last episodes, over runs."""
    late = late_episodes(metrics.episodes)
    return Interval.of([finite_mean(metrics.column(run, ACCURACY)[-late:]) for run in runs])


def accuracy_panel(config: RunConfig, metrics: Metrics, groups: Groups) -> Panel:
    """Query accuracy of every group, above what guessing among the task's labels gives."""
    curves = _by_group(metrics, groups, ACCURACY)
    said = "; ".join(f"{label}: {end_accuracy(metrics, runs).text('.3f')}" for label, runs in groups.items())
    classes = config.settings.network.output == "softmax"
    return Panel(
        "Accuracy on the query set", EPISODES,
        f"query accuracy (fraction), {SMOOTHED}" if classes else "explained variance",
        curves, limits=(0.0, 1.0), guides=(Guide(1 / config.settings.task.labels, "chance in the task"),),
        summary=f"Accuracy at the end, mean over the last "
        f"{counted(late_episodes(metrics.episodes), 'episode')} and "
            f"seeds: {said}.",
    )  # fmt: skip


def loss_panel(config: RunConfig, metrics: Metrics, groups: Groups) -> Panel:
    """Query loss with the penalty; the axis ends above a naive network's,
    since one lost stream would flatten all."""
    first = [v for v in (c[LOSS][0] for c in metrics.runs.values()) if math.isfinite(v)]
    unit = "nats" if config.settings.network.output == "softmax" else "squared units"
    return Panel(
        "Meta-loss", EPISODES, f"meta-loss ({unit}), {SMOOTHED}", _by_group(metrics, groups, LOSS),
        limits=(0.0, 1.25 * max(first, default=1.0)),
        summary="Loss on the query set, penalty included; streams that diverged lie beyond the axis.",
    )  # fmt: skip


def _by_group(metrics: Metrics, groups: Groups, column: str) -> tuple[Curve, ...]:
    return tuple(
        curve_of(metrics, runs, column, label, Colour("rule", n))
        for n, (label, runs) in enumerate(groups.items())
    )


def angle_panels(config: RunConfig, metrics: Metrics, groups: Groups) -> list[Panel]:
    """Alignment angles of each group; that of the output layer is 0 by construction."""
    depth, several, panels = config.settings.depth, len(grouped(config.runs)) > 1, []
    for label, runs in groups.items():
        curves = [
            Curve.of(
                f"α{_subscript(n)}",
                [metrics.alpha(r, n) for r in runs],
                Colour("layer", n, depth),
                smooth=True,
            )
            for n in range(depth)
        ]
        ends = ", ".join(f"α{n} {c.end:.0f}°" for n, c in enumerate(curves))
        panels.append(Panel(
            f"Alignment angles{f', {label}' if several else ''}", EPISODES,
            f"angle of e by B to e by Wᵀ (degrees), {SMOOTHED}", tuple(curves), limits=(0.0, 120.0),
            guides=(Guide(90.0, "90°: unrelated"),), group=label if several else "",
            summary=f"Angle between the errors that B and Wᵀ carry; at the end {ends}.",
        ))  # fmt: skip
    return panels


def _subscript(number: int) -> str:
    return "".join("₀₁₂₃₄₅₆₇₈₉"[int(digit)] for digit in str(number))


def theta_panels(config: RunConfig, metrics: Metrics, groups: Groups) -> list[Panel]:
    """Coefficients of each group; see `clear_of_zero` for their bands."""
    several, panels = len(grouped(config.runs)) > 1, []
    specs = {r.run: r for r in config.runs}
    for label, runs in groups.items():
        terms = [(n, t) for n, t in enumerate(metrics.terms) if specs[runs[0]].takes_part(t)]
        curves = [Curve.of(t, [metrics.theta(r, t) for r in runs], Colour("term", n)) for n, t in terms]
        panels.append(Panel(
            f"Coefficients Θ{f', {label}' if several else ''}", EPISODES, "coefficient θ (per sample)",
            clear_of_zero(curves),
            guides=(Guide(0.0),), group=label if several else "",
            summary="Coefficients of the terms; bands for those whose last interval leaves 0 out.",
        ))  # fmt: skip
    return panels


PER_GROUP: tuple[Callable[[RunConfig, Metrics, Groups], list[Panel]], ...] = (angle_panels, theta_panels)
