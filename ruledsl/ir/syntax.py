"""The syntax tree of `.rule` files. Spans never take part in comparison: equal text means equal trees."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from ruledsl.ir.source import SourceFile, Span

NO_SPAN = Span(0, 0)


@dataclass(frozen=True)
class Number:
    """A literal. The value is exact: `0.1` is one tenth."""

    value: Fraction
    span: Span = field(default=NO_SPAN, compare=False, repr=False)
    depth: int = field(default=1, compare=False, repr=False)


@dataclass(frozen=True)
class Name:
    """A quantity, a constant or an abbreviation; which one is settled when names are resolved."""

    name: str
    span: Span = field(default=NO_SPAN, compare=False, repr=False)
    depth: int = field(default=1, compare=False, repr=False)


@dataclass(frozen=True)
class Negate:
    operand: Expression
    span: Span = field(default=NO_SPAN, compare=False, repr=False)
    depth: int = field(default=1, compare=False, repr=False)


BinaryOperator = Literal["+", "-", "*", ".*", "/"]


@dataclass(frozen=True)
class Binary:
    operator: BinaryOperator
    left: Expression
    right: Expression
    span: Span = field(default=NO_SPAN, compare=False, repr=False)
    operator_span: Span = field(default=NO_SPAN, compare=False, repr=False)
    depth: int = field(default=1, compare=False, repr=False)


@dataclass(frozen=True)
class Power:
    """`base .^ exponent` (each entry) or, for scalars only, `base ^ exponent`."""

    base: Expression
    exponent: Expression
    elementwise: bool
    span: Span = field(default=NO_SPAN, compare=False, repr=False)
    depth: int = field(default=1, compare=False, repr=False)


@dataclass(frozen=True)
class Transpose:
    operand: Expression
    span: Span = field(default=NO_SPAN, compare=False, repr=False)
    depth: int = field(default=1, compare=False, repr=False)


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Expression, ...]
    span: Span = field(default=NO_SPAN, compare=False, repr=False)
    name_span: Span = field(default=NO_SPAN, compare=False, repr=False)
    depth: int = field(default=1, compare=False, repr=False)


Expression = Number | Name | Negate | Binary | Power | Transpose | Call


def children(node: Expression) -> tuple[Expression, ...]:
    """The direct sub-expressions of a node, left to right."""
    match node:
        case Negate(operand) | Transpose(operand):
            return (operand,)
        case Binary(_, left, right):
            return (left, right)
        case Power(base, exponent):
            return (base, exponent)
        case Call(_, arguments):
            return arguments
        case _:
            return ()


def operands(node: Expression) -> tuple[Expression, ...]:
    """Those of its children that are computed anew for each sample: no exponent, and no trace's time."""
    if isinstance(node, Power):
        return (node.base,)
    if isinstance(node, Call) and node.function == "trace":
        return node.arguments[:1]
    return children(node)


@dataclass(frozen=True)
class Atom:
    """One word of an attribute's value: a number, a name, a string or a range `2..4`."""

    kind: Literal["number", "name", "string", "range"]
    text: str
    span: Span = field(default=NO_SPAN, compare=False, repr=False)


@dataclass(frozen=True)
class Attribute:
    """`name`, or `name = value …`, between the brackets that may close a statement."""

    name: str
    values: tuple[Atom, ...] = ()
    span: Span = field(default=NO_SPAN, compare=False, repr=False)
    name_span: Span = field(default=NO_SPAN, compare=False, repr=False)


@dataclass(frozen=True)
class TermStatement:
    name: str
    note: str | None
    expression: Expression
    attributes: tuple[Attribute, ...] = ()
    target: str = "W"
    span: Span = field(default=NO_SPAN, compare=False, repr=False)
    name_span: Span = field(default=NO_SPAN, compare=False, repr=False)
    target_span: Span = field(default=NO_SPAN, compare=False, repr=False)


@dataclass(frozen=True)
class RuleItem:
    """One summand of a rule: an optional fixed coefficient, a name, and attributes of its own."""

    name: str
    coefficient: Fraction | None = None
    attributes: tuple[Attribute, ...] = ()
    span: Span = field(default=NO_SPAN, compare=False, repr=False)
    name_span: Span = field(default=NO_SPAN, compare=False, repr=False)


@dataclass(frozen=True)
class RuleStatement:
    name: str
    note: str | None
    items: tuple[RuleItem, ...]
    attributes: tuple[Attribute, ...] = ()
    span: Span = field(default=NO_SPAN, compare=False, repr=False)
    name_span: Span = field(default=NO_SPAN, compare=False, repr=False)


@dataclass(frozen=True)
class LetStatement:
    """`let` names any expression, `const` a number; both are seen in their own file only."""

    name: str
    expression: Expression
    constant: bool = False
    span: Span = field(default=NO_SPAN, compare=False, repr=False)
    name_span: Span = field(default=NO_SPAN, compare=False, repr=False)


Statement = TermStatement | RuleStatement | LetStatement


@dataclass(frozen=True)
class Module:
    """One parsed `.rule` file."""

    source: SourceFile = field(compare=False, repr=False)
    statements: tuple[Statement, ...]
