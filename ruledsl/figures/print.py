"""Panels on paper: PNG and PDF by matplotlib."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruledsl.errors import RunError
from ruledsl.figures.panels import NOTE, Curve, Panel, clipped, spread_labels

GREY, DARK = "#8a8a8a", "#444444"
LABEL_WIDTH = 40
"""Letters to a line beside an axis: a longer label would not fit its panel."""
LABEL_GAP = 0.052
"""Least distance of two labels at the ends of curves, as a fraction of a panel's height."""


def draw_panels(path: Path, title: str, panels: Sequence[Panel], note: str = NOTE) -> list[Path]:
    """Draw panels side by side, two to a row; PNG and PDF at `path`.

    Raises:
        RunError: the figures cannot be written.
    """
    import matplotlib

    # Neither pyplot nor its settings: those are the user's, whose notebook goes on after us.
    with matplotlib.rc_context({
        "axes.spines.top": False, "axes.spines.right": False, "font.size": 9, "legend.frameon": False,
    }):  # fmt: skip
        figure = _figure(title, panels, note)
        paths = [path.with_suffix(f".{kind}") for kind in ("png", "pdf")]
        try:
            for target in paths:
                figure.savefig(target, dpi=140)
        except OSError as error:
            raise RunError(f"{path} cannot be written: {error.strerror or error}") from None
    return paths


def _figure(title: str, panels: Sequence[Panel], note: str) -> Any:
    from matplotlib.figure import Figure

    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    width = 6.0 * columns if len(panels) > 1 else max(6.4, 0.5 * len(panels[0].names))
    height = 3.6 * rows + (1.0 if any(p.kind == "points" for p in panels) else 0.0)
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axis, panel in zip(grid.flat, panels, strict=False):
        _draw(axis, panel)
    for axis in grid.flat[len(panels) :]:
        axis.set_visible(False)
    figure.suptitle("\n".join(textwrap.wrap(title, int(13 * width))), fontsize=11)
    if note:
        figure.supxlabel("\n".join(textwrap.wrap(note, int(19 * width))), fontsize=7, color=DARK)
    return figure


def _draw(axis: Any, panel: Panel) -> None:
    {"curves": _curves, "points": _points, "bars": _bars, "shares": _shares}[panel.kind](axis, panel)
    y_label = textwrap.fill(panel.y_label, LABEL_WIDTH)
    axis.set(xlabel=_plain(panel.x_label), ylabel=_plain(y_label))
    axis.set_title(_plain(panel.title), fontsize=9)


def _plain(text: str) -> str:
    """A text as it is: matplotlib would read mathematics between dollars."""
    return text.replace("$", r"\$")


def _curves(axis: Any, panel: Panel) -> None:
    for curve in panel.curves:
        _curve(axis, panel, curve)
    _guides(axis, panel)
    for mark in panel.marks:
        if mark.upright:
            axis.axvline(mark.x[0], color=DARK, lw=1.0, ls=(0, (5, 3)))
            place = {"xycoords": ("data", "axes fraction"), "xytext": (3, 0), "textcoords": "offset points"}
            axis.annotate(
                _plain(mark.label), (mark.x[0], 0.99), rotation=90, va="top", fontsize=7, color=DARK, **place
            )
        else:
            axis.plot(mark.x, (mark.y, mark.y), color=mark.colour.hex, lw=1.2, ls=(0, (5, 3)))
            # On a light ground of its own: it may stand on a curve.
            box = {"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.8}
            middle = (mark.x[0] + mark.x[1]) / 2
            axis.annotate(_plain(mark.label), (middle, mark.y), ha="center", va="bottom", fontsize=6.5,
                          color=mark.colour.hex, bbox=box, xytext=(0, 1.5),
                          textcoords="offset points")  # fmt: skip
    if panel.log_x:
        _log_samples(axis, panel)
    axis.set_ylim(*panel.extent)
    _end_labels(axis, panel)


def _curve(axis: Any, panel: Panel, curve: Curve) -> None:
    colour = curve.colour.hex
    if curve.has_band:
        low, high = (clipped(edge, panel.limits) for edge in curve.edges)
        axis.fill_between(curve.x, low, high, color=colour, alpha=0.16, lw=0)
    for run in curve.runs:
        axis.plot(curve.x, run[: len(curve.x)], color=colour, alpha=0.4, lw=0.7)
    axis.plot(curve.x, curve.mean, color=colour, lw=1.5)


def _log_samples(axis: Any, panel: Panel) -> None:
    """A logarithmic axis of counts from their first, with 0 set apart at its left end."""
    seen = sorted({x for c in panel.curves for x in c.x if x > 0})
    if seen:
        axis.set_xscale("symlog", linthresh=seen[0], linscale=0.25)
        axis.set_xlim(0, seen[-1])


def _end_labels(axis: Any, panel: Panel) -> None:
    """Names beside the ends of curves, so that no legend lies on one."""
    if len(panel.curves) < 2:
        return
    for curve, place in spread_labels(panel, LABEL_GAP):
        axis.annotate(_plain(curve.label), (1.012, place), xycoords="axes fraction", va="center", fontsize=7,
                      color=curve.colour.hex, annotation_clip=False)  # fmt: skip


def _guides(axis: Any, panel: Panel) -> None:
    """Dotted lines, named in the corner: beside them the name would lie on the curves."""
    for guide in panel.guides:
        axis.axhline(guide.y, color=GREY, lw=0.8, ls=":")
    named = ", ".join(guide.label for guide in panel.guides if guide.label)
    if named:
        axis.annotate(
            f"dotted: {named}", (0.01, 1.0), xycoords="axes fraction", va="top", fontsize=6.5, color=GREY,
            xytext=(0, -1), textcoords="offset points",
        )  # fmt: skip


def _points(axis: Any, panel: Panel) -> None:
    _guides(axis, panel)
    for curve in panel.curves:
        half = [0.0 if math.isnan(h) else h for h in curve.half]
        label = _plain(curve.label)
        axis.errorbar(
            curve.x, curve.mean, half, fmt="o", ms=4, capsize=2, lw=1.2, color=curve.colour.hex, label=label
        )
    for n, mark in enumerate(panel.marks):
        label = "printed" if n == 0 else None
        axis.plot(mark.x[0], mark.y, "x", ms=7, mew=1.6, color="#111111", label=label)
    names = [_plain(name) for name in panel.names]
    axis.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    axis.set_ylim(*panel.extent)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _bars(axis: Any, panel: Panel) -> None:
    places = range(len(panel.bars))[::-1]
    axis.barh(
        places,
        [b.mean for b in panel.bars],
        xerr=[b.width for b in panel.bars],
        color=Curve("", (), (), ()).colour.hex,
    )
    axis.set_yticks(places, [_plain(name) for name in panel.names], fontsize=8)


def _shares(axis: Any, panel: Panel) -> None:
    axis.imshow(panel.shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axis.set_xticks(range(len(panel.columns)), panel.columns, fontsize=8)
    axis.set_yticks(range(len(panel.names)), panel.names, fontsize=8)
