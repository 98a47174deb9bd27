"""Panels on a page: the same panels as Plotly documents, plain data that the page's own script draws."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

from ruledsl.figures.panels import Curve, Panel, clipped, spread_labels
from ruledsl.statistics import Interval

Chart = dict[str, Any]
_TOLD = "%{x}: %{y:.3f}<br>%{text}<extra></extra>"
LABEL_GAP = 0.062
Y_LABEL_WIDTH = 32


def chart(name: str, panel: Panel) -> Chart:
    """A panel with its caption; `id` is the element that it is drawn into."""
    traces, layout = {"curves": _curves, "points": _points, "bars": _bars, "shares": _shares}[panel.kind](
        panel
    )
    # A panel is no higher than this many letters: what a longer label says would be cut off.
    y_label = "<br>".join(textwrap.wrap(panel.y_label, Y_LABEL_WIDTH))
    axes = {"xaxis": {"title": {"text": panel.x_label}}, "yaxis": {"title": {"text": y_label}}}
    for key, more in layout.items():
        axes[key] = {**axes[key], **more} if key in axes else more
    return {
        "id": name,
        "title": panel.title,
        "group": panel.group,
        "summary": panel.summary,
        "data": traces,
        "layout": axes,
    }


def _finite(value: float) -> float | None:
    """For JSON: what is not finite is a gap."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _numbers(values: Sequence[float]) -> list[float | None]:
    return [_finite(v) for v in values]


def _curves(panel: Panel) -> tuple[list[Chart], Chart]:
    traces = [t for curve in panel.curves for t in _curve(panel, curve)]
    shapes, notes = [], []
    for guide in panel.guides:
        shapes.append(_line(0, 1, guide.y, "paper"))
        notes.append(_note(0.0, guide.y, guide.label, xref="paper", xanchor="left", yanchor="bottom"))
    for mark in panel.marks:
        if mark.upright:
            shapes.append({**_line(mark.x[0], mark.x[0], 0, "x"), "yref": "paper", "y1": 1})
            notes.append(_note(mark.x[0], 1.0, mark.label, yref="paper", textangle=-90, yanchor="top"))
        else:
            shapes.append(_line(*mark.x, mark.y, "x", mark.colour.hex))
            notes.append(_note(mark.x[1], mark.y, mark.label, yanchor="bottom", xanchor="right"))
    if len(panel.curves) > 1:
        notes += [
            _note(
                1.0,
                place,
                curve.label,
                xref="paper",
                yref="paper",
                xanchor="left",
                xshift=4,
                colour=curve.colour.hex,
            )
            for curve, place in spread_labels(panel, LABEL_GAP)
        ]
    xaxis: Chart = {"type": "log"} if panel.log_x else {}
    yaxis = {"range": list(panel.extent)}
    margin = {"r": 12 + 6 * max((len(c.label) for c in panel.curves if len(panel.curves) > 1), default=0)}
    return traces, {
        "xaxis": xaxis, "yaxis": yaxis, "shapes": shapes, "annotations": notes, "showlegend": False,
        "margin": margin,
    }  # fmt: skip


def _curve(panel: Panel, curve: Curve) -> list[Chart]:
    x, colour = list(curve.x), curve.colour.hex
    group: Chart = {"x": x, "mode": "lines", "legendgroup": curve.label}
    hidden: Chart = {**group, "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    traces: list[Chart] = []
    if curve.has_band:
        low, high = (_numbers(clipped(edge, panel.limits)) for edge in curve.edges)
        traces.append({**hidden, "y": low})
        traces.append({**hidden, "y": high, "fill": "tonexty", "fillcolor": _faint(colour, 0.2)})
    for run in curve.runs:
        thin = {"color": _faint(colour, 0.4), "width": 1}
        traces.append({**hidden, "y": _numbers(run[: len(x)]), "line": thin})
    hover = f"{curve.label}: %{{y:.4g}}<extra>{panel.x_label} %{{x}}</extra>"
    line = {"color": colour, "width": 2}
    traces.append(
        {**group, "y": _numbers(curve.mean), "name": curve.label, "line": line, "hovertemplate": hover}
    )
    return traces


def _points(panel: Panel) -> tuple[list[Chart], Chart]:
    traces: list[Chart] = [
        {
            "x": [panel.names[int(x)] for x in curve.x],
            "y": _numbers(curve.mean),
            "error_y": {"type": "data", "array": [0.0 if math.isnan(h) else h for h in curve.half]},
            "mode": "markers",
            "name": curve.label,
            "marker": {"color": curve.colour.hex},
            **({"text": list(curve.told), "hovertemplate": _TOLD} if curve.told else {}),
        }
        for curve in panel.curves
    ]
    if panel.marks:
        places = [panel.names[int(m.x[0])] for m in panel.marks]
        cross = {"symbol": "x-thin", "line": {"width": 2}, "size": 9}
        traces.append(
            {
                "x": places,
                "y": [m.y for m in panel.marks],
                "mode": "markers",
                "name": "printed",
                "marker": cross,
            }
        )
    return traces, {"yaxis": {"range": list(panel.extent)}}


def _bars(panel: Panel) -> tuple[list[Chart], Chart]:
    """First row on top."""
    bars: list[Interval] = list(reversed(panel.bars))
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": list(reversed(panel.names)),
        "x": [_finite(b.mean) for b in bars],
        "error_x": {"type": "data", "array": [b.width for b in bars], "thickness": 1.5},
        "marker": {"color": Curve("", (), (), ()).colour.hex},
        "hovertemplate": "%{y}: %{x:.4g}<extra></extra>",
    }
    layout = {"yaxis": {"automargin": True}, "showlegend": False, "height": max(200, 90 + 34 * len(bars))}
    return [trace], layout


def _shares(panel: Panel) -> tuple[list[Chart], Chart]:
    trace = {
        "type": "heatmap",
        "x": list(panel.columns),
        "y": list(reversed(panel.names)),
        "z": [list(row) for row in reversed(panel.shares)],
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "rgba(128,128,128,0.08)"], [1, Curve("", (), (), ()).colour.hex]],
        "xgap": 2,
        "ygap": 2,
        "colorbar": {"title": {"text": "share of seeds", "side": "right"}, "thickness": 10},
        "hovertemplate": "%{y}, %{x}: %{z:.0%} of seeds<extra></extra>",
    }
    return [trace], {"yaxis": {"automargin": True}, "showlegend": False, "height": 90 + 30 * len(panel.names)}


def _line(x0: float, x1: float, y: float, xref: str, colour: str = "#8a8a8a") -> Chart:
    line = {"color": colour, "width": 1, "dash": "dot" if xref == "paper" else "dash"}
    return {"type": "line", "xref": xref, "x0": x0, "x1": x1, "y0": y, "y1": y, "line": line}


def _note(x: float, y: float, text: str, colour: str = "#8a8a8a", **more: Any) -> Chart:
    return {"x": x, "y": y, "text": text, "showarrow": False, "font": {"size": 10, "color": colour}, **more}


def _faint(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
