"""One self-contained HTML page of one run, or of several side by side. Needs the extra `report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ruledsl.errors import RunError, SettingsError
from ruledsl.figures import NOTE, SMOOTHED, Chart, Colour, Panel, chart
from ruledsl.pages.evidence import Evidence, compared, differing_settings, names_of
from ruledsl.pages.html import mathml, page_of
from ruledsl.pages.repeated import repeated_page
from ruledsl.pages.searches import is_search, search_page
from ruledsl.runs import CONFIG, RULE, Run, curve_of
from ruledsl.settings import ACCURACY
from ruledsl.statistics import Interval
from ruledsl.storage import write_text
from ruledsl.theory import Explanation
from ruledsl.wording import counted


def report(*runs: Run | str | Path, out: str | Path | None = None) -> Path:
    """Write one HTML page of a run, of several side by side, of a search, or of what several searches agree
    on; it works offline and holds all it shows.

    `out` is by default RUN/report.html, or ./comparison.html for several, ./searches.html for searches.

    Raises:
        RunError: a folder cannot be read, or the page cannot be written.
        SettingsError: a search beside something that is none.
        MissingExtra: plotly, jinja2 or latex2mathml is not installed.

    >>> import ruledsl, tempfile
    >>> small = dict(sizes="49-10-47", labels=3, shots=4, queries=3, episodes=2, progress=False)
    >>> ruledsl.report(ruledsl.train("bio", out=tempfile.mkdtemp(), **small)).name
    'report.html'
    """
    folders = [run.folder if isinstance(run, Run) else Path(run) for run in runs]
    if searches := [folder for folder in folders if is_search(folder)]:
        if len(searches) < len(folders):
            raise SettingsError(f"{searches[0]} is a search, which stands alone or beside other searches")
        if len(searches) > 1:
            return _written(Path(out) if out else Path("searches.html"), repeated_page(searches))
        return _written(Path(out) if out else searches[0] / "report.html", search_page(searches[0]))
    opened = [run if isinstance(run, Run) else Run(Path(run)) for run in runs]
    path = (
        Path(out)
        if out
        else (opened[0].folder / "report.html" if len(opened) == 1 else Path("comparison.html"))
    )
    return _written(path, render([Evidence(run) for run in opened]))


def _written(path: Path, text: str) -> Path:
    try:
        write_text(path, text)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def render(pages: Sequence[Evidence]) -> str:
    """The page's HTML."""
    sections = [
        _section(e, f"run-{n}", name) for n, (e, name) in enumerate(zip(pages, names_of(pages), strict=True))
    ]
    several = len(pages) > 1
    comparison_charts = _comparison_charts(pages) if several else []
    charts = [c for s in sections for c in _charts_of(s)] + comparison_charts
    return page_of(
        "page.html.j2",
        charts,
        title="Comparison of " + " and ".join(s["name"] for s in sections) if several else pages[0].title,
        subtitle=_subtitle(pages),
        note=f"{NOTE} Accuracy, loss and angles: {SMOOTHED}.",
        window=min(e.window for e in pages),
        pages=sections,
        comparison=compared(pages) if several else [],
        comparison_charts=comparison_charts,
        differing=differing_settings(pages) if several else [],
    )


def _subtitle(pages: Sequence[Evidence]) -> str:
    parts = []
    for e in pages:
        state = "" if e.finished else f", stopped or still running at episode {e.episodes}"
        runs = len(e.metrics.runs)
        parts.append(f"{counted(runs, 'run')} of {counted(e.run.asked, 'episode')}{state}")
    return "; ".join(dict.fromkeys(parts))


def _section(e: Evidence, name: str, title: str) -> dict[str, Any]:
    groups = list(e.groups)
    terms = e.terms()
    for row in terms:
        row["math"] = mathml(row["latex"])
        row["theta"] = [
            (g, e.theta(g, row["name"]).text(".2e") if row["name"] in e.taking_part(g) else "–")
            for g in groups
        ]
    charts = [chart(f"{name}-panel-{n}", panel) for n, panel in enumerate(e.panels())]
    return {
        "id": name,
        "name": title,
        "folder": e.run.folder.name,
        "groups": groups,
        "numbers": _numbers(e),
        "equation": _equation(terms),
        "terms": terms,
        "charts": charts,
        "selection": _selection(e.selection, name) if e.selection else None,
        "theory": _theory(e.explanation),
        "rule_text": (e.run.folder / RULE).read_text(encoding="utf-8"),
        "config_text": (e.run.folder / CONFIG).read_text(encoding="utf-8"),
        "settings": e.settings(),
        "versions": e.run.versions,
    }


