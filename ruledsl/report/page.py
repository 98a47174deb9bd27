"""One self-contained HTML page of one run, or of several side by side. Needs the extra `report`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from ruledsl import __version__
from ruledsl.report.charts import Chart, bars, chart, curve, training_charts
from ruledsl.report.evidence import Evidence, Interval, compared, differing_settings
from ruledsl.report.figures import AVERAGE, PALETTE
from ruledsl.runs import RunError
from ruledsl.runs.summary import AVERAGED_EPISODES
from ruledsl.storage import write_atomically


def write_page(folders: Sequence[Path], out: Path) -> Path:
    """Write the page of some run folders to `out`; it works offline and holds all it shows.

    Raises:
        RunError: a folder cannot be read, or plotly, jinja2 or latex2mathml is missing.
    """
    pages = [Evidence.of(folder) for folder in folders]
    text = render(pages)
    try:
        write_atomically(out, lambda file: file.write(text.encode("utf-8")))
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error.strerror or error}") from None
    return out


def render(pages: Sequence[Evidence]) -> str:
    """The page's HTML."""
    jinja2, plotly, _ = _libraries()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    sections = [_section(e, f"run-{n}", _name(e, pages)) for n, e in enumerate(pages)]
    several = len(pages) > 1
    comparison_charts = _comparison_charts(pages) if several else []
    charts = [c for s in sections for c in _charts_of(s)] + comparison_charts
    first = pages[0]
    return environment.get_template("page.html.j2").render(
        title="Comparison of " + " and ".join(s["name"] for s in sections) if several else first.title,
        subtitle=_subtitle(pages),
        version=__version__,
        date=date.today().isoformat(),
        average=AVERAGE,
        window=min(AVERAGED_EPISODES, *(e.episodes for e in pages)) if several else 0,
        pages=sections,
        comparison=compared(pages) if several else [],
        comparison_charts=comparison_charts,
        differing=differing_settings(pages) if several else [],
        shown=shown,
        plotly=_safe(plotly.get_plotlyjs()),
        charts_json=_safe(json.dumps(charts, allow_nan=False)),
    )


def _libraries() -> tuple[Any, Any, Any]:
    try:
        import jinja2
        from latex2mathml import converter
        from plotly import offline
    except ImportError as error:
        raise RunError(f"{error.name} is missing; install the extra: pip install 'ruledsl[report]'") from None
    return jinja2, offline, converter


def _safe(script: str) -> Any:
    """Text for inside <script>: nothing in it may end the element."""
    from markupsafe import Markup

    return Markup(script.replace("</", "<\\/").replace("<!--", "<\\!--"))


def _mathml(latex: str) -> Any:
    from markupsafe import Markup

    return Markup(_libraries()[2].convert(latex))


def shown(value: Interval, form: str) -> str:
    """`0.707 ± 0.005`."""
    mean, half = value
    if math.isnan(mean):
        return "not finite"
    return f"{mean:{form}}" if math.isnan(half) else f"{mean:{form}} ± {half:{form.lstrip('+')}}"


def _name(e: Evidence, pages: Sequence[Evidence]) -> str:
    alike = sum(p.title == e.title for p in pages) > 1
    return f"{e.title} ({e.folder.name})" if alike else e.title


def _subtitle(pages: Sequence[Evidence]) -> str:
    parts = []
    for e in pages:
        state = "" if e.finished else f", stopped or still running at episode {e.episodes}"
        runs = len(e.metrics.runs)
        parts.append(f"{runs} run{'s' if runs > 1 else ''} of {e.config.settings.episodes} episodes{state}")
    return "; ".join(dict.fromkeys(parts))


def _section(e: Evidence, name: str, title: str) -> dict[str, Any]:
    groups = list(e.groups)
    terms = e.terms()
    for row in terms:
        row["math"] = _mathml(row["latex"])
        row["theta"] = [
            (g, shown(e.theta(g, row["name"]), ".2e") if row["name"] in e.taking_part(g) else "–") for g in groups
        ]
    numbers = [(f"accuracy{', ' + g if len(groups) > 1 else ''}", shown(e.accuracy(g), ".3f")) for g in groups]
    numbers += [("seeds", str(len({r.seed for r in e.config.runs}))), ("episodes", str(e.episodes))]
    numbers += [("episodes refused", f"{e.refused} of {sum(len(c['episode']) for c in e.metrics.runs.values())}")]
    return {
        "id": name,
        "name": title,
        "folder": e.folder.name,
        "groups": groups,
        "numbers": numbers,
        "equation": _equation(terms),
        "terms": terms,
        "charts": training_charts(e, name),
        "selection": _selection(e.selection, name) if e.selection else None,
        "rule_text": (e.folder / "rule.rule").read_text(encoding="utf-8"),
        "config_text": (e.folder / "config.toml").read_text(encoding="utf-8"),
        "settings": e.settings(),
        "versions": e.versions(),
    }


