"""A rule with its numbers, terms that share a factor put together into one product.

Three coefficients that a search found apart are often one idea: θ_1 e yᵀ + θ_2 e² yᵀ is one outer product,
(θ_1 e + θ_2 e²) yᵀ. The products are a minimum vertex cover of the graph of factors, as in the compiler: the
fewest in which no written factor is split up (a product of two sums is not looked for).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ruledsl.checks import shape_of
from ruledsl.compiler import minimum_cover
from ruledsl.ir import Binary, Expression, Negate, Number, Shape, Transpose
from ruledsl.language import RuleTerm, Term, TermOptions, print_expression
from ruledsl.rules import Rule

PRODUCT = 1
"""How tightly a factor must be bound, as the printer counts it."""
DIGITS = 4
"""Of a ratio inside a product: its error is far below the interval of any coefficient."""


@dataclass(frozen=True)
class Product:
    """θ times one expression."""

    theta: float
    expression: Expression
    origin: RuleTerm | None = None
    """The term that it is, where that is more than an expression: for B, in some layers, or held."""

    @property
    def text(self) -> str:
        sign, expression = _unsigned(self.expression)
        shown = f"{abs(self.theta):.3g} * {print_expression(expression, PRODUCT)}"
        return f"{'-' if sign * self.theta < 0 else '+'} {shown}{where(self.origin)}"


def where(term: RuleTerm | None) -> str:
    """` in layer 1`, ` in layers 2–4 for B`; nothing for a term that moves W in all layers."""
    if term is None:
        return ""
    moved = "" if term.term.target == "W" else f" for {term.term.target}"
    if not term.options.layers:
        return moved
    ranges = ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in term.options.layers)
    return f" in {'layer' if ranges.isdigit() else 'layers'} {ranges}{moved}"


Pair = tuple[str, str]


@dataclass(frozen=True)
class Outer:
    """A term read as sign · left rightᵀ."""

    sign: int
    left: Expression
    right: Expression

    @classmethod
    def of(cls, expression: Expression) -> Outer | None:
        """None for what is no outer product of a postsynaptic and a presynaptic vector."""
        sign, unsigned = _unsigned(expression)
        sides = _sides(unsigned)
        if sides is None:
            return None
        (left_sign, left), (right_sign, right) = (_unsigned(side) for side in sides)
        return cls(sign * left_sign * right_sign, left, right)

    @property
    def pair(self) -> Pair:
        return print_expression(self.left), print_expression(self.right)

    @property
    def trees(self) -> dict[str, Expression]:
        return dict(zip(self.pair, (self.left, self.right), strict=True))


def factored(theta: Mapping[str, float], rule: Rule) -> list[Product]:
    """Σ θ_r F^r as outer products, and what is none of them; the largest |θ| stands first in a product.

    `rule` has the terms that are named, and may have others.
    """
    known = {term.name: term for term in rule.definition.terms}
    single: list[Product] = []
    pairs: dict[Pair, float] = {}
    trees: dict[str, Expression] = {}
    for name, value in theta.items():
        term = known[name]
        if not _is_plain(term):
            single.append(Product(value, term.term.expression, term))
            continue
        outer = Outer.of(term.term.expression)
        if outer is None:
            sign, expression = _unsigned(term.term.expression)
            single.append(Product(sign * value, expression))
            continue
        trees |= outer.trees
        pairs[outer.pair] = pairs.get(outer.pair, 0.0) + outer.sign * value
    return [*_products(pairs, trees), *single]


def formula(theta: Mapping[str, float], rule: Rule) -> str:
    """Σ θ_r F^r on one line, with its numbers, terms that share a factor put together:
    `0.02 * (e_post - 0.5 * y_post) * y_pre^T - 0.001 * W`."""
    return " ".join(product.text for product in factored(theta, rule)).removeprefix("+ ")


def _is_plain(term: RuleTerm) -> bool:
    """Whether it is its expression and a number, and nothing else."""
    options = (term.options.layers, term.options.fixed, term.options.minimum, term.options.maximum)
    return term.term.target == "W" and not term.companions and all(option is None for option in options)


def _products(pairs: Mapping[Pair, float], trees: Mapping[str, Expression]) -> list[Product]:
    lefts, rights = minimum_cover(pairs)
    found = []
    for left in dict.fromkeys(pair[0] for pair in pairs):
        if left in lefts:
            own = {r: v for (a, r), v in pairs.items() if a == left}
            value, total = weighted_sum(own, trees)
            found.append(Product(value, Binary("*", trees[left], Transpose(total))))
    for right in dict.fromkeys(pair[1] for pair in pairs):
        own = {a: v for (a, r), v in pairs.items() if r == right and a not in lefts}
        if right in rights and own:
            value, total = weighted_sum(own, trees)
            found.append(Product(value, Binary("*", total, Transpose(trees[right]))))
    return found


def weighted_sum(parts: Mapping[str, float], trees: Mapping[str, Expression]) -> tuple[float, Expression]:
    """A sum with its largest number taken out of it."""
    order = sorted(parts, key=lambda text: -abs(parts[text]))
    largest = parts[order[0]]
    total = trees[order[0]]
    for text in order[1:]:
        ratio = Fraction(f"{parts[text] / largest:.{DIGITS}g}") if largest else Fraction(0)
        if ratio:
            one = abs(ratio) == 1
            scaled = trees[text] if one else Binary("*", Number(abs(ratio)), trees[text])
            total = Binary("+" if ratio > 0 else "-", total, scaled)
    return largest, total


def _unsigned(expression: Expression) -> tuple[int, Expression]:
    """Its sign, and what it is without. `-a * b` is read as (−a) b: the sign stands at the first factor."""
    if isinstance(expression, Negate):
        sign, inner = _unsigned(expression.operand)
        return -sign, inner
    if isinstance(expression, Binary) and expression.operator in ("*", "/"):
        sign, left = _unsigned(expression.left)
        return sign, Binary(expression.operator, left, expression.right) if sign < 0 else expression
    return 1, expression


def divided(expression: Expression, number: Expression) -> Expression:
    """By a number; an outer product stays one: its postsynaptic factor is divided."""
    outer = Outer.of(expression)
    if outer is None:
        return Binary("/", expression, number)
    left = Binary("/", outer.left, number)
    return Binary("*", Negate(left) if outer.sign < 0 else left, Transpose(outer.right))


def _sides(expression: Expression) -> tuple[Expression, Expression] | None:
    """(f, g) of an outer product f gᵀ."""
    if not (isinstance(expression, Binary) and expression.operator == "*"):
        return None
    left, right = expression.left, expression.right
    if (
        isinstance(right, Transpose)
        and shape_of(left) == Shape("post")
        and shape_of(right.operand) == Shape("pre")
    ):
        return left, right.operand
    return None


def factored_terms(theta: Mapping[str, float], rule: Rule) -> Sequence[RuleTerm]:
    """The same as terms of a rule, each starting at its θ: what a person would write."""
    return [_term(number, product) for number, product in enumerate(factored(theta, rule), start=1)]


def _term(number: int, product: Product) -> RuleTerm:
    start = float(f"{product.theta:.6g}")
    if product.origin is None:
        term = Term(f"product_{number}", product.expression)
        return RuleTerm(term.name, term, TermOptions(init=start))
    held = product.origin.options.fixed is not None
    options = product.origin.options if held else replace(product.origin.options, init=start)
    return replace(product.origin, options=options)
