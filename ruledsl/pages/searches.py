"""One page of a search: the front, what each rule is made of and loses without it, and what else raced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruledsl.discovery import (
    QUESTION,
    Front,
    Judged,
    read_archive,
    read_front,
    read_question,
)
from ruledsl.figures import Colour, Curve, Guide, Panel, chart
from ruledsl.language import load_file, packaged_files
from ruledsl.pages.html import mathml, page_of
from ruledsl.rules import check, rule_difference, term_latex
from ruledsl.wording import counted

SAME = ("same", "renamed", "scaled")
"""Of a term: that the other rule has it too."""


def is_search(folder: Path) -> bool:
    return (folder / QUESTION).is_file()


def search_page(folder: Path) -> str:
    """The HTML. Raises `RunError` for a search that has not ended, or whose documents were changed since."""
    front, question = read_front(folder), read_question(folder)
    archive = read_archive(folder)
    charts = [chart("front", _front_panel(front)), chart("race", _race_panel(archive, front))]
    return page_of(
        "search.html.j2",
        charts,
        title=f"Rules found on {front.dataset}",
        subtitle=f"from {question.start}, terms of class {question.allow} or less; "
        f"{counted(len(front.rules), 'rule')} on the front",
        note="",
        figures=charts,
        numbers=_numbers(front),
        best=_rule(front, front.best),
        parts=_parts(front),
        rules=[_rule(front, rule) for rule in front.rules],
        people=[(rule.name, rule.mean("test").text(".3f")) for rule in front.baselines],
        nearest=_nearest(front.best),
        archive=archive,
        question_text=(folder / QUESTION).read_text(encoding="utf-8"),
        folder=folder.name,
    )


def _front_panel(front: Front) -> Panel:
    """The front's own figure, with a title and what one reads off it."""
    found = front.panel()
    best = front.best
    said = f"On classes never searched. Preferred: {best.name}, {best.mean('test').text('.3f')}."
    return Panel(
        "The front", found.x_label, found.y_label, found.curves, limits=found.limits, guides=found.guides,
        kind=found.kind, names=found.names, summary=said,
    )  # fmt: skip


def _race_panel(archive: Sequence[Mapping[str, str]], front: Front) -> Panel:
    """The best rule of each kind in the race, by its number of products."""
    localities = list(dict.fromkeys(row["locality"] for row in archive))
    sizes = sorted({int(row["products"]) for row in archive})
    curves = []
    for n, kind in enumerate(localities):
        own = [row for row in archive if row["locality"] == kind]
        places = [sizes.index(int(row["products"])) for row in own]
        scores = [float(row["accuracy_in_the_race"]) for row in own]
        told = tuple(f"{row['formula']}<br>{kind}; reads {row['reads']}; {row['why']}" for row in own)
        curves.append(Curve(kind, places, scores, [float("nan")] * len(own), Colour("rule", n), told=told))
    return Panel(
        "The best of each kind in the race", "products", "accuracy in the race (fraction)", tuple(curves),
        limits=(0.0, 1.0), guides=(Guide(front.chance, "chance"),), kind="points",
        names=tuple(counted(size, "product") for size in sizes),
        summary="On the classes that were searched: candidates, not findings.",
    )  # fmt: skip


def _numbers(front: Front) -> list[tuple[str, str]]:
    best = front.best
    found = [("accuracy of the preferred rule", best.mean("test").text(".3f"))]
    for other in front.baselines:
        found.append((f"above {other.name}", best.beside(other, "test").text("+.3f")))
    return [*found, ("needs", str(best.locality)), ("products", str(len(best.products)))]


def _rule(front: Front, rule: Judged) -> dict[str, Any]:
    beside = {b.name: rule.beside(b, "test").text("+.3f") for b in front.baselines}
    return {
        "name": rule.name, "text": rule.text, "products": len(rule.products), "terms": len(rule.terms),
        "locality": str(rule.locality), "reads": rule.reads, "accuracy": rule.mean("test").text(".3f"),
        "backprop": beside.get("backprop", ""), "bio": beside.get("bio", ""), "why": rule.why,
        "preferred": rule is front.best, "source": front.source(rule),
    }  # fmt: skip


def _parts(front: Front) -> list[tuple[Any, str, str]]:
    """The preferred rule's terms: formula, coefficient, and what is lost without it."""
    best = front.best
    return [
        (
            mathml(term_latex(item.term.expression)),
            best.theta[item.name].text(".2e"),
            front.knock_outs[item.name].text("+.3f") if item.name in front.knock_outs else "–",
        )
        for item in best.rule.definition.terms
    ]


def _nearest(rule: Judged) -> str:
    """The shipped rule that has most of its terms, in words."""
    found: list[tuple[int, bool, int, str, str]] = []
    for path in packaged_files():
        for definition in load_file(str(path)).rules:
            other = check(definition)
            rows = rule_difference(other, rule.rule).terms
            shared = [row.name for row in rows if row.kind in SAME]
            gone = [row.name for row in rows if row.kind == "gone"]
            has = f"has {len(shared)} of its {counted(len(rule.terms), 'term')}"
            lacks = f", and {', '.join(gone)}, which it has not" if gone else ""
            alike = definition.feedback == rule.rule.definition.feedback
            found.append((len(shared), alike, -len(gone), definition.name, f"{has}{lacks}"))
    shared, *_, name, words = max(found, key=lambda row: row[:3])
    return f"{name} {words}" if shared else "no shipped rule has any of its terms"
