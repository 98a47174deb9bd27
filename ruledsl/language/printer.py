"""Tree to text: the one canonical form. Printing what was parsed from a print changes nothing."""

from __future__ import annotations

from fractions import Fraction

from ruledsl.ir import (
    ATOM,
    OPERATORS,
    POSTFIX,
    SUM,
    UNARY,
    Atom,
    Attribute,
    Binary,
    Call,
    Expression,
    InternalError,
    LetStatement,
    Name,
    Negate,
    Number,
    Power,
    RuleItem,
    RuleStatement,
    Statement,
    TermStatement,
    Transpose,
    left_level,
)

WIDTH = 100


def format_number(value: Fraction) -> str:
    """The shortest decimal that reads back as exactly this value."""
    text = repr(float(value))
    if Fraction(text) != value:
        text = _exact_decimal(value)
    if text.endswith(".0"):
        text = text[:-2]
    mantissa, e, exponent = text.partition("e")
    if mantissa.endswith(".0"):
        mantissa = mantissa[:-2]
    return mantissa + (f"e{int(exponent)}" if e else "")


def _exact_decimal(value: Fraction) -> str:
    """A literal's digits beyond float precision; literals are decimal, so the expansion ends."""
    digits = 0
    scaled = value
    while scaled.denominator != 1:
        scaled *= 10
        digits += 1
    return f"{scaled.numerator}e-{digits}" if digits else str(scaled.numerator)


def print_expression(node: Expression, minimum: int = SUM) -> str:
    """Canonical text with no more parentheses than the grammar needs."""
    text, level = _expression(node)
    return f"({text})" if level < minimum else text


def _expression(node: Expression) -> tuple[str, int]:
    match node:
        case Number(value):
            return format_number(value), ATOM
        case Name(name):
            return name, ATOM
        case Negate(operand):
            return f"-{print_expression(operand, UNARY)}", UNARY
        case Binary(symbol, left, right):
            row = OPERATORS[symbol]
            first = print_expression(
                left, left_level(symbol, left.operator if isinstance(left, Binary) else None)
            )
            return f"{first} {symbol} {print_expression(right, row.right)}", row.level
        case Transpose(operand):
            return f"{print_expression(operand, POSTFIX)}^T", POSTFIX
        case Power(base, exponent, elementwise):
            mark = ".^" if elementwise else "^"
            return f"{print_expression(base, POSTFIX)}{mark}{_exponent(exponent)}", POSTFIX
        case Call(function, arguments):
            return f"{function}({', '.join(print_expression(a) for a in arguments)})", ATOM
        case _:
            raise InternalError(f"the printer has no case for {type(node).__name__}")


def _exponent(node: Expression) -> str:
    if isinstance(node, Negate) and isinstance(node.operand, Number | Name):
        return f"-{print_expression(node.operand, ATOM)}"
    return print_expression(node, ATOM)


def _attributes(attributes: tuple[Attribute, ...]) -> str:
    return f"[{', '.join(_attribute(a) for a in attributes)}]" if attributes else ""


def _attribute(attribute: Attribute) -> str:
    if not attribute.values:
        return attribute.name
    return f"{attribute.name} = {' '.join(_atom(v) for v in attribute.values)}"


def _atom(atom: Atom) -> str:
    if atom.kind == "number":
        return format_number(Fraction(atom.text))
    return f'"{atom.text}"' if atom.kind == "string" else atom.text


def _item(item: RuleItem) -> str:
    head = "" if item.coefficient is None else f"{format_number(item.coefficient)} * "
    return f"{head}{item.name}{_attributes(item.attributes)}"


def print_statement(statement: Statement) -> str:
    """One statement in canonical form, without a line break at its end; long ones take several lines."""
    match statement:
        case LetStatement(name, expression, constant):
            return f"{'const' if constant else 'let'} {name} = {print_expression(expression)}"
        case TermStatement(name, note, expression, attributes, target):
            head = (
                f"term {name}" + ("" if target == "W" else f" for {target}") + (f' "{note}"' if note else "")
            )
            line = f"{head} = {print_expression(expression)}"
            tail = _attributes(attributes)
            return (
                f"{line}  {tail}"
                if tail and len(line) + len(tail) + 2 <= WIDTH
                else line + (f"\n  {tail}" if tail else "")
            )
        case RuleStatement(name, note, items, attributes):
            head = (
                f"rule {name}"
                + (f' "{note}"' if note else "")
                + (f" {_attributes(attributes)}" if attributes else "")
            )
            summands = [_item(i) for i in items]
            line = f"{head} = {' + '.join(summands)}"
            return line if len(line) <= WIDTH else f"{head}\n  = " + "\n  + ".join(summands)
        case _:
            raise InternalError(f"the printer has no case for {type(statement).__name__}")
