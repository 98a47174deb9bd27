"""What differs between two rules after algebra: names, spacing and the order of factors do not count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from ruledsl.algebra import express
from ruledsl.language import RuleTerm, print_expression
from ruledsl.rules.rule import Rule


@dataclass(frozen=True)
class TermDifference:
    """One term of the second rule (or of the first, when it is gone there).

    `kind`: `same`, `renamed`, `scaled` (one other term times a factor), `sum` (of several), `added`, `gone`.
    `parts`: the first rule's terms it is made of, with factors. `options`: start, bounds or layers that
    differ.
    """

    name: str
    kind: str
    parts: Mapping[str, Fraction]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class RuleDifference:
    """`same_family`: for every Θ of one rule there is a Θ of the other with the same update."""

    terms: tuple[TermDifference, ...]
    same_family: bool
    feedback: tuple[str | None, str | None]

    @property
    def is_empty(self) -> bool:
        equal = all(t.kind == "same" and not t.options for t in self.terms)
        return equal and self.feedback[0] == self.feedback[1]


def rule_difference(first: Rule, second: Rule) -> RuleDifference:
    """Each term of `second` in terms of `first`, and what is gone."""
    forms = dict(zip(first.names, first.forms, strict=True))
    items = {t.name: t for t in first.definition.terms}
    rows: list[TermDifference] = []
    for item, form in zip(second.definition.terms, second.forms, strict=True):
        known = {n: f for n, f in forms.items() if items[n].term.target == item.term.target}
        ordered = {item.name: known[item.name], **known} if item.name in known else known
        parts = express(form, item.name, ordered).sum
        options = tuple(_options(items[next(iter(parts))], item)) if len(parts) == 1 else ()
        rows.append(TermDifference(item.name, _kind(item.name, parts), parts, options))
    pairs = list(zip(second.definition.terms, second.forms, strict=True))
    missing = [
        name
        for name, form in forms.items()
        if not express(
            form, name, {t.name: f for t, f in pairs if t.term.target == items[name].term.target}
        ).sum
    ]
    rows += [TermDifference(name, "gone", {}) for name in missing]
    confined = any(
        t.options.layers or t.companions for t in (*first.definition.terms, *second.definition.terms)
    )
    spans = not missing and all(r.parts for r in rows)
    return RuleDifference(
        tuple(rows),
        spans and (not confined or all(not r.options for r in rows)),
        (first.definition.feedback, second.definition.feedback),
    )


def _kind(name: str, parts: Mapping[str, Fraction]) -> str:
    if not parts:
        return "added"
    if len(parts) > 1:
        return "sum"
    ((other, factor),) = parts.items()
    if factor != 1:
        return "scaled"
    return "same" if other == name else "renamed"


def _shared(item: RuleTerm) -> str:
    """The terms that an item's coefficient scales too, as text."""
    return (
        ", ".join(f"{print_expression(t.expression)} (for {t.target})" for t in item.companions) or "nothing"
    )


def _options(old: RuleTerm, new: RuleTerm) -> list[str]:
    pairs = {
        "layers": (old.options.layers, new.options.layers),
        "fixed": (old.options.fixed, new.options.fixed),
        "init": (old.initial, new.initial),
        "min": (old.options.minimum, new.options.minimum),
        "max": (old.options.maximum, new.options.maximum),
        "shares θ with": (_shared(old), _shared(new)),
    }
    shown = {None: "none"}
    return [f"{k}: {shown.get(a, a)} → {shown.get(b, b)}" for k, (a, b) in pairs.items() if a != b]  # type: ignore[call-overload]
