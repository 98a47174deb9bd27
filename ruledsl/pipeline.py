"""Text to compiled rule on one page: one call per arrow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from ruledsl.algebra import (
    Certificate,
    IndexForm,
    as_written,
    certify,
    index_form,
    index_latex,
    index_text,
    linear_relations,
)
from ruledsl.checks import check_term
from ruledsl.compiler import OtherForm, RuleProgram
from ruledsl.ir.diagnostics import Diagnostic, Location, RuleError, raise_errors
from ruledsl.ir.kinds import Locality
from ruledsl.ir.syntax import Binary, Expression, Name, Transpose
from ruledsl.language import (
    LoadedFile,
    RuleDefinition,
    RuleTerm,
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
class Piece:
    """A term as it takes part in a rule."""

    term: Term
    coefficient: int
    form: IndexForm
    certificate: Certificate

    @property
    def entry(self) -> str:
        """What is moved: `ΔW[j,i]`, `ΔB[i,j]` or `Δbias[j]`."""
        return {"W": "ΔW[j,i]", "B": "ΔB[i,j]", "bias": "Δbias[j]"}[self.term.target]

    @property
    def text(self) -> str:
        """One entry of the term, with indices, as its text names quantities."""
        return index_text(as_written(self.form.entry) if self.term.target == "B" else self.form.entry)


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
    companions: tuple[OtherForm, ...] = ()
    """What coefficients scale besides their own term: terms that share one (`same = …`)."""

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

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """Every term with the coefficient that scales it: one per coefficient, then those that share one."""
        items = self.definition.terms
        own = [
            Piece(item.term, r, form, certificate)
            for r, (item, form, certificate) in enumerate(zip(items, self.forms, self.certificates, strict=True))
        ]
        sharing = [term for item in items for term in item.companions]
        others = [
            Piece(term, o.coefficient, o.form, certify(o.form, o.target))
            for term, o in zip(sharing, self.companions, strict=True)
        ]
        return (*own, *others)

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
        parts = [
            f"{form.entry}|{t.settings.layers}" + ("" if t.term.target == "W" else f"|{t.term.target}")
            for form, t in zip(self.forms, self.definition.terms, strict=True)
        ]
        parts += [f"{o.form.entry}|{o.target}|{o.coefficient}" for o in self.companions]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def latex(self) -> str:
        """The rule as one LaTeX equation in matrix notation, without math delimiters."""
        return rule_latex(self.definition)

    def index_latex(self) -> list[str]:
        """Each term's entry ΔW_ji in LaTeX."""
        targets = [t.term.target for t in self.definition.terms]
        return [
            index_latex(as_written(form.entry) if target == "B" else form.entry)
            for form, target in zip(self.forms, targets, strict=True)
        ]

    @cached_property
    def program(self) -> RuleProgram:
        """What the compiler works on."""
        terms = self.definition.terms
        return RuleProgram(
            names=self.names,
            forms=tuple(f if t.term.target == "W" else None for f, t in zip(self.forms, terms, strict=True)),
            initial=tuple(t.initial for t in terms),
            trainable=tuple(t.trainable for t in terms),
            layers=tuple(t.settings.layers for t in terms),
            bounds=tuple((_or(t.settings.minimum, -inf), _or(t.settings.maximum, inf)) for t in terms),
            feedback=self.definition.feedback,
            others=(
                *(
                    OtherForm(t.term.target, r, form)
                    for r, (t, form) in enumerate(zip(terms, self.forms, strict=True))
                    if t.term.target != "W"
                ),
                *self.companions,
            ),
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
    companions = _companions(definition, faults)
    raise_errors(faults)
    certificates = tuple(certify(f, t.term.target) for f, t in zip(forms, definition.terms, strict=True))
    others = [(c, certify(o.form, o.target)) for c, o in companions]
    for term, certificate in [*((t.term, c) for t, c in zip(definition.terms, certificates, strict=True)), *others]:
        if certificate.locality > allow:
            faults.append(_not_local(term, certificate, allow))
    raise_errors(faults)
    warnings = tuple(_indistinct(definition, forms))
    return Rule(definition, tuple(forms), certificates, warnings, tuple(o for _, o in companions))


def _companions(definition: RuleDefinition, faults: list[Diagnostic]) -> list[tuple[Term, OtherForm]]:
    found = []
    for r, item in enumerate(definition.terms):
        for term in item.companions:
            form = checked_form(term, faults)
            if form is not None:
                found.append((term, OtherForm(term.target, r, form)))
    return found


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


def apart(rule: Rule, per: str, depth: int) -> Rule:
    """The rule with a Θ of its own for every layer, or for every pair of populations; `network` leaves it as it is.

    The result is a rule like any other: its text says `a[layers = 2]`, or multiplies by `exc_post`, `inh_pre` ….
    """
    if per == "network":
        return rule
    split = per_layer if per == "layer" else per_population
    terms = tuple(part for item in rule.definition.terms for part in split(item, depth))
    return check(replace(rule.definition, terms=terms), Locality.layer)


def per_layer(item: RuleTerm, depth: int) -> list[RuleTerm]:
    """One coefficient for each layer that a term acts in."""
    ranges = item.settings.layers or ((1, depth),)
    layers = [n for low, high in ranges for n in range(low, high + 1)]
    base = item.name.partition("[")[0]
    return [replace(item, name=f"{base}[{n}]", settings=replace(item.settings, layers=((n, n),))) for n in layers]


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
        lines += [line for term in (item.term, *item.companions) if (line := _term_line(term)) not in lines]
        settings = item.settings
        parts = [f"{key} = {value!r}" for key, value in (
            ("init", settings.init), ("fixed", settings.fixed), ("min", settings.minimum), ("max", settings.maximum),
        ) if value is not None]  # fmt: skip
        if settings.layers is not None:
            parts.append("layers = " + " ".join(str(a) if a == b else f"{a}..{b}" for a, b in settings.layers))
        items.append(item.term.name + (f"[{', '.join(parts)}]" if parts else ""))
        items += [f"{term.name}[same = {item.term.name}]" for term in item.companions]
    feedback = f" [feedback = {definition.feedback}]" if definition.feedback else ""
    name = "".join(c if c.isalnum() or c == "_" else "_" for c in definition.name)
    name = f"{name}_rule" if name in {t.term.name for t in definition.terms} else name
    lines.append(f"rule {name}{feedback} = " + "\n  + ".join(items))
    return "\n".join(lines) + "\n"


def _term_line(term: Term) -> str:
    note = f' "{term.note}"' if term.note else ""
    target = "" if term.target == "W" else f" for {term.target}"
    return f"term {term.name}{target}{note} = {print_expression(term.expression)}"


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
    confined = any(t.settings.layers is not None or t.companions or t.term.target != "W" for t in definition.terms)
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
