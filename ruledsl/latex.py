"""A rule in matrix notation, as the paper would print it."""

from __future__ import annotations

from ruledsl.ir.diagnostics import InternalError
from ruledsl.ir.syntax import Binary, Call, Expression, Name, Negate, Number, Power, Transpose
from ruledsl.language import QUANTITIES, RuleDefinition, format_number

SUM, PRODUCT, UNARY, POSTFIX, ATOM = range(5)
_OPERATORS = {"*": r"\,", ".*": r" \odot "}
_FUNCTIONS = {
    "sum": r"\operatorname{sum}",
    "mean": r"\operatorname{mean}",
    "diag": r"\operatorname{diag}",
    "sigmoid": r"\operatorname{sigmoid}",
    "relu": r"\operatorname{relu}",
    "softplus": r"\operatorname{softplus}",
    "sign": r"\operatorname{sign}",
    "square": r"\operatorname{square}",
    "exp": r"\exp",
    "log": r"\log",
    "tanh": r"\tanh",
    "trace": r"\operatorname{trace}",
}


def rule_latex(definition: RuleDefinition) -> str:
    r"""`\Delta W = \theta_0 (…) + …`, one summand per term."""
    moved: dict[str, list[str]] = {}
    for r, item in enumerate(definition.terms):
        for term in (item.term, *item.companions):
            line = rf"\theta_{{{r}}} \left[{term_latex(term.expression)}\right]"
            moved.setdefault(term.target, []).append(line)
    equations = [rf"\Delta {QUANTITIES[target].latex} = " + " + ".join(lines) for target, lines in moved.items()]
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
        case Binary("+" | "-" as operator, left, right):
            return f"{term_latex(left)} {operator} {term_latex(right, PRODUCT)}", SUM
        case Binary("/", left, right):
            return rf"\frac{{{term_latex(left)}}}{{{term_latex(right)}}}", POSTFIX
        case Binary(operator, left, right):
            mixed = isinstance(left, Binary) and {operator, left.operator} == {"*", ".*"}
            return (
                f"{term_latex(left, UNARY if mixed else PRODUCT)}{_OPERATORS[operator]}{term_latex(right, UNARY)}",
                PRODUCT,
            )
        case Transpose(operand):
            return f"{{{term_latex(operand, ATOM)}}}^{{\\top}}", POSTFIX
        case Power(base, exponent, elementwise):
            mark = r"\circ " if elementwise else ""
            return f"{{{term_latex(base, ATOM)}}}^{{{mark}{term_latex(exponent)}}}", POSTFIX
        case Call(function, arguments):
            return _call(function, [term_latex(a) for a in arguments]), ATOM
    raise InternalError(f"LaTeX has no case for {type(node).__name__}")


def _call(function: str, arguments: list[str]) -> str:
    if function == "norm":
        return rf"\left\lVert {arguments[0]} \right\rVert"
    if function == "abs":
        return rf"\left| {arguments[0]} \right|"
    if function == "sqrt":
        return rf"\sqrt{{{arguments[0]}}}"
    if function == "outer":
        return rf"\left({arguments[0]}\right){{\left({arguments[1]}\right)}}^{{\top}}"
    return rf"{_FUNCTIONS[function]}\left({', '.join(arguments)}\right)"
