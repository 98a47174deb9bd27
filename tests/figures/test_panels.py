"""Figures as data: what is drawn for few seeds, where bands end, where axes begin."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

import ruledsl
from ruledsl.figures import Colour, Curve, Guide, Panel, chart, clear_of_zero, draw_panels
from tests.commands import SMALL


def test_below_three_seeds_the_runs_themselves_are_drawn() -> None:
    """Student's t of two seeds is 12.7 standard errors wide."""
    two = Curve.of("a", [[0.1, 0.2], [0.3, 0.6]], Colour())
    assert two.runs == ([0.1, 0.2], [0.3, 0.6])
    assert all(math.isnan(h) for h in two.half)
    three = Curve.of("a", [[0.1], [0.2], [0.3]], Colour())
    assert three.runs == ()
    assert three.half == pytest.approx([4.302653 * 0.1 / 3**0.5])


def test_bands_stay_where_their_numbers_can_be() -> None:
    wide = Curve("a", [0, 1], [0.1, 0.9], [0.5, 0.5])
    drawn = chart("c", Panel("t", "x", "y", (wide,), limits=(0.0, 1.0)))
    borders = [y for t in drawn["data"] for y in t["y"] if y is not None]
    assert min(borders) == 0.0
    assert max(borders) == 1.0


def test_a_coefficient_has_a_band_where_its_last_interval_leaves_0_out() -> None:
    clear = Curve("a", [0, 1], [0.0, 1.0], [0.1, 0.5])
    around = Curve("b", [0, 1], [1.0, 0.2], [0.1, 0.5])
    unknown = Curve("c", [0, 1], [1.0, 0.0], [math.nan, math.nan])
    shown = clear_of_zero([clear, around, unknown])
    assert [c.has_band for c in shown] == [True, False, False]
    assert [list(c.mean) for c in shown] == [[0.0, 1.0], [1.0, 0.2], [1.0, 0.0]]


@pytest.mark.figures
def test_one_panel_is_drawn_on_paper_and_on_a_page(tmp_path: Path) -> None:
    curve = Curve("mine", [0, 1, 2], [0.1, 0.2, 0.3], [math.nan] * 3)
    panel = Panel("t", "episode", "accuracy", (curve,), guides=(Guide(0.2, "chance"),))
    paths = draw_panels(tmp_path / "a.png", "title", [panel])
    assert [p.suffix for p in paths] == [".png", ".pdf"]
    assert all(p.stat().st_size > 1000 for p in paths)
    page = str(chart("c", panel))
    assert "mine" in page
    assert "chance" in page


@pytest.mark.figures
def test_long_axis_labels_stay_inside_their_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    kept: list[str] = []
    save = Figure.savefig

    def keep(figure: Figure, *given: Any, **options: Any) -> None:
        kept.extend(axis.get_ylabel() for axis in figure.axes)
        save(figure, *given, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    draw_panels(tmp_path / "a.png", "t", [Panel("t", "x", "a long label " * 8, ())])
    assert max(len(line) for line in kept[0].split("\n")) <= 40


def test_drawing_leaves_the_users_matplotlib_as_it_was(tmp_path: Path) -> None:
    """In a notebook `plt.show()` must still show, in the user's own style."""
    import matplotlib
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    draw_panels(tmp_path / "a.png", "t", [Panel("t", "x", "y", ())])
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_the_curve_of_evaluate_begins_at_its_first_sample_and_knows_chance() -> None:
    small = {k: v for k, v in SMALL.items() if k in ("sizes", "threads")}
    found = ruledsl.evaluate("bio", samples=30, test_images=47, progress=False, **small)
    panel = found.panel()
    assert len(found.seeds) == 3
    assert min(panel.curves[0].x) == 0
    assert panel.log_x
    assert panel.limits == (0.0, 1.0)
    assert [g.y for g in panel.guides] == [pytest.approx(1 / 47)]
    assert re.search(r"\b3 seeds$", found.title)
