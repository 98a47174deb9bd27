"""Shapes with symbolic sizes: one fold over the tree, one fact per node, one diagnostic per fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from ruledsl.ir import (
    SCALAR,
    WEIGHTS,
    Binary,
    Call,
    Diagnostic,
    Expression,
    InternalError,
    Location,
    Name,
    Negate,
    Number,
    Power,
    Shape,
    SourceFile,
    Span,
    Transpose,
    operands,
)
from ruledsl.language import FUNCTIONS, TARGETS, Term, print_expression, shape_of_quantity


def check_term(term: Term) -> list[Diagnostic]:
    """Every shape fault of a term; an empty list proves that it has the shape of what it moves."""
    checker = _Checker(term.source)
    shape, target = checker.shape(term.expression), TARGETS[term.target]
    if shape is not None and shape != target.shape:
        needed = {
            "W": "a term must have one row per postsynaptic and one column per presynaptic cell",
            "B": "a term for `B` must have one row per presynaptic and one column per postsynaptic cell",
            "bias": "a term for `bias` must have one number per postsynaptic cell",
        }[term.target]
        if target.shape == WEIGHTS:
            help = _to_update(term.expression, shape)
        else:
            help = (
                f"transpose it: `{_transposed(term.expression)}`"
                if shape == target.shape.transposed
                else None
            )
        checker.fault("not-an-update", needed, term.expression.span, target.shown_shape, str(shape), help)
    return checker.faults


def shape_of(expression: Expression) -> Shape:
    """The shape of an expression that is known to be well formed."""
    checker = _Checker(SourceFile("<checked>", ""))
    shape = checker.shape(expression)
    if shape is None:
        raise InternalError(f"an unchecked expression reached a later stage: {checker.faults[0].message}")
    return shape


def literal_cost(expression: Expression, size: Callable[[str | None], int]) -> int:
    """Multiplications of evaluating the tree as written, left to right, each product in full.

    `size` gives the number of cells of `pre` and `post`, and 1 for `None`.
    """
    checker = _Checker(SourceFile("<checked>", ""))
    count = 0
    pending = [expression]
    while pending:
        node = pending.pop()
        pending.extend(operands(node))
        shape = checker.shape(node) or SCALAR
        entries = size(shape.rows) * size(shape.columns)
        inner = checker.shape(node.left) if isinstance(node, Binary) and node.operator == "*" else None
        if isinstance(node, Number | Name | Transpose):
            continue
        if isinstance(node, Call) and FUNCTIONS[node.function].kind == "reduction":
            argument = checker.shape(node.arguments[0]) or SCALAR
            entries = size(argument.rows) * size(argument.columns)
        count += entries * (size(inner.columns) if inner else 1)
    return count


@dataclass
class _Checker:
    """The fold. A node with a faulty child has no shape and adds no fault of its own."""

    source: SourceFile
    faults: list[Diagnostic] = field(default_factory=list)

    def fault(
        self,
        code: str,
        message: str,
        span: Span,
        expected: str | None,
        found: str | None,
        help: str | None = None,
    ) -> None:
        diagnostic = Diagnostic(code, message, Location(self.source, span), expected, found, help)
        if diagnostic not in self.faults:
            self.faults.append(diagnostic)

    def shape(self, node: Expression) -> Shape | None:
        match node:
            case Number():
                return SCALAR
            case Name(name):
                return shape_of_quantity(name)
            case Negate(operand):
                return self.shape(operand)
            case Transpose(operand):
                inner = self.shape(operand)
                return inner.transposed if inner else None
            case Binary():
                return self._binary(node)
            case Power():
                return self._power(node)
            case Call():
                return self._call(node)
        raise InternalError(f"the shape check has no case for {type(node).__name__}")

    def _binary(self, node: Binary) -> Shape | None:
        left, right = self.shape(node.left), self.shape(node.right)
        if left is None or right is None:
            return None
        if node.operator in ("+", "-"):
            return self._sum(node, left, right)
        if node.operator == "/":
            return self._quotient(node, left, right)
        if left.is_scalar or right.is_scalar:
            return right if left.is_scalar else left
        if node.operator == ".*":
            return self._hadamard(node, left, right)
        if left.columns == right.rows:
            return Shape(left.rows, right.columns)
        found = f"{left} `*` {right}"
        help = _repaired_product(node, left, right)
        message = f"the inner sizes of this product differ: {left.columns or 1} and {right.rows or 1}"
        self.fault("shape-product", message, node.operator_span,
                   f"{left} `*` {left.columns or 1}×…", found, help)  # fmt: skip
        return None

    def _sum(self, node: Binary, left: Shape, right: Shape) -> Shape | None:
        if left == right:
            return left
        help = None
        full = right if left.is_scalar else left
        if left.is_scalar or right.is_scalar:
            number = node.left if left.is_scalar else node.right
            ones = {
                Shape("post", "pre"): "1_post * 1_pre^T",
                Shape("post"): "1_post",
                Shape("pre"): "1_pre",
            }.get(full)
            if ones:
                shown = print_expression(number, 2)
                spread = ones if shown == "1" else f"{shown} * {ones}"
                help = f"a number is not added to a {full}; write `{spread}`"
        elif left == right.transposed:
            help = f"transpose one side: `{_transposed(node.right)}`"
        self.fault("shape-sum", f"`{node.operator}` needs two sides of one shape", node.operator_span,
                   f"{full} `{node.operator}` {full}", f"{left} `{node.operator}` {right}", help)  # fmt: skip
        return None

    def _quotient(self, node: Binary, left: Shape, right: Shape) -> Shape | None:
        if right.is_scalar:
            return left
        help = None
        if left in (right, SCALAR):
            top = f"{print_expression(node.left, 1)} .* " if left == right else ""
            help = f"divide entry by entry with `{top}{print_expression(node.right, 3)}.^-1`"
        self.fault("shape-quotient", "only a scalar can stand below `/`", node.operator_span,
                   f"{left} `/` scalar", f"{left} `/` {right}", help)  # fmt: skip
        return None

    def _hadamard(self, node: Binary, left: Shape, right: Shape) -> Shape | None:
        if left == right:
            return left
        help = None
        if left == right.transposed:
            help = f"transpose one side: `{_transposed(node.right)}`"
        elif left.columns == right.rows:
            first, second = print_expression(node.left, 1), print_expression(node.right, 2)
            help = f"for the matrix product write `{first} * {second}`"
        elif right.columns is None and right.rows == left.rows:
            matrix, vector = print_expression(node.left, 2), print_expression(node.right)
            help = f"to scale rows write `diag({vector}) * {matrix}`"
        self.fault("shape-elementwise", "`.*` needs two sides of one shape", node.operator_span,
                   f"{left} `.*` {left}", f"{left} `.*` {right}", help)  # fmt: skip
        return None

    def _power(self, node: Power) -> Shape | None:
        base = self.shape(node.base)
        if base is None:
            return None
        if constant_value(node.exponent) is None:
            self.fault("bad-exponent", "an exponent is a number", node.exponent.span, "a constant such as "
                "`2` or `1/2`",
                       f"`{print_expression(node.exponent)}`")  # fmt: skip
            return None
        if not node.elementwise and not base.is_scalar:
            exponent = print_expression(node.exponent, 4)
            self.fault("shape-power", "`^` raises scalars only", node.span, "a scalar base", str(base),
                       f"each entry is raised by `{print_expression(node.base, 3)}.^{exponent}`")  # fmt: skip
            return None
        return base

    def _call(self, node: Call) -> Shape | None:
        shapes = [self.shape(a) for a in node.arguments]
        if any(s is None for s in shapes):
            return None
        known = [s for s in shapes if s is not None]
        spec = FUNCTIONS[node.function]
        if spec.kind == "elementwise":
            return known[0]
        if spec.kind == "reduction":
            return SCALAR
        if spec.kind == "memory":
            return self._trace(node, known[0])
        for argument, shape in zip(node.arguments, known, strict=True):
            if shape.columns is not None or shape.rows is None:
                transposed = shape.rows is None and shape.columns is not None
                help = f"transpose it: `{_transposed(argument)}`" if transposed else None
                self.fault("shape-argument", f"`{node.function}` takes column vectors", argument.span,
                           "pre×1 or post×1", str(shape), help)  # fmt: skip
                return None
        return Shape(known[0].rows, known[-1].rows)

    def _trace(self, node: Call, shape: Shape) -> Shape | None:
        tau = constant_value(node.arguments[1])
        if tau is None or tau < 1:
            self.fault("bad-time", "a trace's time is a number of samples, at least 1",
            node.arguments[1].span,
                       "a constant such as `20`", f"`{print_expression(node.arguments[1])}`",
                       "trace(x, 1) is x itself")  # fmt: skip
            return None
        if shape.is_scalar:
            message = "`trace` follows a vector or a matrix: something that cells or synapses can keep"
            span = node.arguments[0].span
            self.fault("shape-argument", message, span, "pre×1, post×1 or post×pre", str(shape))
            return None
        return shape


MAX_CONSTANT_POWER = 64


def constant_value(node: Expression) -> Fraction | None:
    """The exact value of an expression of literals with `+ - * /` and integer powers, else None."""
    match node:
        case Number(value):
            return value
        case Negate(operand):
            inner = constant_value(operand)
            return None if inner is None else -inner
        case Binary(operator, left, right):
            first, second = constant_value(left), constant_value(right)
            if first is None or second is None:
                return None
            if operator == "/":
                return first / second if second else None
            return (
                first + second if operator == "+" else first - second if operator == "-" else first * second
            )
        case Power(base, exponent):
            first, second = constant_value(base), constant_value(exponent)
            if first is None or second is None or second.denominator != 1 or abs(second) > MAX_CONSTANT_POWER:
                return None
            return first ** int(second) if first or second > 0 else None
        case _:
            return None


def _repaired_product(node: Binary, left: Shape, right: Shape) -> str | None:
    """The transposition that makes a product fit, written out."""
    first, second = print_expression(node.left, 1), print_expression(node.right, 2)
    if left.rows == right.rows and left.columns is None and right.columns is None:
        inner = f"{_transposed(node.left)} * {second}"
        return f"for the inner product write `{inner}`, entry by entry `{first} .* {second}`"
    if left.columns == right.transposed.rows:
        return f"did you mean `{first} * {_transposed(node.right)}`?"
    if left.transposed.columns == right.rows:
        return f"did you mean `{_transposed(node.left)} * {second}`?"
    return None


def _transposed(node: Expression) -> str:
    """The transpose written out, without transposing twice."""
    return (
        print_expression(node.operand, 2) if isinstance(node, Transpose) else f"{print_expression(node, 3)}^T"
    )


def _to_update(expression: Expression, shape: Shape) -> str | None:
    text, tight = print_expression(expression, 1), print_expression(expression, 3)
    if shape == WEIGHTS.transposed:
        return f"transpose it: `{_transposed(expression)}`"
    if shape == Shape("post"):
        return f"multiply by a presynaptic quantity: `{text} * y_pre^T`"
    if shape == Shape("pre"):
        return f"multiply by a postsynaptic quantity: `y_post * {tight}^T`"
    if shape == Shape(None, "pre"):
        return f"multiply by a postsynaptic quantity: `y_post * {print_expression(expression, 2)}`"
    if shape.is_scalar:
        return f"multiply by something post×pre: `{text} * W`"
    return None
