"""Studies as files: rules, `[vary]` and `[settings]` in TOML, and the copy that a study's folder keeps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from ruledsl.errors import RunError, SettingsError
from ruledsl.runs import read_toml
from ruledsl.settings import known_names
from ruledsl.storage import make_folder, taking_turns, write_text
from ruledsl.studies.study import Study

STUDY = "study.toml"
RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
MOST_CELLS = 1_000_000


def read_study(path: Path, out: Path) -> Study:
    """The study that a file describes, with its runs in the folder `out`.

    `rules` names shipped rules or .rule files, beside the study or from where the command runs. `[vary]`
    gives lists of values, or ranges such as `"0..7"`; `[settings]` what all cells share. A range of `seed` is
    one batch: its seeds share the run folder of each cell.

    Raises:
        RunError: the file cannot be read.
        SettingsError: it says what a study cannot; a message names the file.
    """
    document = read_toml(path)
    try:
        return _study(document, path.parent, out)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None


def _study(document: Mapping[str, Any], beside: Path, out: Path) -> Study:
    known_names(document, dict.fromkeys(("rules", "vary", "settings")))
    rules, vary, settings = document.get("rules"), document.get("vary", {}), document.get("settings", {})
    if not isinstance(rules, list) or not rules or not all(isinstance(r, str) and r for r in rules):
        raise SettingsError('write the rules as a list, such as rules = ["bio", "mine.rule"]')
    if not isinstance(vary, dict) or not isinstance(settings, dict):
        raise SettingsError("write what is varied below [vary], what is shared below [settings]")
    values = {name: _values(name, value) for name, value in vary.items()}
    count = len(rules)
    for some in values.values():
        count *= len(some)
    if count > MOST_CELLS:
        raise SettingsError(f"these are {count} cells; at most {MOST_CELLS} fit one study")
    seeds = values.get("seed", [])
    if "seeds" not in values and "seeds" not in settings and _follow_each_other(seeds):
        del values["seed"]
        settings = {**settings, "seed": seeds[0], "seeds": len(seeds)}
    return Study([_located(rule, beside) for rule in rules], values, out, **settings)


def _values(name: str, value: Any) -> list[Any]:
    if isinstance(value, str) and (found := RANGE.fullmatch(value)):
        first, last = map(int, found.groups())
        if not 0 <= last - first < MOST_CELLS:
            raise SettingsError(f'`{name}` needs a growing range, such as "0..7", not "{value}"')
        return list(range(first, last + 1))
    if not isinstance(value, list) or not value:
        raise SettingsError(f'`{name}` needs a list of values or a range such as "0..7", not `{value}`')
    return value


def _follow_each_other(seeds: list[Any]) -> bool:
    whole = bool(seeds) and all(type(seed) is int for seed in seeds)
    return whole and seeds == list(range(seeds[0], seeds[0] + len(seeds)))


def _located(rule: str, beside: Path) -> str:
    """A file beside the study's, or what was written."""
    return str(beside / rule) if rule.endswith(".rule") and (beside / rule).is_file() else rule


def keep_study(study: Study) -> None:
    """Write what the study is into its folder, over what it was: a study may grow, and cells that are no
    longer asked for stay where they are."""
    text = tomli_w.dumps({"rules": study.rules, "vary": study.vary, "settings": study.settings})
    with taking_turns(make_folder(study.out)):
        write_text(study.out / STUDY, text)


def open_study(folder: Path) -> Study:
    """The study that a folder keeps. Raises `RunError` when it keeps none."""
    if not (folder / STUDY).is_file():
        raise RunError(f"{folder} is not the folder of a study: it has no {STUDY}")
    return read_study(folder / STUDY, folder)
