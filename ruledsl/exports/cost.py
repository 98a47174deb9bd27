"""What it costs to leave out the terms that a language cannot say, measured with Θ as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ruledsl.exports.refusal import NotExpressible
from ruledsl.exports.subject import Subject
from ruledsl.ir import Locality
from ruledsl.rules import check
from ruledsl.rules import rule as rule_of
from ruledsl.settings import EXPORTED
from ruledsl.statistics import Interval
from ruledsl.studies import evaluate

SAMPLES, CLASSES, SEEDS = 250, 5, 6
"""A stream as an episode's, in networks that were not meta-trained on."""


Nearest = tuple[Subject, list[str], list[str]]
"""A rule, the names of terms that were changed to get there, and of those left out."""


def nearest(subject: Subject, write: Callable[[Subject], str]) -> Nearest | None:
    """The rule with what `write` refuses replaced by the nearest it can say, or left out. None where that is
    no help."""
    changed: list[str] = []
    left_out: list[str] = []
    while True:
        try:
            write(subject)
        except NotExpressible as refusal:
            if refusal.fault is None:
                return None
            name = subject.rule.names[refusal.fault.piece.coefficient]
            if refusal.fault.instead and name not in changed:
                changed.append(name)
                subject = replaced(subject, name, refusal.fault.instead)
            elif len(subject.rule.names) == 1:
                return None
            else:
                left_out.append(name)
                subject = without(subject, name)
        else:
            return subject, [n for n in changed if n not in left_out], left_out


def replaced(subject: Subject, name: str, text: str) -> Subject:
    """The rule with another expression for a term, Θ as it is."""
    (own,) = rule_of(f"term {name} = {text}\nrule other = {name}").definition.terms
    definition = subject.rule.definition
    terms = tuple(replace(item, term=own.term) if item.name == name else item for item in definition.terms)
    return replace(subject, rule=check(replace(definition, terms=terms), max(Locality)))


def without(subject: Subject, name: str) -> Subject:
    """The rule without a term, Θ of the others as it is."""
    definition = subject.rule.definition
    kept = [n for n, term in enumerate(definition.terms) if term.name != name]
    terms = tuple(definition.terms[n] for n in kept)
    further = subject.theta[len(subject.rule.names) :]
    theta = (*(subject.theta[n] for n in kept), *further)
    return replace(subject, rule=check(replace(definition, terms=terms), max(Locality)), theta=theta)


def cost_of(subject: Subject, write: Callable[[Subject], str], data: Mapping[str, Any]) -> str:
    """A sentence: accuracy of the rule, and of the nearest one that can be written down."""
    found = nearest(subject, write)
    if found is None:
        return (
            "there is no smaller rule to measure: nothing is left without what is refused, or it is no term"
        )
    smaller, changed, left_out = found
    told = [f"{word} {', '.join(f'`{n}`' for n in names)}{how}" for word, names, how in (
        ("with", changed, " as a synapse can do it"), ("without", left_out, "")) if names]  # fmt: skip
    before, after = (accuracy_of(s, data).text(".3f") for s in (subject, smaller))
    gained = f"accuracy is {after} in place of {before}"
    others = "others" if left_out else "terms"
    return f"{' and '.join(told)}, Θ of the {others} as it is, {gained} ({told_of(data)})"


def told_of(data: Mapping[str, Any]) -> str:
    """On what was measured, in words."""
    return f"{CLASSES} classes, {SAMPLES} samples of {data.get('dataset') or 'glyphs'}, {SEEDS} seeds"


def accuracy_of(subject: Subject, data: Mapping[str, Any]) -> Interval:
    """Of networks after one stream, by Θ as it is."""
    flat = subject.settings.flat()
    network = {name: flat[name] for name in EXPORTED}
    theta = dict(zip(subject.names, subject.theta, strict=True))
    found = evaluate(
        subject.rule, theta=theta, samples=SAMPLES, classes=CLASSES, seeds=SEEDS, **network, **data
    )
    return found.accuracy[-1]
