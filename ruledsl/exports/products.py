"""A rule as sums of products of what one synapse holds: what event-driven simulators and chips can say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import sympy as sp

from ruledsl.algebra import (
    POST_CELL,
    PRE_CELL,
    SIZE,
    Contract,
    Entry,
    factors_of,
    index_text,
    renamed,
    side_of,
    summands_of,
)
from ruledsl.exports.refusal import Fault, NotExpressible, refuse_other_targets
from ruledsl.exports.subject import Subject
from ruledsl.rules import Piece, Rule, rule


@dataclass(frozen=True)
class Product:
    """coefficient · Π quantity^power, of one synapse."""

    coefficient: float
    powers: tuple[tuple[str, int], ...]

    def factors(self) -> Iterator[str]:
        """Each as often as it stands in the product."""
        for quantity, power in self.powers:
            yield from [quantity] * power

    def value(self, held: Mapping[str, float]) -> float:
        """What it comes to, of what a synapse holds."""
        total = self.coefficient
        for factor in self.factors():
            total *= held[factor]
        return total


@dataclass(frozen=True)
class Language:
    """What a synapse holds in a simulator or on a chip."""

    name: str
    holds: Collection[str]
    lacking: Mapping[str, str]
    """Why a quantity is not among it."""


def products_of(subject: Subject, language: Language) -> list[list[Product]]:
    """ΔW of one synapse by Θ, for each layer of weights. Raises `NotExpressible` with the nearest that can be
    said."""
    refuse_other_targets(language.name, subject.rule)
    for piece in subject.rule.pieces:
        _refuse(piece, language)
    sizes = subject.settings.sizes
    return [
        _layer(subject, layer, {SIZE["pre"]: int(sizes[layer - 1]), SIZE["post"]: int(sizes[layer])})
        for layer in range(1, subject.settings.depth + 1)
    ]


def _refuse(piece: Piece, language: Language) -> None:
    """Raise `NotExpressible` for the first factor of a term that is not among what a synapse holds."""
    for summand in summands_of(sp.expand(piece.form.entry)):
        for factor in factors_of(summand):
            base, power = factor.as_base_exp()
            if factor.is_number or factor.free_symbols <= set(SIZE.values()):
                continue
            reading = frozenset(e.quantity for e in base.atoms(Entry))
            whole = power.is_Integer and power > 0
            if isinstance(base, Contract):
                why = f"{index_text(base)} is a sum over cells, and a synapse there knows its own two"
                raise _own_part(language, why, piece, reading)
            fault = Fault(piece, reading)
            if not isinstance(base, Entry) or not whole:
                why = f"{index_text(factor)} is no product of what a synapse holds"
                raise NotExpressible(language.name, why, "", fault)
            if base.quantity not in language.holds:
                why = language.lacking.get(base.quantity, "no synapse there holds it")
                raise NotExpressible(language.name, f"it reads {base.quantity}: {why}", "", fault)


def _own_part(language: Language, why: str, piece: Piece, reading: frozenset[str]) -> NotExpressible:
    """Of each sum, the nearest that a synapse can do is what its own cells add to it."""
    own = {"post": POST_CELL, "pre": PRE_CELL}

    def kept(total: Contract) -> sp.Expr:
        return renamed(total.body, {k: own[side_of(k)] for k in total.bound})

    nearest = sp.expand(piece.form.entry.replace(lambda e: isinstance(e, Contract), kept))
    told = f"of each sum keep what the synapse's own cells add: {piece.entry} = {index_text(nearest)}"
    summands = [_product(s, {}) for s in summands_of(nearest)]
    text = " + ".join(f"{p.coefficient!r} * {_text(p)}" for p in summands if p is not None)
    instead = text if None not in summands and piece.term.target == "W" else ""
    return NotExpressible(language.name, why, told, Fault(piece, reading, instead))


def _product(summand: sp.Expr, sizes: Mapping[sp.Symbol, int]) -> Product | None:
    """A summand as a product; None where it is none of entries and numbers."""
    number, powers = 1.0, dict[str, int]()
    for factor in factors_of(summand):
        base, power = factor.as_base_exp()
        known = factor.xreplace(dict(sizes))
        if isinstance(base, Entry) and power.is_Integer and power > 0:
            powers[base.quantity] = powers.get(base.quantity, 0) + int(power)
        elif known.is_number:
            number *= float(sp.N(known))
        else:
            return None
    return Product(number, tuple(sorted(powers.items())))


def _layer(subject: Subject, layer: int, sizes: Mapping[sp.Symbol, int]) -> list[Product]:
    """What Θ makes of one layer's terms, equal products joined."""
    found: dict[tuple[tuple[str, int], ...], float] = {}
    for piece in subject.rule.pieces:
        if subject.rule.program.acts_in(piece.coefficient, layer):
            for summand in summands_of(sp.expand(piece.form.entry)):
                own = _product(summand, sizes)
                assert own is not None  # `_refuse` let it pass
                number = subject.theta[piece.coefficient] * own.coefficient
                found[own.powers] = found.get(own.powers, 0.0) + number
    return [Product(number, powers) for powers, number in found.items()]


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
