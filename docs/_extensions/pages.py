"""Pages that are made from the product itself, so that they cannot say anything else than it does.

The tables of the language, every diagnostic with its bad and good twin, a card for each rule, every plugin,
every setting, and the public names of the package.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

    from ruledsl.rules import Piece

ROOT = Path(__file__).resolve().parents[2]
MADE = ROOT / "docs" / "made"
GROUPS = {
    "Rules": ("load", "rule", "Rule", "RuleError", "Locality", "diff"),
    "Training": ("train", "TrainSettings", "Network", "Run", "open_run", "Metrics", "Study", "Interval"),
    "Evidence": ("evaluate", "Evaluation", "select", "report"),
    "An episode by itself": (
        "compile_rule", "CompiledRule", "Episode", "adapt", "meta_gradient", "MetaGradient",
    ),
    "Rules that nobody wrote": (
        "enumerate_terms", "Alphabet", "Enumeration", "discover", "Question", "Search", "Front",
    ),
    "Theory": ("explain", "Explanation"),
    "Elsewhere": ("torch.attach", "torch.RuleOptimizer", "export"),
    "What can be wrong": ("UserError", "DataError", "PluginError", "RunError", "SettingsError"),
}  # fmt: skip


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join(
        [*lines, *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in r)} |" for r in rows)]
    )


def language() -> str:
    """The tables behind the language: what a checker knows is what stands here."""
    from ruledsl.ir import ELEMENTWISE, OPERATORS
    from ruledsl.language import FUNCTIONS, QUANTITIES, TARGETS

    quantities = [(f"`{q.name}`", str(q.shape), f"${q.latex}$", q.meaning) for q in QUANTITIES.values()]
    functions = [(f"`{f.name}`", f.meaning) for f in ELEMENTWISE.values() if f.written]
    further = [(f"`{name}`", f.meaning) for name, f in FUNCTIONS.items() if name not in ELEMENTWISE]
    operators = [(f"`{o.symbol}`", f"${o.latex.format('a', 'b')}$") for o in OPERATORS.values()]
    targets = [(f"`{t.name}`", t.shown_shape, t.meaning) for t in TARGETS.values()]
    grammar = (ROOT / "ruledsl" / "language" / "grammar.lark").read_text(encoding="utf-8")
    return "\n\n".join([
        "# Tables of the language",
        "Made from the tables and the grammar that the parser and the checker use.",
        "## Quantities", table(("name", "shape", "in formulas", "what it is"), quantities),
        "## What a term moves", table(("target", "shape", "what it is"), targets),
        "## Operators", table(("written", "in formulas"), operators),
        "## Functions, entry by entry", table(("name", "what it is"), functions),
        "## Functions of vectors and matrices", table(("name", "what it is"), further),
        "## Grammar", f"```\n{grammar.rstrip()}\n```",
    ])  # fmt: skip


def errors() -> str:
    """Every diagnostic, with the text that causes it and one that does not: twins that the tests check."""
    parts = [
        "# Error index",
        "Each of these is a test: the text that is wrong, what is said of it, and its repair.",
    ]
    for folder in sorted((ROOT / "tests" / "bad").iterdir()):
        if not folder.is_dir():
            continue
        told = (folder / "expected.txt").read_text(encoding="utf-8").rstrip()
        parts.append(f"## {folder.name}")
        for title, name in (("Wrong", "bad.rule"), ("Right", "good.rule")):
            path = folder / name
            if path.exists():
                text = path.read_text(encoding="utf-8", errors="replace").rstrip()
                parts.append(f"{title}:\n\n````text\n{printable(text)}\n````")
        parts.append(f"What is said:\n\n````text\n{printable(told)}\n````")
    return "\n\n".join(parts)


def printable(text: str) -> str:
    return "".join(c if c == "\n" or c.isprintable() else "�" for c in text)


def gallery() -> str:
    """A card for each rule that ships."""
    from ruledsl import load
    from ruledsl.rules import term_latex

    parts = [
        "# Gallery",
        "Every rule that ships: its formula, the locality of each term, what it reads, what it does on "
        "average in a\nlinear layer whose input has a mean ([how that is derived](../theory.md)), and how "
        "it learns on EMNIST\nby-merge, all alike ([the table](../results/gallery.md)).",
        '<p><select id="locality"><option value="">any locality</option><option>synapse</option>'
        "<option>dendrite</option><option>axon</option><option>layer</option></select> "
        '<input id="reads" placeholder="reads, for instance e_pre"></p>',
    ]
    measured = numbers()
    for path in sorted([*(ROOT / "rules").glob("*.rule"), *(ROOT / "rules" / "discovered").glob("*.rule")]):
        rule = load(path)
        widest = str(max(rule.locality.values()))
        reads = sorted({q for piece in rule.pieces for q in piece.certificate.reads})
        rows = [
            (
                f"`{item.name}`", f"${term_latex(item.term.expression)}$", str(rule.locality[item.name]),
                item.term.note or "", item.options.cite or "",
            )
            for item in rule.definition.terms
        ]  # fmt: skip
        synapses = [
            f"- `{piece.term.name}`: ${moved(piece)}$" + (f", on average ${found}$" if found else "")
            for piece in rule.pieces
            for found in (average(piece),)
        ]
        parts += [
            f"## {path.stem}",
            f'<span class="card" data-locality="{widest}" data-reads="{" ".join(reads)}"></span>'
            + sentence(rule.definition.note or ""),
            f"$$\n{rule.latex()}\n$$",
            table(("term", "F", "locality", "what it does", "source"), rows),
            "For one synapse:\n\n" + "\n".join(synapses),
            learning(path.stem, measured),
            f"Reads: {', '.join(f'`{q}`' for q in reads)}. Widest class: **{widest}**. "
            f"`ruledsl train {path.relative_to(ROOT)}`",
        ]
    return "\n\n".join(parts)


def numbers() -> list[dict[str, str]]:
    """What `python -m benchmarks.gallery` measured."""
    with (ROOT / "docs" / "results" / "gallery.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def learning(rule: str, measured: Iterable[dict[str, str]]) -> str:
    """A rule's learning curve with its band, and a sentence on how it ended."""
    rows = [r for r in measured if r["rule"] == rule]
    known = {(r["what"], r["at"]): (float(r["mean"]), float(r["half"])) for r in rows}
    if not known:
        return "Trained by itself: [every term at any scale](../results/scales.md)."
    accuracy, refused = known["end", "accuracy"], known["end", "refused"]
    angles = ", ".join(f"{mean:.0f}°" for (what, _), (mean, _) in known.items() if what == "angle")
    thetas = "; ".join(f"`{at}` {m:.2e} ± {h:.1e}" for (what, at), (m, h) in known.items() if what == "theta")
    lost = f", {refused[0]:.0f} episodes refused" if refused[0] else ""
    curve = [(float(at), *values) for (what, at), values in known.items() if what == "accuracy"]
    return (
        f"{drawn(curve)}\n\nAccuracy {accuracy[0]:.3f} ± {accuracy[1]:.3f}{lost}; α: {angles}. Θ: {thetas}."
    )


