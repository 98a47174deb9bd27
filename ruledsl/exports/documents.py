"""LaTeX and Markdown: the rule to be read, with Θ, locality and sources."""

from __future__ import annotations

from ruledsl.exports.subject import Subject
from ruledsl.rules import term_latex

Rows = list[tuple[str, str, str, str, str]]


def _rows(subject: Subject) -> Rows:
    """(name, formula, θ, locality, source) of every coefficient of the rule."""
    rule, cited = subject.rule, subject.citations
    return [
        (
            name + _where(item.options.layers),
            term_latex(item.term.expression),
            f"{value:.4g}",
            str(rule.locality[name]),
            cited.get(name, ""),
        )
        for name, value, item in zip(rule.names, subject.theta, rule.definition.terms, strict=False)
    ]


def _where(layers: tuple[tuple[int, int], ...] | None) -> str:
    """The layers that a term is confined to."""
    if layers is None:
        return ""
    return f" (layers {', '.join(str(a) if a == b else f'{a} to {b}' for a, b in layers)})"


def latex_file(subject: Subject, _: str) -> str:
    """A fragment for a paper: the equation, and a table of its terms; needs amsmath and booktabs."""
    rows = [
        f"  $\\theta_{{{n}}}$ & {_escaped(name)} & ${formula}$ & ${_number(theta)}$ & {locality}"
        f" & {_escaped(cite)} \\\\"
        for n, (name, formula, theta, locality, cite) in enumerate(_rows(subject))
    ]
    return "\n".join([
        f"% Learning rule {_plain(subject.rule.name)}, exported by ruledsl. Theta: {_plain(subject.origin)}.",
        r"\begin{equation}",
        f"  {subject.rule.latex()}",
        r"\end{equation}",
        r"\begin{tabular}{lllrll}",
        r"  \toprule",
        r"  & term & $F$ & $\theta$ & locality & source \\",
        r"  \midrule",
        *rows,
        r"  \bottomrule",
        r"\end{tabular}",
        "",
    ])  # fmt: skip


_BAR = "\\vert "
"""A bar in a formula: a plain one ends the cell of a table."""


def markdown_file(subject: Subject, _: str) -> str:
    """A page section: formulas between dollar signs, as most renderers take them."""
    network = subject.network
    rows = [
        f"| `{name}` | ${formula.replace('|', _BAR)}$ | {theta} | {locality} | {cite.replace('|', '/')} |"
        for name, formula, theta, locality, cite in _rows(subject)
    ]
    return "\n".join([
        f"# `{subject.rule.name}`",
        "",
        *([subject.rule.definition.note, ""] if subject.rule.definition.note else []),
        f"$$ {subject.rule.latex()} $$",
        "",
        "| term | $F$ | θ | locality | source |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"Θ: {subject.origin}. Feedback `{network.feedback}`, activation `{network.activation}` "
        f"(β = {network.beta:g}), {network.output} output.",
        "",
        "```",
        subject.rule.source.rstrip(),
        "```",
        "",
    ])  # fmt: skip


def _number(value: str) -> str:
    mantissa, _, exponent = value.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


_SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def _escaped(text: str) -> str:
    return "".join(r"\textbackslash{}" if c == "\\" else _SPECIAL.get(c, c) for c in text)


def _plain(text: str) -> str:
    return " ".join(text.split())
