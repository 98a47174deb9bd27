"""What a notebook shows: formulas as MathML, which browsers draw by themselves;
plain text where it cannot be made."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ruledsl.errors import MissingExtra, require


def formula(latex: str) -> str:
    """A formula as MathML, or as its LaTeX in a `<code>` where the extra `report` is not installed."""
    try:
        (converter,) = require("report", "latex2mathml.converter")
    except MissingExtra:
        return f"<code>{escape(latex)}</code>"
    return converter.convert(latex)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts."""
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def rule_html(name: str, latex: str, rows: Sequence[Sequence[str]]) -> str:
    """A rule: its name, formula, and a row (name, locality, entry) for each term."""
    shown = table(("term", "locality", "one entry"), rows)
    return f"<div><b>{escape(name)}</b><br>{formula(latex)}{shown}</div>"
