"""What a rule or a run brings along: its network, and its coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruledsl.errors import SettingsError
from ruledsl.ir import Locality
from ruledsl.meta import coefficient_names, starting_theta
from ruledsl.rules import Rule, load
from ruledsl.runs import DATA, Run
from ruledsl.settings import EVALUATED, NETWORK, TrainSettings, Wrong, checks
from ruledsl.studies.specify import known_terms


def run_of(rule: object) -> Run | None:
    """The run that a user means, if it is one: an object, or the path of a run folder."""
    if isinstance(rule, Run):
        return rule
    run = Run(Path(rule)) if isinstance(rule, str | Path) else None
    return run if run is not None and run.exists else None


def rule_of(what: str | Path | Rule | Run) -> Rule:
    """The rule that a user means: itself, a run's, or one to be loaded; any locality class is accepted."""
    if (run := run_of(what)) is not None:
        return run.rule
    return what if isinstance(what, Rule) else load(str(what), allow=Locality.layer)


def settings_of(run: Run) -> dict[str, Any]:
    """The run's own network and data, as keywords."""
    flat, config = run.config.settings.flat(), run.config
    own = {name: flat[name] for name, setting in EVALUATED.items() if setting.group == NETWORK}
    dataset = str(run.folder / DATA) if config.dataset == DATA else config.dataset
    return {**own, "dataset": dataset, "data_root": config.data_root}


def coefficients_of(
    rule: Rule, settings: TrainSettings, run: Run | None, given: Mapping[str, float] | str | None
) -> dict[str, float]:
    """Coefficients from the run's result, else the rule's own, with those given over them: by name, or as
    text `NAME=VALUE,…`.

    Raises `SettingsError` for a name that is not one, or for a run of several groups.
    """
    theta = starting_theta(rule.program, settings)
    try:
        named = checks.coefficients(given or {})
    except Wrong as expected:
        raise SettingsError(f"--theta needs {expected}, not `{given}`") from None
    known_terms(rule.name, named, coefficient_names(rule.program, settings), "--theta")
    if run is not None and set(named) != set(theta):
        thetas = run.thetas
        if len(thetas) != 1:
            labels = "; ".join(thetas) or "none"
            raise SettingsError(
                f"{run.folder} must hold one group of runs, but holds: {labels}; give every coefficient with "
                f"--theta"
            )
        theta |= {name: value.mean for name, value in run.theta.items()}
    return theta | named
