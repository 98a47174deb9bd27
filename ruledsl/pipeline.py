"""Text to compiled rule on one page: one call per arrow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from ruledsl.algebra import Certificate, IndexForm, certify, index_form, index_latex, linear_relations
from ruledsl.checks import check_term
from ruledsl.compiler import RuleProgram
from ruledsl.ir.diagnostics import Diagnostic, Location, RuleError, raise_errors
from ruledsl.ir.kinds import Locality
from ruledsl.language import (
    LoadedFile,
    RuleDefinition,
    Term,
    load_partly,
    load_rule,
    locate,
    print_expression,
    union,
)
from ruledsl.latex import rule_latex

if TYPE_CHECKING:
    from torch import Tensor

    from ruledsl.backend import CompiledRule


@dataclass(frozen=True)
class Rule:
    """A checked plasticity rule F(Θ) = Σ_r θ_r F^r.

    >>> rule = load("pool")
    >>> rule.names[0], str(rule.locality["oja_subspace"])
    ('pseudo_gradient', 'axon')
    """

    definition: RuleDefinition
    forms: tuple[IndexForm, ...]
    certificates: tuple[Certificate, ...]
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def names(self) -> tuple[str, ...]:
        """One name per coefficient, in the order of Θ."""
        return tuple(t.name for t in self.definition.terms)

    @property
    def init(self) -> Tensor:
        """(R,) where Θ starts, in torch's default dtype."""
        import torch

        return torch.tensor(self.program.initial)

    @property
    def locality(self) -> dict[str, Locality]:
        """The locality class of each term."""
        return {name: c.locality for name, c in zip(self.names, self.certificates, strict=True)}

    @cached_property
    def source(self) -> str:
        """A self-contained `.rule` text of this rule: terms written out, then their sum."""
        return rule_source(self.definition)

    @cached_property
    def identity(self) -> str:
        """A hash of the algebra: the same for two texts of one rule, whatever their names and spacing."""
        parts = [f"{form.entry}|{t.settings.layers}" for form, t in zip(self.forms, self.definition.terms, strict=True)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def latex(self) -> str:
        """The rule as one LaTeX equation in matrix notation, without math delimiters."""
        return rule_latex(self.definition)

    def index_latex(self) -> list[str]:
        """Each term's entry ΔW_ji in LaTeX."""
        return [index_latex(form.entry) for form in self.forms]

    @cached_property
    def program(self) -> RuleProgram:
        """What the compiler works on."""
        terms = self.definition.terms
        return RuleProgram(
            names=self.names,
            forms=self.forms,
            initial=tuple(t.initial for t in terms),
            trainable=tuple(t.trainable for t in terms),
            layers=tuple(t.settings.layers for t in terms),
            bounds=tuple((_or(t.settings.minimum, -inf), _or(t.settings.maximum, inf)) for t in terms),
            feedback=self.definition.feedback,
        )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def load(*specs: str | Path, allow: Locality = Locality.layer) -> Rule:
    """Read, check and certify a rule; several specs give the union of their terms.

    Args:
        *specs: `FILE`, `FILE:NAME`, or the name of a rule on the search path.
        allow: the least strict locality class that is accepted.

    Raises:
        RuleError: with every fault that was found.

    >>> load("rules/pool.rule").names[:2]
    ('pseudo_gradient', 'activity_error')
    """
    for spec in specs:
        checked_file(locate(str(spec))[0])
    return check(union([load_rule(str(s)) for s in specs]), allow)


def check(definition: RuleDefinition, allow: Locality = Locality.layer) -> Rule:
    """Shapes → index form → locality, term by term; all faults are raised together."""
    faults: list[Diagnostic] = []
    forms: list[IndexForm] = []
    for item in definition.terms:
        form = checked_form(item.term, faults)
        if form is not None:
            forms.append(form)
    raise_errors(faults)
    certificates = tuple(certify(form) for form in forms)
    for item, certificate in zip(definition.terms, certificates, strict=True):
        if certificate.locality > allow:
            faults.append(_not_local(item.term, certificate, allow))
    raise_errors(faults)
    return Rule(definition, tuple(forms), certificates, tuple(_indistinct(definition, forms)))


def checked_form(term: Term, faults: list[Diagnostic]) -> IndexForm | None:
    """The index form of a term, or None when a fault was added."""
    found = check_term(term)
    if found:
        faults.extend(d for d in found if d not in faults)
        return None
    try:
        return index_form(term)
    except RuleError as error:
        faults.extend(d for d in error.diagnostics if d not in faults)
        return None


def checked_file(path: str) -> LoadedFile:
    """A file's definitions; every fault of it is raised together, in order of the text."""
    loaded = load_partly(path)
    faults = list(loaded.faults)
    for term in loaded.terms:
        checked_form(term, faults)
    raise_errors(sorted(faults, key=lambda d: d.at.span.start if d.at else -1))
    return loaded


def check_file(path: str, allow: Locality = Locality.layer) -> list[Rule]:
    """Every rule of a file and every term that stands in none, checked; faults of all are raised together."""
    loaded = checked_file(path)
    definitions = list(loaded.rules) or [load_rule(path)]
    used = {t.term.name for d in definitions for t in d.terms}
    definitions += [load_rule(f"{path}:{t.name}") for t in loaded.terms if t.name not in used]
    return [check(d, allow) for d in definitions]


def compile_rule(rule: Rule) -> CompiledRule:
    """A rule as a function on tensors; see `CompiledRule.update`.

    >>> F = compile_rule(load("pool"))
    >>> F.reads
    ('e_post', 'e_pre', 'y_post', 'y_pre')
    """
    from ruledsl.backend import CompiledRule

    return CompiledRule(rule.program)


def rule_source(definition: RuleDefinition) -> str:
    """A `.rule` text that defines a rule with nothing else on the search path."""
    lines: list[str] = []
    items: list[str] = []
    for item in definition.terms:
        note = f' "{item.term.note}"' if item.term.note else ""
        line = f"term {item.term.name}{note} = {print_expression(item.term.expression)}"
        if line not in lines:
            lines.append(line)
        settings = item.settings
        parts = [f"{key} = {value!r}" for key, value in (
            ("init", settings.init), ("fixed", settings.fixed), ("min", settings.minimum), ("max", settings.maximum),
        ) if value is not None]  # fmt: skip
        if settings.layers is not None:
            parts.append("layers = " + " ".join(str(a) if a == b else f"{a}..{b}" for a, b in settings.layers))
        items.append(item.term.name + (f"[{', '.join(parts)}]" if parts else ""))
    feedback = f" [feedback = {definition.feedback}]" if definition.feedback else ""
    name = "".join(c if c.isalnum() or c == "_" else "_" for c in definition.name)
    name = f"{name}_rule" if name in {t.term.name for t in definition.terms} else name
    lines.append(f"rule {name}{feedback} = " + "\n  + ".join(items))
    return "\n".join(lines) + "\n"


def _not_local(term: Term, certificate: Certificate, allow: Locality) -> Diagnostic:
    return Diagnostic(
        "not-local",
        f"`{term.name}` is {certificate.locality}-local, beyond the limit `{allow}`",
        Location(term.source, term.span),
        expected=f"a term that is {allow}-local",
        found="\n".join(certificate.reasons),
        help=f"allow it with `--allow {certificate.locality}`, or take the sum out",
    )


def _indistinct(definition: RuleDefinition, forms: Sequence[IndexForm]) -> list[Diagnostic]:
    """Warnings for terms that are the same after algebra: only a combination of their θ has an effect."""
    confined = any(t.settings.layers is not None for t in definition.terms)
    warnings = []
    for relation in [] if confined else linear_relations(forms):
        involved = [(c, definition.terms[r]) for r, c in enumerate(relation) if c]
        text = " ".join(f"{'-' if c < 0 else '+'} {'' if abs(c) == 1 else f'{abs(c)} '}{t.name}" for c, t in involved)
        text = text.removeprefix("+ ")
        last = involved[-1][1].term
        warnings.append(
            Diagnostic(
                "same-term",
                "these terms cannot be told apart: their coefficients are not determined one by one",
                Location(last.source, last.span),
                found=f"{text} = 0 after algebra",
                help=f"leave `{last.name}` out",
                severity="warning",
            )
        )
    return warnings