def drawn(curve: Sequence[tuple[float, float, float]], width: int = 360, height: int = 110) -> str:
    """Accuracy against episodes, with its interval and chance, as a picture in the page itself."""
    last = curve[-1][0]

    def place(episode: float, value: float) -> str:
        inside = min(max(value, 0.0), 1.0)
        return f"{24 + (width - 30) * episode / last:.1f},{6 + (height - 24) * (1 - inside):.1f}"

    line = " ".join(place(e, mean) for e, mean, _ in curve)
    band = " ".join([place(e, m + h) for e, m, h in curve] + [place(e, m - h) for e, m, h in reversed(curve)])
    low, high, chance = place(0, 0), place(0, 1), (place(0, 0.2), place(last, 0.2))
    texts = "".join(
        f'<text x="20" y="{float(at.split(",")[1]) + 4}" text-anchor="end">{label}</text>'
        for at, label in ((low, "0"), (high, "1"))
    )
    return (
        f'<svg class="learning" viewBox="0 0 {width} {height}" width="{width}" role="img" '
        'fill="currentColor" font-size="10"><title>Accuracy while its coefficients are learned</title>'
        f'<polygon points="{band}" fill="#2f63c4" fill-opacity="0.25"/>'
        f'<polyline points="{line}" fill="none" stroke="#2f63c4" stroke-width="1.8"/>'
        f'<polyline points="{" ".join(chance)}" fill="none" stroke="currentColor" stroke-dasharray="3 3"/>'
        f'<polyline points="{high} {low} {place(last, 0)}" fill="none" stroke="currentColor"/>{texts}'
        f'<text x="{width - 6}" y="{height - 4}" text-anchor="end">episode {last:.0f}</text></svg>'
    )


