"""A rule with a Θ of its own for every layer, or for every pair of populations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ruledsl.ir import Binary, Expression, Locality, Name, Transpose
from ruledsl.language import RuleTerm, Term
from ruledsl.rules.checking import check
from ruledsl.rules.rule import Rule

Split = Callable[[RuleTerm, int], list[RuleTerm]]


def apart(rule: Rule, per: str, depth: int) -> Rule:
    """The rule split per `layer` or `population`; `network` leaves it as it is.

    The result is a rule like any other: its text says `a[layers = 2]`, or multiplies by `exc_post`, `inh_pre`
    ….
    """
    if per == "network":
        return rule
    terms = tuple(part for item in rule.definition.terms for part in SPLITS[per](item, depth))
    return check(replace(rule.definition, terms=terms), Locality.layer)


def per_layer(item: RuleTerm, depth: int) -> list[RuleTerm]:
    """One coefficient for each layer that a term acts in."""
    ranges = item.options.layers or ((1, depth),)
    layers = [n for low, high in ranges for n in range(low, high + 1)]
    base = item.name.partition("[")[0]
    return [
        replace(item, name=f"{base}[{n}]", options=replace(item.options, layers=((n, n),))) for n in layers
    ]


def per_population(item: RuleTerm, _depth: int) -> list[RuleTerm]:
    """One coefficient for each pair of a postsynaptic and a presynaptic population: `_ei` is from i to e."""
    parts = []
    for post in ("exc", "inh"):
        for pre in ("exc", "inh"):
            suffix = f"_{post[0]}{pre[0]}"
            own = _confined(item.term, post, pre, suffix)
            others = tuple(_confined(term, post, pre, suffix) for term in item.companions)
            parts.append(replace(item, name=item.name + suffix, term=own, companions=others))
    return parts


SPLITS: dict[str, Split] = {"layer": per_layer, "population": per_population}


def _confined(term: Term, post: str, pre: str, suffix: str) -> Term:
    """A term that moves only what lies between two populations."""
    rows, columns = Name(f"{post}_post"), Name(f"{pre}_pre")
    if term.target == "bias":
        mask: Expression = rows
    else:
        first, second = (rows, columns) if term.target == "W" else (columns, rows)
        mask = Binary("*", first, Transpose(second))
    depth = 1 + max(term.expression.depth, 3)
    expression = Binary(".*", term.expression, mask, span=term.expression.span, depth=depth)
    return replace(term, name=term.name + suffix, expression=expression)
