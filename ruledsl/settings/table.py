"""The table behind every setting: where it is declared, everything that is known of it is said, once.

`field` is written in place of a default in a frozen dataclass. The command line, config.toml, files of
claims, digests, documentation and the keyword arguments of `ruledsl.train` read what it says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ruledsl.errors import SettingsError
from ruledsl.registry import find
from ruledsl.settings.checks import Check, Wrong

_KEY = "ruledsl"


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    name: str
    default: Any
    check: Check
    help: str
    group: str
    """Under which heading it stands in `--help`."""
    option: str
    """What it is called on the command line; empty for what is not asked there."""
    kind: str = ""
    """The kind of plugin that it names, if it does."""
    deciding: bool = True
    """Whether it can change a number: what cannot is left out of digests."""
    claimed: bool = True
    """Whether files of claims may change it."""
    shown_default: str = ""
    """The default in words, where it depends on others."""
    nested: tuple[str, ...] = ()
    """The names of the dataclass fields that lead to the one that holds it."""

    def read(self, value: Any, called: str = "") -> Any:
        """A value of Python or TOML in its type. Raises `SettingsError`."""
        return self._said(self.check, value, called or f"`{self.name}`")

    def parse(self, text: str) -> Any:
        """A value of the command line in its type. Raises `SettingsError`."""
        return self._said(self.check.text, text, self.option)

    def _said(self, check: Callable[[Any], Any], value: Any, called: str) -> Any:
        try:
            found = check(value)
        except Wrong as expected:
            near = get_close_matches(str(value), self.check.choices, 1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise SettingsError(f"{called} needs {expected}, not `{value}`{hint}") from None
        for name in self.plugins(found):
            find(self.kind, name)
        return found

    def plugins(self, value: Any) -> list[str]:
        """Names of the plugins that a value means."""
        if not self.kind or not value:
            return []
        listed = [value] if isinstance(value, str) else value
        return [entry if isinstance(entry, str) else entry[0] for entry in listed]


def field(
    default: Any,
    check: Check,
    help: str,
    *,
    group: str,
    option: str | None = None,
    kind: str = "",
    deciding: bool = True,
    claimed: bool = True,
    shown_default: str = "",
) -> Any:
    """A dataclass field that is a row of the table;
    without `option` the command line names it after itself."""
    said = {
        "check": check, "help": help, "group": group, "option": option, "kind": kind, "deciding": deciding,
        "claimed": claimed, "shown_default": shown_default,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata={_KEY: said})


def rows_of(of: type, nested: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Every setting of a dataclass, in order; fields that hold such a dataclass contribute theirs."""
    for f in dataclasses.fields(of):
        said = f.metadata.get(_KEY)
        if said is not None:
            option = f"--{f.name.replace('_', '-')}" if said["option"] is None else said["option"]
            yield Setting(f.name, f.default, **{**said, "option": option}, nested=nested)
        elif f.default_factory is not dataclasses.MISSING and dataclasses.is_dataclass(f.default_factory):
            yield from rows_of(f.default_factory, (*nested, f.name))  # type: ignore[arg-type]


def flat(values: Any, table: Mapping[str, Setting]) -> dict[str, Any]:
    """A dataclass's settings by name, nested ones among them."""
    found = {}
    for name, setting in table.items():
        owner = values
        for step in setting.nested:
            owner = getattr(owner, step)
        found[name] = getattr(owner, name)
    return found


def changed(values: Any, table: Mapping[str, Setting], changes: Mapping[str, Any]) -> Any:
    """The dataclass with some settings changed, by name, wherever they are nested. Raises `SettingsError`."""
    by_path: dict[tuple[str, ...], dict[str, Any]] = {}
    for name, value in changes.items():
        by_path.setdefault(table[name].nested, {})[name] = value
    for path in sorted(by_path, key=len, reverse=True):
        if path:
            (step,) = path
            inner = dataclasses.replace(getattr(values, step), **by_path.pop(path))
            by_path.setdefault((), {})[step] = inner
    return dataclasses.replace(values, **by_path.get((), {}))


def known_names(names: Sequence[str] | Mapping[str, Any], table: Mapping[str, Any]) -> None:
    """Raise `SettingsError` for a name that is no setting."""
    for name in names:
        if name not in table:
            near = get_close_matches(name, list(table), 1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(table)}"
            raise SettingsError(f"there is no setting `{name}`{hint}")