def moved(piece: Piece) -> str:
    """The term's index form, in formulas."""
    from ruledsl.algebra import index_latex

    entry = {"W": r"\Delta W_{ji}", "B": r"\Delta B_{ij}", "bias": r"\Delta b_j"}[piece.term.target]
    return f"{entry} = {index_latex(piece.written.entry)}"


def average(piece: Piece) -> str:
    """E[ΔW | W, B] of a term, where it can be derived."""
    from ruledsl.algebra import index_latex
    from ruledsl.theory import NotPolynomial, expected_drift

    if piece.term.target != "W":
        return ""
    try:
        return rf"E[\Delta W_{{ji}}] = {index_latex(expected_drift(piece.form, input_mean=True))}"
    except NotPolynomial:
        return ""


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def plugins() -> str:
    """What ships, by kind."""
    from ruledsl.registry import KINDS, declared

    found = declared().found.values()
    parts = [
        "# Plugins that ship",
        "As `ruledsl list plugins` finds them; [plugins.md](../plugins.md) says how to write one.",
    ]
    for kind in KINDS.values():
        rows = [
            (f"`{d.name}`", d.summary, f"`{d.path.name}`")
            for d in found
            if d.kind == kind.name and d.origin == "product"
        ]
        parts += [f"## {kind.name}: {kind.gives}", table(("name", "what it does", "file"), sorted(rows))]
    return "\n\n".join(parts)


def settings() -> str:
    """The table of settings."""
    from ruledsl.settings import OPTIONS

    rows = [
        (f"`{name}`", f"`{s.option}`", s.group, s.help, f"`{s.shown_default or s.default}`")
        for name, s in OPTIONS.items()
    ]
    return "\n\n".join([
        "# Settings",
        "Keywords of `ruledsl.train`, options of the command, and keys of `--config` files are one table.",
        table(("keyword", "option", "group", "what it is", "default"), rows),
    ])  # fmt: skip


def api() -> Iterator[tuple[str, str]]:
    """A page of the public names of each group."""
    import ruledsl

    listed = {name.partition(".")[0] for names in GROUPS.values() for name in names}
    missing = sorted(set(ruledsl.__all__) - listed)
    if missing:
        raise ValueError(f"these public names stand in no group of the reference: {missing}")
    for title, names in GROUPS.items():
        blocks = []
        for name in names:
            item = getattr(ruledsl.torch if name.startswith("torch.") else ruledsl, name.rpartition(".")[2])
            kind = "autoclass" if isinstance(item, type) else "autofunction"
            where = f"{item.__module__}.{item.__name__}"
            members = "\n:members:" if kind == "autoclass" else ""
            blocks.append(f"```{{eval-rst}}\n.. {kind}:: {where}\n{indent(members)}\n```")
        yield title, "\n\n".join([f"# {title}", *blocks])


def indent(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.splitlines())


def write(_: Sphinx) -> None:
    """All pages, anew; one that is as it was keeps its date, so that Sphinx need not read it again."""
    MADE.mkdir(exist_ok=True)
    directive = ".. click:: ruledsl.cli:main\n   :prog: ruledsl\n   :nested: full"
    cli = f"# Command line\n\n```{{eval-rst}}\n{directive}\n```"
    made = (language, errors, gallery, plugins, settings)
    pages = {page.__name__: page() for page in made} | {"cli": cli}
    reference = {f"api-{title.lower().replace(' ', '-')}": text for title, text in api()}
    names = "\n".join(reference)
    pages |= reference | {"api": f"# From Python\n\n```{{toctree}}\n{names}\n```"}
    for name, text in pages.items():
        path = MADE / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text + "\n":
            path.write_text(text + "\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
