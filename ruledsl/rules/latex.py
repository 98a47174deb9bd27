"""A rule in matrix notation, as the paper would print it."""

from __future__ import annotations

from ruledsl.ir import (
    ATOM,
    ELEMENTWISE,
    OPERATORS,
    POSTFIX,
    SUM,
    UNARY,
    Binary,
    Call,
    Expression,
    InternalError,
    Name,
    Negate,
    Number,
    Power,
    Transpose,
    latex_call,
    left_level,
)
from ruledsl.language import FUNCTIONS, QUANTITIES, RuleDefinition, format_number


def rule_latex(definition: RuleDefinition) -> str:
    r"""`\Delta W = \theta_0 (…) + …`, one summand per term."""
    moved: dict[str, list[str]] = {}
    for r, item in enumerate(definition.terms):
        for term in (item.term, *item.companions):
            line = rf"\theta_{{{r}}} \left[{term_latex(term.expression)}\right]"
            moved.setdefault(term.target, []).append(line)
    equations = [
        rf"\Delta {QUANTITIES[target].latex} = " + " + ".join(lines) for target, lines in moved.items()
    ]
    return r", \quad ".join(equations)


def term_latex(node: Expression, minimum: int = SUM) -> str:
    """One expression in matrix notation."""
    text, level = _latex(node)
    return rf"\left({text}\right)" if level < minimum else text


def _latex(node: Expression) -> tuple[str, int]:
    match node:
        case Number(value):
            return format_number(value), ATOM
        case Name(name):
            return QUANTITIES[name].latex, ATOM
        case Negate(operand):
            return f"-{term_latex(operand, UNARY)}", UNARY
        case Binary(symbol, left, right):
            row = OPERATORS[symbol]
            inner = left.operator if isinstance(left, Binary) else None
            first = max(row.latex_sides[0], left_level(symbol, inner)) if row.latex_level != POSTFIX else SUM
            return row.latex.format(
                term_latex(left, first), term_latex(right, row.latex_sides[1])
            ), row.latex_level
        case Transpose(operand):
            return f"{{{term_latex(operand, ATOM)}}}^{{\\top}}", POSTFIX
        case Power(base, exponent, elementwise):
            mark = r"\circ " if elementwise else ""
            return f"{{{term_latex(base, ATOM)}}}^{{{mark}{term_latex(exponent)}}}", POSTFIX
        case Call(function, arguments):
            inner = [term_latex(a) for a in arguments]
            if function in ELEMENTWISE:
                return latex_call(function, inner[0]), ATOM
            return FUNCTIONS[function].latex.format(*inner), ATOM
    raise InternalError(f"LaTeX has no case for {type(node).__name__}")
