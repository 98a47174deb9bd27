"""What it costs to leave out the terms that a language cannot say, measured with Θ as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ruledsl.exports.refusal import NotExpressible
from ruledsl.exports.subject import Subject
from ruledsl.ir import Locality
from ruledsl.rules import check
from ruledsl.settings import EXPORTED
from ruledsl.statistics import Interval
from ruledsl.studies import evaluate

SAMPLES, CLASSES, SEEDS = 250, 5, 6
"""A stream as an episode's, in networks that were not meta-trained on."""


def nearest(subject: Subject, write: Callable[[Subject], str]) -> tuple[Subject, list[str]] | None:
    """The rule without every term that `write` refuses, and their names; None where that is no help."""
    left_out: list[str] = []
    while True:
        try:
            write(subject)
        except NotExpressible as refusal:
            if refusal.piece is None or len(subject.rule.names) == 1:
                return None
            name = subject.rule.names[refusal.piece.coefficient]
            left_out.append(name)
            subject = without(subject, name)
        else:
            return subject, left_out


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
    smaller, names = found
    shown = ", ".join(f"`{name}`" for name in names)
    before, after = (_accuracy(s, data).text(".3f") for s in (subject, smaller))
    return (
        f"without {shown}, Θ of the others as it is, accuracy is {after} in place of {before} "
        f"({CLASSES} classes, {SAMPLES} samples of {data.get('dataset') or 'glyphs'}, {SEEDS} seeds)"
    )


def _accuracy(subject: Subject, data: Mapping[str, Any]) -> Interval:
    flat = subject.settings.flat()
    network = {name: flat[name] for name in EXPORTED}
    theta = dict(zip(subject.names, subject.theta, strict=True))
    found = evaluate(
        subject.rule, theta=theta, samples=SAMPLES, classes=CLASSES, seeds=SEEDS, **network, **data
    )
    return found.accuracy[-1]
