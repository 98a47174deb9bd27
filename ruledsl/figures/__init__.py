"""Figures as data, and two ways to draw them: on paper (matplotlib) and on a page (Plotly).
Knows nothing of runs."""

from ruledsl.figures.panels import NOTE, SMOOTHED, Colour, Curve, Guide, Mark, Panel, clear_of_zero
from ruledsl.figures.print import draw_panels
from ruledsl.figures.web import Chart, chart

__all__ = [
    "NOTE", "SMOOTHED", "Chart", "Colour", "Curve", "Guide", "Mark", "Panel", "chart", "clear_of_zero",
    "draw_panels",
]  # fmt: skip