def _equation(terms: Sequence[dict[str, Any]]) -> list[Any]:
    """The sum by name, in pieces between which a line may break; the table below it has the terms themselves."""
    parts = [rf"\theta_{{{n}}}\,F^{{\text{{{t['name'].replace('_', ' ')}}}}}" for n, t in enumerate(terms)]
    pieces = [r"\Delta \mathbf{W}_{\ell-1,\ell} = " + parts[0], *(f"+ {p}" for p in parts[1:])]
    return [_mathml(piece) for piece in pieces]


def _selection(document: dict[str, Any], prefix: str) -> dict[str, Any]:
    def interval(value: dict[str, float | None]) -> Interval:
        mean, half = (math.nan if value[k] is None else value[k] for k in ("mean", "half_width_95"))
        return float(mean or 0.0), float(half or 0.0)

    chosen = document["chosen"]
    refits = [(" + ".join(f["terms"]) or "nothing", interval(f["meta_accuracy"])) for f in document["refits"]]
    refits = [(label if len(label) < 60 else f"all {label.count('+') + 1} terms", v) for label, v in refits]
    knock_outs = [
        (name, shown(interval(chosen["theta"][name]), ".2e"), shown(interval(f["meta_accuracy"]), ".3f"),
         shown(interval(f["difference"]), "+.3f"))
        for name, f in document["knock_outs"].items()
    ]  # fmt: skip
    charts = [
        _survival(document["path"], f"{prefix}-path"),
        bars(f"{prefix}-refits", "Nested rules, refitted without penalty", refits, "accuracy",
             "; ".join(f"{label}: {shown(v, '.3f')}" for label, v in refits) + "."),
    ]  # fmt: skip
    return {
        "chosen": " + ".join(chosen["terms"]),
        "tolerance": f"{document['plan']['tolerance']:g} ({document['plan']['measure']})",
        "charts": charts,
        "knock_outs": knock_outs,
    }


def _survival(path: Sequence[dict[str, Any]], name: str) -> Chart:
    terms = list(path[0]["survives"])
    trace = {
        "type": "heatmap",
        "x": [f"λ = {p['l1']:g}" for p in path],
        "y": terms[::-1],
        "z": [[p["survives"][t] for p in path] for t in terms[::-1]],
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "rgba(128,128,128,0.08)"], [1, PALETTE[0]]],
        "xgap": 2,
        "ygap": 2,
        "colorbar": {"title": {"text": "share of seeds", "side": "right"}, "thickness": 10},
        "hovertemplate": "%{y}, %{x}: %{z:.0%} of seeds<extra></extra>",
    }
    kept = "; ".join(f"λ = {p['l1']:g}: {', '.join(p['support']) or 'none'}" for p in path)
    words = f"Share of seeds in which a coefficient is not zero and has one sign. Most seeds keep, at {kept}."
    return chart(
        name,
        "Sparsity path",
        "penalty",
        "",
        [trace],
        words,
        yaxis={"automargin": True},
        showlegend=False,
        height=90 + 30 * len(terms),
    )


def _charts_of(section: dict[str, Any]) -> list[Chart]:
    return [*section["charts"], *(section["selection"]["charts"] if section["selection"] else [])]


def _comparison_charts(pages: Sequence[Evidence]) -> list[Chart]:
    traces: list[dict[str, Any]] = []
    for e in pages:
        for label, members in e.groups.items():
            name = _name(e, pages) if len(e.groups) == 1 else f"{_name(e, pages)}, {label}"
            columns = [e.metrics.column(r, "meta_accuracy") for r in members]
            traces += curve(name, columns, PALETTE[sum(t.get("showlegend", True) for t in traces) % len(PALETTE)])
    rows = [(c.label, c.accuracy) for c in compared(pages)]
    said = "; ".join(f"{label}: {shown(v, '.3f')}" for label, v in rows)
    return [
        chart("comparison-accuracy", "Meta-accuracy", "meta-training episode", "meta-accuracy", traces,
              "Accuracy on the query set while Θ is learned.", yaxis={"range": [0, 1]}),
        bars("comparison-bars", "At the end", rows, "meta-accuracy", f"{said}."),
    ]  # fmt: skip
