"""`diff`: two rules or two runs, compared by algebra and by numbers."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import click

from ruledsl.difference import RuleDifference, TermDifference, rule_difference
from ruledsl.ir.kinds import Locality
from ruledsl.pipeline import Rule, load
from ruledsl.report.evidence import Evidence, compared, differing_settings
from ruledsl.runs.statistics import difference

SIGNS = {"same": "=", "renamed": "=", "scaled": "~", "sum": "~", "added": "+", "gone": "-"}


def diff(first: str, second: str) -> int:
    """Print what differs; 0 when nothing does, else 1, as diff(1)."""
    pages = [Evidence.of(Path(spec)) if (Path(spec) / "config.toml").exists() else None for spec in (first, second)]
    rules = [p.rule if p else load(s, allow=Locality.layer) for p, s in zip(pages, (first, second), strict=True)]
    found = rule_difference(*rules)
    _print_rules(found, rules)
    one, other = pages
    if one and other:
        return int(_print_runs(one, other, found) or not found.is_empty)
    return int(not found.is_empty)


def _print_rules(found: RuleDifference, rules: list[Rule]) -> None:
    for row in found.terms:
        note = f"   ({'; '.join(row.settings)})" if row.settings else ""
        click.echo(f"{SIGNS[row.kind]} {row.name}{_relation(row)}{note}")
    if found.feedback[0] != found.feedback[1]:
        click.echo(f"feedback: {found.feedback[0] or 'none named'} → {found.feedback[1] or 'none named'}")
    if found.is_empty:
        click.echo(f"{rules[0].name} and {rules[1].name} are the same rule")
    elif found.same_family:
        click.echo("both describe the same family of rules: for each Θ of one there is a Θ of the other")


def _relation(row: TermDifference) -> str:
    if row.kind in ("same", "added", "gone"):
        return {"same": "", "added": "   (only in the second)", "gone": "   (only in the first)"}[row.kind]
    parts = [_product(factor, name) for name, factor in row.parts.items()]
    return " = " + " + ".join(parts).replace("+ -", "- ")


def _product(factor: Fraction, name: str) -> str:
    return {Fraction(1): name, Fraction(-1): f"-{name}"}.get(factor, f"{factor} {name}")


def _print_runs(one: Evidence, other: Evidence, found: RuleDifference) -> bool:
    """Settings, accuracies and coefficients; whether anything differs."""
    settings = differing_settings([one, other])
    for name, (a, b) in settings:
        click.echo(f"setting {name}: {a} → {b}")
    rows = compared([one, other])
    for row in rows:
        against = f", {_shown(row.difference, '+.3f')} against the first" if row.difference else ""
        click.echo(f"accuracy, {row.label}: {_shown(row.accuracy, '.3f')}{against}")
    if len(one.groups) == len(other.groups) == 1:
        for term in found.terms:
            _print_theta(one, other, term)
    same = not settings and one.metrics == other.metrics
    if same:
        click.echo("every recorded number is the same")
    return not same


def _print_theta(one: Evidence, other: Evidence, term: TermDifference) -> None:
    """θ of one term in both runs, in the units of the first: θ_b · factor beside θ_a."""
    if len(term.parts) != 1:
        return
    ((name, factor),) = term.parts.items()
    a, b = (_by_seed(e, n) for e, n in ((one, name), (other, term.name)))
    b = {seed: value * float(factor) for seed, value in b.items()}
    delta = difference(b, a, paired=False)
    label = name if name == term.name and factor == 1 else f"{name} (there {_product(1 / factor, term.name)})"
    mean = sum(a.values()) / len(a)
    click.echo(f"θ[{label}]: {mean:.3e}, in the second {_shown(delta, '+.3e')} more")


def _by_seed(e: Evidence, term: str) -> dict[int, float]:
    (members,) = e.groups.values()
    return {int(e.metrics.column(r, "seed")[0]): e.metrics.column(r, f"theta[{term}]")[-1] for r in members}


def _shown(value: tuple[float, float], form: str) -> str:
    mean, half = value
    return f"{mean:{form}}" if math.isnan(half) else f"{mean:{form}} ± {half:{form.lstrip('+')}}"
