"""One page of several searches: what they agree on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruledsl.discovery import Front, Recurrence, read_front, read_question, recurring, recurring_pairs
from ruledsl.figures import Colour, Curve, Guide, Panel, chart
from ruledsl.pages.html import mathml, page_of


def repeated_page(folders: Sequence[Path]) -> str:
    """The HTML. Raises `RunError` for a search that has not ended, or whose documents were changed since."""
    fronts = [read_front(folder) for folder in folders]
    names = [folder.name for folder in folders]
    figure = chart("preferred", _panel(fronts, names))
    return page_of(
        "repeated.html.j2",
        [figure],
        title=f"What {len(fronts)} searches agree on",
        subtitle="parts of ΔW by how many preferred rules have them",
        note="",
        figures=[figure],
        names=names,
        searches=[_search(*row) for row in zip(folders, names, fronts, strict=True)],
        parts=[_part(found) for found in recurring(fronts)],
        pairs=recurring_pairs(fronts),
    )


def _search(folder: Path, name: str, front: Front) -> dict[str, Any]:
    question, best = read_question(folder), front.best
    people = {b.name: best.beside(b, "test").text("+.3f") for b in front.baselines}
    return {
        "name": name, "dataset": front.dataset, "allow": question.allow, "start": question.start,
        "seed": question.search.seed, "rule": best.name, "text": best.text, "locality": str(best.locality),
        "accuracy": best.mean("test").text(".3f"), "backprop": people.get("backprop", "–"),
        "bio": people.get("bio", "–"),
    }  # fmt: skip


def _part(found: Recurrence) -> dict[str, Any]:
    return {
        "math": mathml(found.part.latex),
        "preferred": found.preferred,
        "fronts": found.fronts,
        "sign": found.sign,
        "coefficients": ["–" if value is None else f"{value:+.2g}" for value in found.coefficients],
    }


def _panel(fronts: Sequence[Front], names: Sequence[str]) -> Panel:
    best = [front.best.mean("test") for front in fronts]
    told = tuple(front.best.text for front in fronts)
    curve = Curve(
        "preferred rule", list(range(len(best))), [b.mean for b in best], [b.half for b in best],
        Colour("rule", 0), told=told,
    )  # fmt: skip
    return Panel(
        "The preferred rule of each search", "", "accuracy on classes never searched (fraction)", (curve,),
        limits=(0.0, 1.0), guides=(Guide(fronts[0].chance, "chance"),), kind="points", names=tuple(names),
        summary="Whiskers: 95 % over seeds.",
    )  # fmt: skip
