"""What is exported: a rule with its coefficients, and the network in which it learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ruledsl.compiler import check_layers
from ruledsl.errors import SettingsError
from ruledsl.network import StepPrograms, programs_of
from ruledsl.rules import Rule
from ruledsl.runs import Run
from ruledsl.settings import EXPORTED, Network, TrainSettings, known_names
from ruledsl.studies import coefficients_of, rule_of, run_of, settings_of
from ruledsl.wording import counted


@dataclass(frozen=True)
class Subject:
    """A rule, Θ and a network.

    Attributes:
        rule: a checked rule.
        settings: sizes and wiring of the network; the rest of them does not matter here.
        theta: one number per coefficient: the rule's, then the pathway's own.
        origin: where Θ comes from, in words.
    """

    rule: Rule
    settings: TrainSettings
    theta: tuple[float, ...]
    origin: str

    @cached_property
    def programs(self) -> StepPrograms:
        """A sample's step, and the answer to an input."""
        return programs_of(self.rule.program, self.settings)

    @property
    def network(self) -> Network:
        return self.settings.network

    @property
    def names(self) -> tuple[str, ...]:
        """Of the coefficients."""
        return self.programs.coefficient_names

    @property
    def citations(self) -> dict[str, str]:
        """What each term cites, where it does."""
        return {t.name: t.options.cite for t in self.rule.definition.terms if t.options.cite}


def subject_of(
    what: str | Path | Rule | Run, theta: Mapping[str, float] | str | None = None, **given: Any
) -> Subject:
    """What a user wants to export.

    Args:
        what: a rule, a name or file of one, or a run folder, whose Θ and network are then the default.
        theta: coefficients by name, or as text `NAME=VALUE,…`.
        **given: `sizes` and settings of the network, as keywords of `ruledsl.train`.

    Raises:
        RuleError, RunError, SettingsError, PluginError: something cannot be used.
    """
    known_names(given, EXPORTED)
    rule, run = rule_of(what), run_of(what)
    if run is not None:
        origin = f"the mean of {counted(len(run.config.runs), 'run')} in {run.folder.name}"
        given = {n: v for n, v in settings_of(run).items() if n in EXPORTED} | given
    else:
        origin = "what the rule's text starts from"
        given = {"feedback": rule.definition.feedback} | given if rule.definition.feedback else given
    settings = TrainSettings.of(**given)
    if faults := check_layers(rule.program, settings.depth):
        raise SettingsError(f"{faults[0]}; choose other `--sizes`")
    found = coefficients_of(rule, settings, run, theta)
    if theta:
        origin += ", but for what was given"
    return Subject(rule, settings, tuple(found.values()), origin)