def _numbers(e: Evidence) -> list[tuple[str, str]]:
    """The result in figures; accuracy on tasks that were never trained on comes first,
    where it was measured."""
    found: list[tuple[str, str]] = []
    groups = e.run.result.get("groups", []) if e.run.state == "finished" else []
    several = len(e.groups) > 1
    for group in groups:
        if "fresh_accuracy" in group:
            label = f"accuracy on fresh tasks{', ' + group['label'] if several else ''}"
            found.append((label, Interval.read(group["fresh_accuracy"]).text(".3f")))
    for g in e.groups:
        label = f"accuracy, last {counted(e.window, 'episode')}{', ' + g if several else ''}"
        found.append((label, e.accuracy(g).text(".3f")))
    total = sum(len(c[ACCURACY]) for c in e.metrics.runs.values())
    found += [("seeds", str(len({r.seed for r in e.config.runs}))), ("episodes", str(e.episodes))]
    return [*found, ("episodes refused", f"{e.run.refused} of {total}")]


def _equation(terms: Sequence[dict[str, Any]]) -> list[Any]:
    """The sum by name, in pieces between which a line may break;
    the table below it has the terms themselves."""
    parts = [rf"\theta_{{{n}}}\,F^{{\text{{{t['name'].replace('_', ' ')}}}}}" for n, t in enumerate(terms)]
    pieces = [r"\Delta \mathbf{W}_{\ell-1,\ell} = " + parts[0], *(f"+ {p}" for p in parts[1:])]
    return [mathml(piece) for piece in pieces]


def _theory(explanation: Explanation) -> dict[str, Any]:
    """What was derived, term by term, each beside its measurement."""
    rows = [
        {
            "name": t.name,
            "math": mathml(rf"E[\Delta W_{{ji}}] = {t.latex}") if t.drift is not None else "",
            "reason": t.reason,
            "check": str(t.check or ""),
            "wanted": t.wanted,
            "verdict": t.verdict,
            "findings": [str(f) for f in explanation.findings if f.term == t.name],
        }
        for t in explanation.terms
    ]
    return {"rows": rows, "assumed": explanation.assumed, "together": explanation.together}


def _selection(document: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    chosen = document["chosen"]
    refits = [
        (" + ".join(f["terms"]) or "nothing", Interval.read(f["meta_accuracy"])) for f in document["refits"]
    ]
    refits = [(label if len(label) < 60 else f"all {label.count('+') + 1} terms", v) for label, v in refits]
    knock_outs = [
        (name, Interval.read(chosen["theta"][name]).text(".2e"),
        Interval.read(f["meta_accuracy"]).text(".3f"),
         Interval.read(f["difference"]).text("+.3f"))
        for name, f in document["knock_outs"].items()
    ]  # fmt: skip
    bars = _bars("Nested rules, refitted without penalty", refits, "query accuracy (fraction)")
    return {
        "chosen": " + ".join(chosen["terms"]),
        "tolerance": f"{document['plan']['tolerance']:g} ({document['plan']['measure']})",
        "charts": [chart(f"{prefix}-path", _survival(document["path"])), chart(f"{prefix}-refits", bars)],
        "knock_outs": knock_outs,
    }


def _bars(title: str, rows: Sequence[tuple[str, Interval]], x_label: str) -> Panel:
    several = len(rows) > 1
    said = "; ".join(f"{label}: " * several + value.text(".3f") for label, value in rows)
    names, values = tuple(label for label, _ in rows), tuple(value for _, value in rows)
    return Panel(title, x_label, "", kind="bars", names=names, bars=values, summary=f"{said}.")


def _survival(path: Sequence[dict[str, Any]]) -> Panel:
    """Which terms each penalty leaves, as shares of seeds."""
    terms = tuple(path[0]["survives"])
    shares = tuple(tuple(p["survives"][t] for p in path) for t in terms)
    kept = "; ".join(f"λ = {p['l1']:g}: {', '.join(p['support']) or 'none'}" for p in path)
    return Panel(
        "Sparsity path", "penalty", "", kind="shares", names=terms,
        columns=tuple(f"λ = {p['l1']:g}" for p in path),
        shares=shares,
        summary=f"Share of seeds in which a coefficient is not zero and has one sign. Most seeds keep, at "
            f"{kept}.",
    )  # fmt: skip


def _charts_of(section: dict[str, Any]) -> list[Chart]:
    return [*section["charts"], *(section["selection"]["charts"] if section["selection"] else [])]


def _comparison_charts(pages: Sequence[Evidence]) -> list[Chart]:
    curves, rows = [], compared(pages)
    members = [(e, runs) for e in pages for runs in e.groups.values()]
    for n, ((e, runs), row) in enumerate(zip(members, rows, strict=True)):
        curves.append(curve_of(e.metrics, runs, ACCURACY, row.label, Colour("rule", n)))
    first = pages[0].panels()[0]
    panel = replace(
        first, title="Accuracy on the query set", curves=tuple(curves), summary="While Θ is learned."
    )
    bars = _bars("At the end", [(row.label, row.accuracy) for row in rows], "query accuracy (fraction)")
    return [chart("comparison-accuracy", panel), chart("comparison-bars", bars)]
