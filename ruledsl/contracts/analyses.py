"""The contract of analyses: findings about the rule that was given, the same every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ruledsl.contracts.toy import hold
from ruledsl.registry import Registered
from ruledsl.rules import load
from ruledsl.theory import Analysed, Finding

RULES = ("bio", "kolen_pollack", "three_factor")


def _found(plugin: Registered, name: str) -> list[Finding]:
    rule = load(name)
    return list(plugin.item(Analysed(rule, dict.fromkeys(rule.names, 1e-3))))


def gives_findings(plugin: Registered) -> None:
    """Findings with words, each of the whole rule or of a term that the rule has."""
    for name in RULES:
        for finding in _found(plugin, name):
            hold(isinstance(finding, Finding), f"it gives {type(finding).__name__}, no `Finding`")
            hold(bool(finding.text.strip()), "a finding says nothing")
            known = finding.term in ("", *load(name).names)
            hold(known, f"it speaks of `{finding.term}`, which `{name}` has not")


def says_something(plugin: Registered) -> None:
    hold(any(_found(plugin, name) for name in RULES), f"it finds nothing in any of {', '.join(RULES)}")


def repeats_itself(plugin: Registered) -> None:
    for name in RULES:
        hold(_found(plugin, name) == _found(plugin, name), "the same rule gives other findings a second time")


def reads_the_rule(plugin: Registered) -> None:
    hold(len({str(_found(plugin, name)) for name in RULES}) > 1, "it says the same of every rule")


CONTRACTS: dict[str, Mapping[str, Callable[[Registered], None]]] = {
    "analysis": {
        "it gives findings of terms that the rule has": gives_findings,
        "it has something to say": says_something,
        "it says the same of the same rule": repeats_itself,
        "it says something else of another": reads_the_rule,
    },
}
