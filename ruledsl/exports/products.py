"""A rule as sums of products of what one synapse holds: what event-driven simulators and chips can say."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

from ruledsl.algebra import NoProduct, Product, index_text, own_part, products_of
from ruledsl.exports.refusal import Fault, NotExpressible, refuse_other_targets
from ruledsl.exports.subject import Subject
from ruledsl.ir import Side
from ruledsl.rules import Piece, Rule, rule


@dataclass(frozen=True)
class Language:
    """What a synapse holds in a simulator or on a chip."""

    name: str
    holds: Collection[str]
    lacking: Mapping[str, str]
    """Why a quantity is not among it."""


def layer_products(subject: Subject, language: Language) -> list[list[Product]]:
    """ΔW of one synapse by Θ, for each layer of weights. Raises `NotExpressible` with the nearest that can be
    said."""
    refuse_other_targets(language.name, subject.rule)
    cells = [int(n) for n in subject.settings.sizes]
    found: list[list[Product]] = []
    for layer, (below, own) in enumerate(pairwise(cells), start=1):
        total: dict[tuple[tuple[str, int], ...], float] = {}
        for piece in subject.rule.pieces:
            products = _said(piece, language, {"pre": below, "post": own})
            if subject.rule.program.acts_in(piece.coefficient, layer):
                for one in products:
                    number = subject.theta[piece.coefficient] * one.coefficient
                    total[one.powers] = total.get(one.powers, 0.0) + number
        found.append([Product(number, powers) for powers, number in total.items()])
    return found


def _said(piece: Piece, language: Language, sizes: Mapping[Side, int]) -> list[Product]:
    """A term's products. Raises `NotExpressible` for the first factor that is not what a synapse holds."""
    products = products_of(piece.form, sizes)
    if isinstance(products, NoProduct):
        if products.is_sum:
            raise _own_part(language, piece, products)
        why = f"{products.text} is no product of what a synapse holds"
        raise NotExpressible(language.name, why, "", Fault(piece, products.reading))
    for product in products:
        for quantity, _ in product.powers:
            if quantity not in language.holds:
                why = language.lacking.get(quantity, "no synapse there holds it")
                fault = Fault(piece, frozenset({quantity}))
                raise NotExpressible(language.name, f"it reads {quantity}: {why}", "", fault)
    return products


def _own_part(language: Language, piece: Piece, total: NoProduct) -> NotExpressible:
    """Of each sum, the nearest that a synapse can do is what its own cells add to it."""
    nearest = own_part(piece.form)
    products = products_of(nearest)
    said = products if isinstance(products, list) else []
    text = " + ".join(f"{p.coefficient!r} * {_text(p)}" for p in said)
    return NotExpressible(
        language.name,
        f"{total.text} is a sum over cells, and a synapse there knows its own two",
        f"of each sum keep what the synapse's own cells add: {piece.entry} = {index_text(nearest.entry)}",
        Fault(piece, total.reading, text),
    )


def as_rule(layers: list[list[Product]], name: str) -> Rule:
    """Products as a rule of the language, Θ being its initial values."""
    lines, terms = [], []
    for layer, products in enumerate(layers, start=1):
        for number, product in enumerate(products):
            term = f"part_{layer}_{number}"
            lines.append(f"term {term} = {_text(product)}")
            terms.append(f"{term}[init = {product.coefficient!r}, layers = {layer}]")
    return rule("\n".join([*lines, f"rule {name} = " + " + ".join(terms)]))


def _text(product: Product) -> str:
    """A product of entries as an expression of vectors: those of post · those of preᵀ, times W by entries."""
    sides, scalars, weights = {"post": ["1_post"], "pre": ["1_pre"]}, list[str](), list[str]()
    for factor in product.factors():
        rest = weights if factor == "W" else scalars
        sides.get(factor.partition("_")[2], rest).append(factor)
    outer = " * ".join([*scalars, f"({' .* '.join(sides['post'])})", f"({' .* '.join(sides['pre'])})^T"])
    return " .* ".join([f"({outer})", *weights])
