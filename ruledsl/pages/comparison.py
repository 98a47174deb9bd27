"""`diff`: two rules or two runs, compared by algebra and by numbers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ruledsl.ir import Locality
from ruledsl.pages.evidence import Comparison, Evidence, compared, differing_settings
from ruledsl.rules import Rule, RuleDifference, TermDifference, load, rule_difference
from ruledsl.runs import Run
from ruledsl.statistics import Interval


@dataclass(frozen=True)
class ThetaDifference:
    """θ of one term in both, in the units of the first."""

    label: str
    first: float
    more: Interval
    """In the second."""


@dataclass(frozen=True)
class Difference:
    """What differs between two rules, and between two runs where both are that."""

    names: tuple[str, str]
    rules: RuleDifference
    settings: tuple[tuple[str, list[str]], ...] = ()
    accuracy: tuple[Comparison, ...] = ()
    theta: tuple[ThetaDifference, ...] = ()
    same_numbers: bool | None = None
    """Whether two runs recorded the same numbers; None for rules."""

    @property
    def is_empty(self) -> bool:
        return self.rules.is_empty and self.same_numbers is not False

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        lines = [_term_line(row) for row in self.rules.terms]
        if self.rules.feedback[0] != self.rules.feedback[1]:
            lines.append(" → ".join(f or "none named" for f in self.rules.feedback).join(("feedback: ", "")))
        if self.rules.is_empty:
            lines.append(f"{self.names[0]} and {self.names[1]} are the same rule")
        elif self.rules.same_family:
            lines.append(
                "both describe the same family of rules: for each Θ of one there is a Θ of the other"
            )
        lines += [f"setting {name}: {a} → {b}" for name, (a, b) in self.settings]
        for row in self.accuracy:
            against = f", {row.difference.text('+.3f')} against the first" if row.difference else ""
            lines.append(f"accuracy, {row.label}: {row.accuracy.text('.3f')}{against}")
        lines += [
            f"θ[{t.label}]: {t.first:.3e}, in the second {t.more.text('+.3e')} more" for t in self.theta
        ]
        if self.same_numbers:
            lines.append("every recorded number is the same")
        return lines


SIGNS = {"same": "=", "renamed": "=", "scaled": "~", "sum": "~", "added": "+", "gone": "-"}


def diff(first: str | Path | Rule | Run, second: str | Path | Rule | Run) -> Difference:
    """What differs between two rules or two runs. Printed, it reads as `ruledsl diff` does.

    Raises `RuleError` or `RunError` for what cannot be read.

    >>> import ruledsl
    >>> print(ruledsl.diff("bio", "bio"))
    = pseudo_gradient
    = error_hebb
    = oja_subspace
    bio and bio are the same rule
    """
    runs = [_run_of(item) for item in (first, second)]
    rules = [run.rule if run else _rule_of(item) for run, item in zip(runs, (first, second), strict=True)]
    found, names = rule_difference(*rules), (rules[0].name, rules[1].name)
    one, other = (Evidence(run) if run else None for run in runs)
    if not one or not other:
        return Difference(names, found)
    settings = differing_settings([one, other])
    alone = len(one.groups) == len(other.groups) == 1
    theta = [_theta(one, other, term) for term in found.terms if len(term.parts) == 1] if alone else []
    same = not settings and one.episodes == other.episodes and one.run.difference(other.run) is None
    return Difference(names, found, tuple(settings), tuple(compared([one, other])), tuple(theta), same)


def _run_of(item: object) -> Run | None:
    if isinstance(item, Run):
        return item
    run = Run(Path(item)) if isinstance(item, str | Path) else None
    return run if run is not None and run.exists else None


def _rule_of(item: str | Path | Rule | Run) -> Rule:
    assert not isinstance(item, Run)
    return item if isinstance(item, Rule) else load(item, allow=Locality.layer)


def _term_line(row: TermDifference) -> str:
    note = f"   ({'; '.join(row.options)})" if row.options else ""
    return f"{SIGNS[row.kind]} {row.name}{_relation(row)}{note}"


def _relation(row: TermDifference) -> str:
    if row.kind in ("same", "added", "gone"):
        return {"same": "", "added": "   (only in the second)", "gone": "   (only in the first)"}[row.kind]
    parts = [_product(factor, name) for name, factor in row.parts.items()]
    return " = " + " + ".join(parts).replace("+ -", "- ")


def _product(factor: Fraction, name: str) -> str:
    return {Fraction(1): name, Fraction(-1): f"-{name}"}.get(factor, f"{factor} {name}")


def _theta(one: Evidence, other: Evidence, term: TermDifference) -> ThetaDifference:
    """θ_b · factor beside θ_a."""
    ((name, factor),) = term.parts.items()
    (mine,), (theirs,) = one.groups, other.groups
    a, b = one.theta_by_seed(mine, name), other.theta_by_seed(theirs, term.name)
    b = {seed: value * float(factor) for seed, value in b.items()}
    label = name if name == term.name and factor == 1 else f"{name} (there {_product(1 / factor, term.name)})"
    return ThetaDifference(label, sum(a.values()) / len(a), Interval.minus(b, a, paired=False))
