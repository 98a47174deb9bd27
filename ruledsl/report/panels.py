"""A figure as data: panels of curves with bands, of points with whiskers, and printed numbers marked in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruledsl.report.figures import PALETTE, pyplot_module


@dataclass(frozen=True)
class Curve:
    """Means with half-widths of their intervals (NaN for none); equal colours belong together."""

    label: str
    x: Sequence[float]
    mean: Sequence[float]
    half: Sequence[float]
    colour: int = 0


@dataclass(frozen=True)
class Mark:
    """A printed number: a dashed line between two x, or a cross at one."""

    y: float
    label: str
    x: tuple[float, float]
    colour: int = 0
    upright: bool = False
    """A number on the x axis, at x: a dashed line through all of the panel."""


@dataclass(frozen=True)
class Panel:
    """One set of axes. `points` draws each curve's values as points with whiskers at named places."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    marks: tuple[Mark, ...] = ()
    limits: tuple[float, float] | None = None
    log_x: bool = False
    guide: float | None = None
    """A faint dotted line, such as chance."""
    names: tuple[str, ...] = field(default=())
    """Names of the places on the x axis, for `points`."""


def draw_panels(path: Path, title: str, panels: Sequence[Panel]) -> list[Path]:
    """Draw panels side by side, two to a row; PNG and PDF at `path`."""
    pyplot = pyplot_module()
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    width = 5.2 * columns if len(panels) > 1 else max(5.5, 0.42 * len(panels[0].names))
    figure, grid = pyplot.subplots(rows, columns, figsize=(width, 3.5 * rows), constrained_layout=True, squeeze=False)
    for axis, panel in zip(grid.flat, panels, strict=False):
        _draw(axis, panel)
    for axis in grid.flat[len(panels) :]:
        axis.set_visible(False)
    figure.suptitle(title, fontsize=10)
    paths = [path.with_suffix(f".{kind}") for kind in ("png", "pdf")]
    for target in paths:
        figure.savefig(target, dpi=130)
    pyplot.close(figure)
    return paths


def _draw(axis: Any, panel: Panel) -> None:
    (_points if panel.names else _curves)(axis, panel)
    if panel.guide is not None:
        axis.axhline(panel.guide, color="#999999", lw=0.8, ls=":")
    if panel.log_x:
        axis.set_xscale("symlog", linthresh=10)
        axis.set_xlim(left=0)
    if panel.limits:
        axis.set_ylim(*panel.limits)
    axis.set(xlabel=panel.x_label, ylabel=panel.y_label)
    axis.set_title(panel.title, fontsize=9)


def _curves(axis: Any, panel: Panel) -> None:
    for curve in panel.curves:
        colour = PALETTE[curve.colour % len(PALETTE)]
        low, high = _band(curve)
        axis.fill_between(curve.x, low, high, color=colour, alpha=0.16, lw=0)
        axis.plot(curve.x, curve.mean, color=colour, lw=1.5, label=curve.label)
    for mark in (m for m in panel.marks if m.upright):
        axis.axvline(mark.x[0], color="#555555", lw=1.0, ls=(0, (5, 3)))
        place = {"xycoords": ("data", "axes fraction"), "xytext": (3, 0), "textcoords": "offset points"}
        axis.annotate(mark.label, (mark.x[0], 0.99), rotation=90, va="top", fontsize=7, color="#555555", **place)
    for mark in (m for m in panel.marks if not m.upright):
        colour = PALETTE[mark.colour % len(PALETTE)]
        axis.plot(mark.x, (mark.y, mark.y), color=colour, lw=1.2, ls=(0, (5, 3)))
        axis.annotate(mark.label, (mark.x[1], mark.y), ha="right", va="bottom", fontsize=7, color=colour)
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if len(panel.curves) > 5 else {}
    axis.legend(fontsize=7, **beside)


def _points(axis: Any, panel: Panel) -> None:
    for curve in panel.curves:
        half = [0.0 if math.isnan(h) else h for h in curve.half]
        colour = PALETTE[curve.colour % len(PALETTE)]
        axis.errorbar(curve.x, curve.mean, half, fmt="o", ms=4, capsize=2, lw=1.2, color=colour, label=curve.label)
    for n, mark in enumerate(panel.marks):
        label = "printed" if n == 0 else None
        axis.plot(mark.x[0], mark.y, "x", ms=7, mew=1.6, color="#111111", label=label)
    axis.set_xticks(range(len(panel.names)), panel.names, rotation=60, ha="right", fontsize=7)
    axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _band(curve: Curve) -> tuple[list[float], list[float]]:
    half = [0.0 if math.isnan(h) else h for h in curve.half]
    low, high = ([m + sign * h for m, h in zip(curve.mean, half, strict=True)] for sign in (-1, 1))
    return low, high
