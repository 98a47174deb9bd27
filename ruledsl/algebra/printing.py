"""Index forms for people: plain text with Σ, and LaTeX."""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter

from ruledsl.algebra.entries import Contract, Elementwise, Entry, Theta, trace_time
from ruledsl.ir import latex_call
from ruledsl.language import QUANTITIES

_LETTERS = {
    "y": "y", "z": "z", "e": "e", "W": "W", "B": "B", "bias": "b", "third": "m", "age": "t", "exc": "x",
    "inh": "h", "noise": r"\xi", "response": r"\rho",
}  # fmt: skip


def _trace_name(tau: float) -> str:
    return rf"\operatorname{{trace}}_{{{tau:g}}}"


class _IndexText(StrPrinter):
    """`-e_post[j]·y_pre[i]`, `(Σ_k …)`: compact, one line, Unicode."""

    printmethod = "_index_text"

    def _print_Entry(self, expr: Entry) -> str:
        name = expr.quantity
        return f"{name}[{','.join(_index(k) for k in expr.indices)}]" if expr.indices else name

    def _print_Contract(self, expr: Contract) -> str:
        bound = ",".join(_index(k) for k in expr.bound)
        return f"(Σ_{bound} {self._print(expr.body)})"

    def _print_Elementwise(self, expr: Elementwise) -> str:
        tau = trace_time(expr)
        if tau is not None:
            return f"trace({self._print(expr.args[1])}, {tau:g})"
        return f"{expr.function}({self._print(expr.args[1])})"

    def _print_Theta(self, expr: Theta) -> str:
        return f"θ{expr.number}"

    def _print_Mul(self, expr: sp.Expr) -> str:
        return super()._print_Mul(expr).replace("*", "·").replace("··", "^")

    def _print_Pow(self, expr: sp.Expr, rational: bool = False) -> str:
        return super()._print_Pow(expr, rational).replace("**", "^")


class _IndexLatex(LatexPrinter):
    def _print_Entry(self, expr: Entry, exp: str | None = None) -> str:
        base = _LETTERS[expr.quantity.partition("_")[0]]
        layer = r"^{\ell-1}" if expr.quantity.endswith("_pre") else r"^{\ell}"
        layer = "" if expr.quantity in ("W", "B", "third", "age") else layer
        if not expr.indices:
            return base if exp is None else f"{base}^{{{exp}}}"
        text = f"{base}{layer}_{{{''.join(_index(k) for k in expr.indices)}}}"
        return text if exp is None else rf"\left({text}\right)^{{{exp}}}"

    def _print_Contract(self, expr: Contract, exp: str | None = None) -> str:
        bound = ",".join(_index(k) for k in expr.bound)
        text = rf"\left(\sum_{{{bound}}} {self._print(expr.body)}\right)"
        return text if exp is None else rf"{text}^{{{exp}}}"

    def _print_Elementwise(self, expr: Elementwise, exp: str | None = None) -> str:
        tau = trace_time(expr)
        argument = self._print(expr.args[1])
        text = (
            latex_call(expr.function, argument)
            if tau is None
            else rf"{_trace_name(tau)}\left({argument}\right)"
        )
        return text if exp is None else rf"\left({text}\right)^{{{exp}}}"

    def _print_Theta(self, expr: Theta) -> str:
        return rf"\theta_{{{expr.number}}}"

    def _print_Symbol(self, expr: sp.Symbol, style: str = "plain") -> str:
        return QUANTITIES[expr.name].latex if expr.name in QUANTITIES else super()._print_Symbol(expr, style)


def _index(symbol: sp.Symbol) -> str:
    """j and i for the synapse itself; bound cells get letters of their own, k l m … on either side."""
    name = symbol.name
    if name in ("j", "i"):
        return name
    number = int("".join(c for c in name if c.isdigit()) or 0)
    letters = "klmn" if name.startswith("j") else "pqrs"
    return letters[number - 1] if 0 < number <= len(letters) else name


def index_text(expression: sp.Expr) -> str:
    """One line of Unicode; cells summed over are k, l, … (post) and p, q, … (pre)."""
    text = _call(_IndexText({"order": "grlex"}), expression)
    return text[1:-1] if text.startswith("(") and text.endswith(")") and text.count("(") == 1 else text


def index_latex(expression: sp.Expr) -> str:
    """LaTeX of an index form, without math delimiters."""
    return _call(_IndexLatex({"order": "grlex"}), expression)


def _call(printer: Any, expression: sp.Expr) -> str:
    return printer.doprint(expression)
