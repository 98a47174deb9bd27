"""From what a user names, a rule, data, seeds, penalties and settings, to the `Spec` of a training."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruledsl.compiler import check_layers
from ruledsl.errors import RunError, SettingsError
from ruledsl.evidence import refuse_edited
from ruledsl.ir import LOCALITY_NAMES
from ruledsl.language import closest
from ruledsl.meta import coefficient_names, silent_theta
from ruledsl.registry import find
from ruledsl.rules import Rule, apart, load_each
from ruledsl.runs import DATA, RULE, RunConfig, Spec, read_toml, recorded_runs
from ruledsl.settings import (
    CHOICES,
    OPTIONS,
    TABLE,
    Choices,
    RunSpec,
    TrainSettings,
    Wrong,
    checks,
    known_names,
    refuse_too_large,
)
from ruledsl.tasks import ImageSource, draw_task, open_dataset, write_arrays


@dataclass
class Opened:
    """Data sets and rules that many specifications share: each is read once."""

    data: dict[tuple[str, str], tuple[str, ImageSource]] = field(default_factory=dict)
    rules: dict[tuple[Any, ...], tuple[Rule, list[tuple[str, ...]]]] = field(default_factory=dict)


def specify(
    rules: str | Path | Rule | Sequence[str | Path],
    out: Path | None = None,
    opened: Opened | None = None,
    **given: Any,
) -> Spec:
    """The specification of a training: everything is checked, nothing is made.

    Args:
        rules: a rule, or what `load` takes; several specs train the union of their terms.
        out: the run folder, in which arrays handed in as data are kept.
        opened: what other specifications have read already.
        **given: keywords of `ruledsl.train` (`settings.OPTIONS`).

    Raises:
        RuleError, SettingsError, DataError, PluginError: something does not exist, or does not fit the rest.
    """
    known_names(given, OPTIONS)
    chosen = Choices(**{name: CHOICES[name].read(value) for name, value in given.items() if name in CHOICES})
    settings = TrainSettings.of(**{name: value for name, value in given.items() if name in TABLE})
    opened = opened or Opened()
    asked = (str(rules), chosen.allow, chosen.separately)
    if asked not in opened.rules:
        opened.rules[asked] = _loaded(rules, chosen)
    rule, groups = opened.rules[asked]
    rule = apart(rule, chosen.theta_per, settings.depth)
    settings = _completed(settings, rule, chosen, given)
    each = [(terms, l1) for terms in (groups if chosen.separately else [()]) for l1 in chosen.l1]
    refuse_too_large(settings, len(each) * chosen.seeds)
    _fits(rule, settings)
    place = (str(chosen.dataset), str(chosen.data_root))
    if place not in opened.data:
        opened.data[place] = open_data(chosen.dataset, Path(chosen.data_root), chosen.download, out)
    dataset, source = opened.data[place]
    draw_task(source, settings, 0, 0, 0)  # before a folder is made for a run that cannot start
    names = coefficient_names(rule.program, settings)
    seeds = range(chosen.seed, chosen.seed + chosen.seeds)
    runs = tuple(
        RunSpec(n, seed, l1, terms)
        for n, (terms, l1, seed) in enumerate((*e, s) for e in each for s in seeds)
    )
    return Spec(rule, RunConfig(rule.name, dataset, chosen.data_root, settings, runs, names), source)


def _loaded(
    rules: str | Path | Rule | Sequence[str | Path], chosen: Choices
) -> tuple[Rule, list[tuple[str, ...]]]:
    if isinstance(rules, Rule):
        return rules, [rules.names]
    specs = [rules] if isinstance(rules, str | Path) else list(rules)
    rule, groups = load_each(*specs, allow=LOCALITY_NAMES[chosen.allow])
    if chosen.separately:
        _one_pathway(specs, chosen)
    return rule, list(dict.fromkeys(groups))


def _one_pathway(specs: Sequence[str | Path], chosen: Choices) -> None:
    rules = [load_each(spec, allow=LOCALITY_NAMES[chosen.allow])[0] for spec in specs]
    if len({r.definition.feedback for r in rules if r.definition.feedback}) > 1:
        raise SettingsError(
            "these rules ask for different feedback pathways, which cannot share a batch; train them apart"
        )


def _completed(
    settings: TrainSettings, rule: Rule, chosen: Choices, given: Mapping[str, Any]
) -> TrainSettings:
    """Settings whose defaults depend on others."""
    more: dict[str, Any] = {}
    if given.get("feedback") is None and rule.definition.feedback:
        more["feedback"] = rule.definition.feedback
    if given.get("meta_batch") is None and settings.recipe != "robust":
        more["meta_batch"] = 1
    if chosen.plant is not None:
        settings = settings.having(**more)
        silent = silent_theta(rule.program, settings)
        known_terms(rule.name, chosen.plant, list(silent), "--teacher")
        more["teacher"] = tuple({**silent, **chosen.plant}.values())
    return settings.having(**more)


def _fits(rule: Rule, settings: TrainSettings) -> None:
    """Raise for plugins, layers and devices that do not exist."""
    for kind, name in settings.used_plugins():
        find(kind, name)
    problems = check_layers(rule.program, settings.depth)
    if problems:
        raise SettingsError("; ".join(problems))
    if settings.engine == "retied" and settings.network.feedback != "symmetric":
        raise SettingsError("the engine `retied` is about backprop; use it with `--feedback symmetric`")
    check_device(settings.device)


def check_device(name: str) -> None:
    """Raise `SettingsError` for a device that torch cannot use here."""
    import torch

    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        if "device string" in reason or "Expected one of" in reason:
            usable = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
            reason = f"there is no such device; here there is {', '.join(usable)}"
        raise SettingsError(f"device `{name}` cannot be used: {reason}") from None


def known_terms(rule: str, named: Mapping[str, float], known: Sequence[str], option: str) -> None:
    """Raise `SettingsError` for coefficients that a rule has not."""
    for name in named:
        if name not in known:
            near = closest(name, known)
            hint = f"; did you mean `{near}`?" if near else f"; it has {', '.join(known)}"
            raise SettingsError(f"{option}: `{name}` is not a term of {rule}{hint}")


def open_data(dataset: Any, root: Path, download: bool, out: Path | None) -> tuple[str, ImageSource]:
    """The name under which a run folder keeps its data, and the data;
    arrays are written into the folder `out`."""
    if isinstance(dataset, str | Path):
        return str(dataset), open_dataset(str(dataset), root, download)
    if out is None:
        raise SettingsError("arrays as data need a run folder that keeps them; give `out`")
    return DATA, write_arrays(out / DATA, dataset)


def read_config_file(path: Path, given: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """The rules and keywords that a TOML file asks for, what is `given` put over them.

    A file has `rule`, the choices (`dataset`, `seeds`, `l1` …) and a table `[settings]`; the config.toml of a
    run folder is one, and means the rule that lies beside it.

    Raises `RunError` for a file that cannot be read, or of a run folder that was changed since;
    `SettingsError` for what it must not say.
    """
    refuse_edited(path.parent)
    document = read_toml(path)
    try:
        known = _ASKED(document)
    except Wrong as expected:
        raise SettingsError(f"{path} needs {expected}") from None
    settings = known.get("settings", {})
    choices = {k: v for k, v in document.items() if k in CHOICES}
    strange = [k for k in document if k not in CHOICES and k not in _RECORDED]
    known_names(strange, {**CHOICES, "rule": None, "settings": None})
    known_names(settings, TABLE)
    beside = path.parent / RULE
    rules = [str(beside)] if beside.is_file() else [name for name in known.get("rule", []) if name]
    found: dict[str, Any] = {
        n: v for n, v in {**settings, **choices}.items() if not (n == "optimiser" and not v)
    }
    if "runs" in document:
        runs = recorded_runs(path, document)
        if any(r.terms or r.initial for r in runs):
            raise SettingsError(
                f"{path}: its runs differ in their terms or starts; use `rerun {path.parent}`"
            )
        found |= {"seed": min(r.seed for r in runs), "seeds": len({r.seed for r in runs})}
        found["l1"] = sorted({r.l1 for r in runs})
    if found.get("dataset") == DATA:
        found["dataset"] = str(path.parent / DATA)
    teacher = found.pop("teacher", ())
    if teacher:
        found["plant"] = dict(zip(known.get("terms", ()), teacher, strict=False))
    return rules, {**found, **given}


def _names_of(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(checks.names(value))


_ASKED = checks.record(
    {},
    {
        "rule": checks.Check("the name of a rule, or a list of them", _names_of),
        "settings": checks.table,
        "terms": checks.names,
    },
)
_RECORDED = ("format", "data", "rule", "terms", "settings", "versions", "plugins", "machine", "runs")


def default_folder(name: str, suffix: str | None = None) -> Path:
    """runs/NAME-DATE, never one that exists."""
    stem = f"{name.replace('+', '-')}-{suffix or time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = Path("runs") / stem, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{stem}-{number}"
    return folder


def check_writable(folder: Path) -> None:
    """Raise `RunError` for a folder that cannot be made, before anything is said or made."""
    nearest = folder.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        what = "is not a folder" if not nearest.is_dir() else "cannot be written"
        raise RunError(f"{folder} cannot be used for results: {nearest} {what}; choose another `--out`")
