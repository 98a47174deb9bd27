"""Figures like the paper's, drawn from a run folder alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruledsl.runs import Metrics, mean_and_interval, moving_average, read_config, read_metrics
from ruledsl.runs.summary import grouped

PALETTE = ("#4053d3", "#ddb310", "#b51d14", "#00beff", "#fb49b0", "#00b25d", "#8c8c8c", "#7a3b10", "#5d2e8c", "#111111")
"""Ten colours that stay apart in the common forms of colour blindness."""
AVERAGE = 11


def pyplot_module() -> Any:
    """matplotlib.pyplot, drawing to files, in the style of all figures."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9, "legend.frameon": False}
    )
    return pyplot


def draw_training(folder: Path) -> list[Path]:
    """The four panels of a training: accuracy, loss, angles, Θ; as PNG and PDF beside the metrics.

    Bold lines are means over runs of the moving average over 11 episodes, bands their 95 % interval.
    """
    metrics, config = read_metrics(folder), read_config(folder)
    pyplot = pyplot_module()
    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7), constrained_layout=True)
    groups = {
        label: [r.run for r in members if r.run in metrics.runs] for label, members in grouped(config.runs).items()
    }
    chance = 1 / config.settings.labels
    for number, (label, members) in enumerate(groups.items()):
        colour = PALETTE[number % len(PALETTE)]
        _curve(axes[0, 0], metrics, members, "meta_accuracy", colour, label)
        _curve(axes[0, 1], metrics, members, "meta_loss", colour, label)
    axes[0, 0].axhline(chance, color="#999999", lw=0.8, ls=":")
    axes[0, 0].annotate(
        "chance in the task",
        (0.99, chance),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize=7,
        color="#777777",
    )
    axes[0, 0].set(ylabel="meta-accuracy (query set)", ylim=(0, 1))
    axes[0, 1].set(ylabel="meta-loss")
    if len(groups) > 1:
        axes[0, 1].legend(fontsize=7)
    # Angles and coefficients of one group: several on one axis could not be told apart.
    shown, runs = next(iter(groups.items()))
    _angles(axes[1, 0], metrics, runs)
    _coefficients(axes[1, 1], metrics, runs)
    if len(groups) > 1:
        for axis in axes[1]:
            axis.set_title(shown, fontsize=8)
    runs = list(metrics.runs)
    for axis in axes.flat:
        axis.set_xlabel("meta-training episode")
    seeds = f"{len(runs)} run{'s' if len(runs) > 1 else ''}"
    figure.suptitle(f"{config.rule} on {config.dataset}, feedback {config.settings.feedback}, {seeds}", fontsize=10)
    paths = [folder / f"training.{kind}" for kind in ("png", "pdf")]
    for path in paths:
        figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return paths


def _curve(axis: Any, metrics: Metrics, runs: Sequence[int], name: str, colour: str, label: str | None = None) -> None:
    smooth = [moving_average(metrics.column(r, name), AVERAGE) for r in runs]
    length = min(len(s) for s in smooth)
    points = [mean_and_interval([s[n] for s in smooth]) for n in range(length)]
    means = [m for m, _ in points]
    if len(runs) > 1:
        half = [0.0 if math.isnan(h) else h for _, h in points]
        low, high = ([m + sign * h for m, h in zip(means, half, strict=True)] for sign in (-1, 1))
        axis.fill_between(range(length), low, high, color=colour, alpha=0.18, lw=0)
    elif name.startswith("meta_"):
        axis.plot(metrics.column(runs[0], name), color=colour, alpha=0.25, lw=0.6)
    axis.plot(means, color=colour, lw=1.6, label=label)


def _angles(axis: Any, metrics: Metrics, runs: Sequence[int]) -> None:
    names = [n for n in metrics.runs[runs[0]] if n.startswith("alpha_")]
    for number, name in enumerate(names[:-1]):  # the last angle is 0 by construction
        _curve(axis, metrics, runs, name, PALETTE[number % len(PALETTE)], rf"$\alpha_{{{number}}}$")
    axis.axhline(90, color="#999999", lw=0.8, ls=":")
    axis.set(ylabel="alignment angle (degrees)")
    axis.legend(ncols=3, fontsize=8)


def _coefficients(axis: Any, metrics: Metrics, runs: Sequence[int]) -> None:
    for number, name in enumerate(metrics.terms):
        columns = [metrics.column(r, f"theta[{name}]") for r in runs]
        length = min(len(c) for c in columns)
        points = [mean_and_interval([c[n] for c in columns]) for n in range(length)]
        colour = PALETTE[number % len(PALETTE)]
        axis.plot([m for m, _ in points], color=colour, lw=1.4, label=name)
        if len(runs) > 1:
            half = [0.0 if math.isnan(h) else h for _, h in points]
            band = [[m + s * h for (m, _), h in zip(points, half, strict=True)] for s in (-1, 1)]
            axis.fill_between(range(length), *band, color=colour, alpha=0.15, lw=0)
    axis.axhline(0, color="#999999", lw=0.8, ls=":")
    axis.set(ylabel=r"coefficients $\theta_r$")
    axis.legend(fontsize=7, ncols=2 if len(metrics.terms) > 4 else 1)


def draw_learning_curve(
    path: Path, title: str, samples: Sequence[int], accuracy: Sequence[Sequence[float]], chance: float
) -> list[Path]:
    """Accuracy against samples seen (Fig. 1): mean over seeds with its 95 % interval; PNG and PDF."""
    pyplot = pyplot_module()
    figure, axis = pyplot.subplots(figsize=(6, 4), constrained_layout=True)
    points = [mean_and_interval([row[n] for row in accuracy]) for n in range(len(samples))]
    means, half = [m for m, _ in points], [0.0 if math.isnan(h) else h for _, h in points]
    low, high = ([m + s * h for m, h in zip(means, half, strict=True)] for s in (-1, 1))
    axis.fill_between(samples, low, high, color=PALETTE[0], alpha=0.18, lw=0)
    axis.plot(samples, means, color=PALETTE[0], lw=1.6, marker="o", ms=3)
    axis.axhline(chance, color="#999999", lw=0.8, ls=":")
    axis.set(xlabel="samples seen, one at a time", ylabel="accuracy on held-out images", ylim=(0, 1))
    axis.set_xscale("symlog", linthresh=10)
    axis.set_title(title, fontsize=10)
    paths = [path.with_suffix(f".{kind}") for kind in ("png", "pdf")]
    for target in paths:
        figure.savefig(target, dpi=150)
    pyplot.close(figure)
    return paths
