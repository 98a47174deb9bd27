"""The figures of a page as Plotly documents: plain data, drawn by the page's own script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ruledsl.report.evidence import Evidence, Interval, finite
from ruledsl.report.figures import AVERAGE, PALETTE
from ruledsl.runs import mean_and_interval, moving_average

Chart = dict[str, Any]


def chart(name: str, title: str, x: str, y: str, traces: list[dict[str, Any]], summary: str, **layout: Any) -> Chart:
    """A figure with its caption; `summary` says in words what a reader would see."""
    axes = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}, **layout.pop("yaxis", {})}}
    return {"id": name, "title": title, "summary": summary, "data": traces, "layout": {**axes, **layout}}


def curve(label: str, columns: Sequence[Sequence[float]], colour: str, smooth: bool = True) -> list[dict[str, Any]]:
    """Mean over runs of the moving average, with its 95 % band."""
    lines = [moving_average(c, AVERAGE) if smooth else list(c) for c in columns]
    points = [mean_and_interval(row) for row in zip(*lines, strict=False)]
    x = list(range(len(points)))
    means = [finite(m) for m, _ in points]
    line = {"x": x, "y": means, "name": label, "mode": "lines", "line": {"color": colour, "width": 2}}
    line |= {"legendgroup": label, "hovertemplate": f"{label}: %{{y:.4g}}<extra>episode %{{x}}</extra>"}
    if len(lines) < 2:
        return [line]
    edges = [[finite(m + s * (0.0 if math.isnan(h) else h)) for m, h in points] for s in (-1, 1)]
    hidden = {
        "x": x,
        "mode": "lines",
        "line": {"width": 0},
        "legendgroup": label,
        "showlegend": False,
        "hoverinfo": "skip",
    }
    band = {**hidden, "y": edges[1], "fill": "tonexty", "fillcolor": _faint(colour)}
    return [{**hidden, "y": edges[0]}, band, line]


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.2)"


def training_charts(e: Evidence, prefix: str) -> list[Chart]:
    """The paper's four panels: accuracy and loss by group, angles and Θ of each group."""
    groups = list(e.groups)
    numbers = {label: f"{m:.3f}" + ("" if math.isnan(h) else f" ± {h:.3f}") for label in groups
               for m, h in [e.accuracy(label)]}  # fmt: skip
    said = "; ".join(f"{label}: {text}" for label, text in numbers.items())
    charts = [
        _by_group(e, f"{prefix}-accuracy", "Meta-accuracy on the query set", "meta_accuracy",
                  f"Accuracy at the end, mean over the last episodes and seeds: {said}.", range=[0, 1]),
        _by_group(e, f"{prefix}-loss", "Meta-loss", "meta_loss", "Loss on the query set, penalty included; "
                  "streams that diverged lie beyond the axis.", range=[0, _usual_loss(e)]),
    ]  # fmt: skip
    for number, label in enumerate(groups):
        extra = {"group": label} if len(groups) > 1 else {}
        charts.append(_angles(e, f"{prefix}-angles-{number}", label) | extra)
        charts.append(_theta(e, f"{prefix}-theta-{number}", label) | extra)
    return charts


def _usual_loss(e: Evidence) -> float:
    """Where the axis of losses ends: above the naive network's, so that one diverged stream does not flatten all."""
    first = [c["meta_loss"][0] for c in e.metrics.runs.values() if math.isfinite(c["meta_loss"][0])]
    return 1.25 * max(first, default=1.0)


def _by_group(e: Evidence, name: str, title: str, column: str, summary: str, **yaxis: Any) -> Chart:
    traces = []
    for number, (label, members) in enumerate(e.groups.items()):
        columns = [e.metrics.column(r, column) for r in members]
        traces += curve(label, columns, PALETTE[number % len(PALETTE)])
    return chart(name, title, "meta-training episode", column.replace("_", "-"), traces, summary, yaxis=yaxis)


def _angles(e: Evidence, name: str, group: str) -> Chart:
    members = e.groups[group]
    columns = [n for n in e.metrics.runs[members[0]] if n.startswith("alpha_")][:-1]  # the last is 0 by construction
    traces = []
    for number, column in enumerate(columns):
        found = [e.metrics.column(r, column) for r in members]
        traces += curve(f"α{number}", found, PALETTE[number % len(PALETTE)])
    ends = ", ".join(
        f"α{n} {_mean([e.metrics.column(r, c)[-AVERAGE:] for r in members]):.0f}°" for n, c in enumerate(columns)
    )
    words = f"Angle between the errors that B and Wᵀ carry; at the end {ends}."
    return chart(name, "Alignment angles", "meta-training episode", "degrees", traces, words)


def _mean(windows: Sequence[Sequence[float]]) -> float:
    return mean_and_interval([v for window in windows for v in window])[0]


def _theta(e: Evidence, name: str, group: str) -> Chart:
    traces = []
    for number, term in enumerate(e.taking_part(group)):
        columns = [e.metrics.column(r, f"theta[{term}]") for r in e.groups[group]]
        traces += curve(term, columns, PALETTE[number % len(PALETTE)], smooth=False)
    words = "Coefficients of the terms; their values at the end stand in the table of terms."
    return chart(name, "Coefficients Θ", "meta-training episode", "θ", traces, words)


def bars(name: str, title: str, rows: Sequence[tuple[str, Interval]], x: str, summary: str) -> Chart:
    """Horizontal bars with 95 % intervals, first row on top."""
    rows = list(reversed(rows))
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [label for label, _ in rows],
        "x": [finite(m) for _, (m, _) in rows],
        "error_x": {"type": "data", "array": [0.0 if math.isnan(h) else h for _, (_, h) in rows], "thickness": 1.5},
        "marker": {"color": PALETTE[0]},
        "hovertemplate": "%{y}: %{x:.4g}<extra></extra>",
    }
    return chart(
        name,
        title,
        x,
        "",
        [trace],
        summary,
        yaxis={"automargin": True},
        showlegend=False,
        height=max(200, 90 + 34 * len(rows)),
    )
