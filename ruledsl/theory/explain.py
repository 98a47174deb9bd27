"""What a rule will do, derived from its text and measured: drift, powers, signs and rest of each term."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import sympy as sp

from ruledsl.algebra import IndexForm, index_latex, index_text
from ruledsl.registry import find, names_of
from ruledsl.rules import Rule
from ruledsl.runs import Run
from ruledsl.statistics import Interval
from ruledsl.studies import rule_of, run_of
from ruledsl.theory.checking import Check, check_drift
from ruledsl.theory.conserved import invariants
from ruledsl.theory.directions import Direction, directions
from ruledsl.theory.expectation import expected_drift
from ruledsl.theory.findings import Analysed, Finding
from ruledsl.theory.polynomials import NotPolynomial, degrees
from ruledsl.theory.rest import Rest, rest_of

ASSUMED = (
    "Assumed: a linear layer, y_post = W y_pre and e_pre = B e_post; y_pre and e_post independent,\n"
    "Gaussian, with the same variances σ_y² and σ_e² at every cell, {mean}. Dropped: errors that\n"
    "came through B themselves, below the last layer, are correlated (Wishart). Numbers: σ_y = 0.9,\n"
    "σ_e = 0.7, naive networks of 5 → 4 cells (signs: 30 → 20)."
)


@dataclass(frozen=True)
class TermTheory:
    """What is derived of one term.

    Attributes:
        name: its coefficient's.
        drift: E[ΔW | W, B] as an index form; None where it cannot be derived.
        reason: why not, then.
        check: the drift beside a measurement.
        degrees: by how much the term grows with `y`, `e`, `W`; None where its summands differ.
        directions: what a positive θ does to first order in a naive network.
        learned: what a training made of θ.
    """

    name: str
    drift: sp.Expr | None
    reason: str = ""
    check: Check | None = None
    degrees: Mapping[str, int | None] = field(default_factory=dict)
    directions: tuple[Direction, ...] = ()
    rest: Rest | None = None
    """Where the averaged term alone ends, under the sign that it wants."""
    learned: Interval | None = None

    @property
    def latex(self) -> str:
        """The drift in LaTeX, without math delimiters; empty where there is none."""
        return "" if self.drift is None else index_latex(self.drift)

    def lines(self) -> list[str]:
        if self.drift is None:
            return [f"  not derived: {self.reason}"]
        shown = index_text(self.drift) if self.drift != 0 else "0"
        for written, letter in (("sigma_", "σ_"), ("mu_", "μ_")):
            shown = shown.replace(written, letter)
        found = [f"  E[ΔW[j,i] | W, B] = {shown}", f"    {self.check}"]
        grown = [_power(letter, d) for letter, d in self.degrees.items()]
        found += [f"  grows {', '.join(grown)}"] if grown else []
        found += ["  to first order in a naive network:"]
        found += [f"    {told}" for told in self.wanted or ["nothing that is clear"]]
        if self.rest is not None:
            found.append(f"  alone, with θ {'>' if self.sign > 0 else '<'} 0, on average: {self.rest}")
        if self.learned is not None:
            found.append(
                f"  learned: θ = {self.learned.text('.3e')}{', ' * bool(self.verdict)}{self.verdict}"
            )
        return found

    @property
    def wanted(self) -> list[str]:
        """What a sign of θ does, to first order in a naive network, where that is clear."""
        return [f"θ {'>' if d.sign > 0 else '<'} 0 {d.what}" for d in self.directions if d.sign]

    @property
    def sign(self) -> int:
        """The sign of θ that it wants; 1 where nothing, or not one thing, is derived."""
        signs = {d.sign for d in self.directions if d.sign}
        return next(iter(signs)) if len(signs) == 1 else 1

    @property
    def verdict(self) -> str:
        """Has the learned coefficient the sign that was derived? Empty where one of them is not clear."""
        signs = {d.sign for d in self.directions if d.sign}
        if self.learned is None or not signs or abs(self.learned.mean) <= self.learned.half:
            return ""
        own = 1 if self.learned.mean > 0 else -1
        if signs == {own}:
            return "the sign that was derived"
        return "the other sign" if own not in signs else "the sign of one of these"


def _power(letter: str, degree: int | None) -> str:
    if degree is None:
        return f"with {letter} by summands of different powers"
    return f"with {letter}" + (f" to the power {degree}" if degree != 1 else "")


@dataclass(frozen=True)
class Explanation:
    """What `explain` returns; its text is for reading.

    >>> Explanation("r", (), False).disagreements
    []
    """

    rule: str
    terms: tuple[TermTheory, ...]
    input_mean: bool
    rest: Rest | None = None
    """Where the whole averaged rule ends, with its own or its learned Θ; None where a part is not derived."""
    findings: tuple[Finding, ...] = ()
    """Invariants, and what plugins of the kind `analysis` found."""

    @property
    def disagreements(self) -> list[str]:
        """Terms, or the rule, of which something derived is not what was measured."""
        found = [t.name for t in self.terms if t.check is not None and not t.check.agrees]
        found += [f.term or self.rule for f in self.findings if f.agrees is False]
        return list(dict.fromkeys(found))

    def lines_of(self, term: TermTheory) -> list[str]:
        """All that is known of a term, for reading."""
        return [*term.lines(), *(f"  {f}" for f in self.findings if f.term == term.name)]

    @property
    def together(self) -> list[str]:
        """What is known of the whole rule, for reading."""
        found = [] if self.rest is None else [f"all together, with their Θ, on average: {self.rest}"]
        return [*found, *(f"all together: {f}" for f in self.findings if not f.term)]

    @property
    def assumed(self) -> str:
        """What every formula takes for granted."""
        return ASSUMED.format(mean="of mean μ_y and 0" if self.input_mean else "of mean zero")

    def __str__(self) -> str:
        parts = [self.rule, self.assumed]
        parts += ["\n".join(["", t.name, *self.lines_of(t)]) for t in self.terms]
        return "\n".join([*parts, *(f"\n{line}" for line in self.together)])


def explain(rule: str | Path | Rule | Run, *, input_mean: bool = False) -> Explanation:
    """What each term of a rule does on average, derived by algebra and measured beside it.

    For each term that moves W: its expected drift E[ΔW | W, B] in closed form (the paper's Eq. 13 for eHebb),
    held against 20 000 samples in each of five networks; the powers by which it grows; the sign of θ with
    which it makes the loss smaller, turns W towards Bᵀ, or makes W more orthonormal, to first order in naive
    networks; and where W comes to rest under the average, with eigenvalues and the largest stable step.

    Args:
        rule: a rule, its name or file, or a run (folder), whose coefficients are compared with these signs.
        input_mean: let the input have a mean μ_y, as activities have; the paper's derivation has none.

    Raises:
        RuleError, RunError: the rule or the run cannot be read.

    >>> import ruledsl
    >>> print(ruledsl.explain("ehebb").terms[1].drift)
    -sigma_e**2*B[i, j]
    """
    run = run_of(rule)
    return explain_rule(rule_of(rule), run.theta if run is not None else {}, input_mean)


def explain_rule(found: Rule, learned: Mapping[str, Interval], input_mean: bool = False) -> Explanation:
    """As `explain`, with the coefficients of a training, or none."""
    terms = tuple(_term(found, r, input_mean, learned.get(name)) for r, name in enumerate(found.names))
    theta = {
        r: learned[name].mean if learned else found.program.initial[r] for r, name in enumerate(found.names)
    }
    moving = {r: value for r, value in theta.items() if value}
    drifts = {r: t.drift for r, t in enumerate(terms) if t.drift is not None}
    whole = len(moving) > 1 and set(moving) <= set(drifts) and not found.companions
    rest = rest_of(found.program, drifts, moving, input_mean) if whole else None
    subject = Analysed(found, {found.names[r]: value for r, value in theta.items()})
    return Explanation(found.name, terms, input_mean, rest, tuple(_findings(subject)))


def _findings(subject: Analysed) -> Iterator[Finding]:
    yield from invariants(subject)
    for name in names_of("analysis"):
        yield from find("analysis", name).item(subject)


def _term(rule: Rule, number: int, input_mean: bool, learned: Interval | None) -> TermTheory:
    name, piece = rule.names[number], rule.pieces[number]
    if piece.term.target != "W":
        return TermTheory(
            name, None, f"it moves {piece.term.target}, of which nothing is assumed", learned=learned
        )
    try:
        drift = expected_drift(piece.form, input_mean)
        check = check_drift(rule.program, number, drift, input_mean)
    except NotPolynomial as reason:
        return TermTheory(name, None, str(reason), learned=learned)
    powers, wanted = degrees(piece.form.entry), _directions(piece.form, input_mean)
    known = TermTheory(name, drift, "", check, powers, wanted, learned=learned)
    if drift == 0:
        return known
    rest = rest_of(rule.program, {number: drift}, {number: float(known.sign)}, input_mean)
    return replace(known, rest=rest)


def _directions(form: IndexForm, input_mean: bool) -> tuple[Direction, ...]:
    """The signs that a term wants; none where the loss's slope has too many factors to be averaged."""
    try:
        return tuple(directions(form, input_mean))
    except NotPolynomial:
        return ()
