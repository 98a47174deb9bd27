"""Text to rule: one call per arrow, text → definition → shapes → index form → locality → `Rule`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ruledsl.algebra import Certificate, IndexForm, certify, index_form, linear_relations
from ruledsl.checks import check_term
from ruledsl.compiler import OtherForm
from ruledsl.evidence import RULE, refuse_edited
from ruledsl.ir import Diagnostic, Locality, Location, RuleError, SourceFile, raise_errors
from ruledsl.language import (
    LoadedFile,
    RuleDefinition,
    Term,
    load_partly,
    load_rule,
    load_text,
    locate,
    union,
)
from ruledsl.rules.rule import Rule


def load(*specs: str | Path, allow: Locality = Locality.layer) -> Rule:
    """Read, check and certify a rule; several specs give the union of their terms.

    Args:
        *specs: `FILE`, `FILE:NAME`, the name of a rule on the search path, or a run folder (the rule it
            trained).
        allow: the least strict locality class that is accepted.

    Raises:
        RuleError: with every fault that was found.
        RunError: files of the run folder were changed since its training.

    >>> load("rules/pool.rule").names[:2]
    ('pseudo_gradient', 'activity_error')
    """
    return load_each(*specs, allow=allow)[0]


def load_each(*specs: str | Path, allow: Locality = Locality.layer) -> tuple[Rule, list[tuple[str, ...]]]:
    """As `load`, and for each spec the names that its terms have in the union."""
    files = [_rule_file(spec) for spec in specs]
    for spec in files:
        checked_file(locate(spec)[0])
    definition, groups = union([load_rule(spec) for spec in files])
    return check(definition, allow), groups


def _rule_file(spec: str | Path) -> str:
    """A run folder stands for the rule it trained. Raises `RunError` for one that was changed since."""
    recorded = Path(spec) / RULE
    if not recorded.is_file():
        return str(spec)
    refuse_edited(Path(spec))
    return str(recorded)


def rule(text: str, allow: Locality = Locality.layer) -> Rule:
    """A rule from its text; names that it does not define are looked up as those of a file here would be.

    Raises:
        RuleError: with every fault that was found, each with its line and a caret.

    >>> rule("term hebb = y_post * y_pre^T").names
    ('hebb',)
    """
    loaded, definition = load_text(SourceFile("<text>", text))
    _raise_all(loaded)
    return check(definition, allow)


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
    for term, certificate in [
        *((t.term, c) for t, c in zip(definition.terms, certificates, strict=True)),
        *others,
    ]:
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
    _raise_all(loaded)
    return loaded


def _raise_all(loaded: LoadedFile) -> None:
    faults = list(loaded.faults)
    for term in loaded.terms:
        checked_form(term, faults)
    raise_errors(sorted(faults, key=lambda d: d.at.span.start if d.at else -1))


def check_file(path: str, allow: Locality = Locality.layer) -> list[Rule]:
    """Every rule of a file and every term that stands in none, checked; faults of all are raised together."""
    loaded = checked_file(path)
    definitions = list(loaded.rules) or [load_rule(path)]
    used = {t.term.name for d in definitions for t in d.terms}
    definitions += [load_rule(f"{path}:{t.name}") for t in loaded.terms if t.name not in used]
    return [check(d, allow) for d in definitions]


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
    confined = any(
        t.options.layers is not None or t.companions or t.term.target != "W" for t in definition.terms
    )
    warnings = []
    for relation in [] if confined else linear_relations(forms):
        involved = [(c, definition.terms[r]) for r, c in relation.items()]
        text = " ".join(
            f"{'-' if c < 0 else '+'} {'' if abs(c) == 1 else f'{abs(c)} '}{t.name}" for c, t in involved
        )
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
