"""Options made from the tables of settings, in groups, and how a command tells of bad input."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ruledsl.errors import UserError
from ruledsl.evidence import accepting_edited
from ruledsl.registry import plugin_at_fault, use_folders
from ruledsl.settings import META, NETWORK, OPTIONS, RULE, RUN, TASK, Setting
from ruledsl.stopping import INTERRUPTED

BAD_INPUT = 2
PATH: click.Path = click.Path(path_type=Path)
GROUPS = (RULE, TASK, NETWORK, META, RUN)


class Commands(click.Group):
    """The command line: the one place that prints what is wrong with a user's input."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            sys.exit(INTERRUPTED)
        except BaseException as error:
            told = _told(error)
            if not told:
                raise
            click.echo("\n".join([told, *getattr(error, "__notes__", ())]), err=True)
            sys.exit(BAD_INPUT)


def _told(error: BaseException) -> str:
    """What went wrong, where a user can do something about it; nothing for a defect of ours."""
    if isinstance(error, UserError):
        return error.render()
    if place := plugin_at_fault(error):
        return f"error: {place}: {type(error).__name__}: {error}"
    if isinstance(error, MemoryError):
        return f"error: there is not enough memory: {error or 'make sizes, seeds or tasks smaller'}"
    if isinstance(error, OSError) and error.filename and not isinstance(error, BrokenPipeError):
        return f"error: {error.filename}: {(error.strerror or str(error)).lower()}"
    return ""


def _show(message: Warning | str, category: type[Warning], *_: Any) -> None:
    """Warnings that are meant for users, without the place in our code that gave them."""
    text = str(message)
    click.echo(text if category.__name__ == "RuleWarning" else f"warning: {text}", err=True)


class SettingType(click.ParamType):
    """A value as its row of the table reads it."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.name = setting, setting.name

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return self.setting.check.metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self.setting.parse(value) if isinstance(value, str) else value


class PartType(click.ParamType):
    """`3/100`: the third of a hundred parts."""

    name = "part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number, slash, count = str(value).partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            self.fail(f"needs K/N with K from 1 to N, such as 3/100, not `{value}`", param, ctx)
        return int(number), int(count)


PART = PartType()


class SettingOption(click.Option):
    """An option that knows under which heading of `--help` it stands."""

    group = ""


def grouped(heading: str) -> type[SettingOption]:
    """Options that stand under a heading."""
    return type("Option", (SettingOption,), {"group": heading})


theta_option = click.option(
    "--theta",
    default=None,
    metavar="NAME=VALUE,…",
    help="Coefficients (default: the rule's own, or those the run learned).",
)


def setting_options(table: Mapping[str, Setting]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option for every row of a table. What was not given stays away: see `given`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        return functools.reduce(
            lambda wrapped, s: _option(s)(wrapped), reversed(list(table.values())), command
        )

    return decorate


def _option(setting: Setting) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    default = setting.shown_default or _shown(setting.default)
    text = f"{setting.help}  [default: {default}]" if default else setting.help
    kind = {"is_flag": True, "default": False} if setting.default is False else {"type": SettingType(setting)}
    several = setting.name == "diagnostics"
    return click.option(
        setting.option, setting.name, cls=grouped(setting.group), help=text, multiple=several, **kind
    )


def _shown(value: Any) -> str:
    if value is None or value is False or value in ("", ()):
        return ""
    if isinstance(value, tuple):
        if isinstance(value[0], tuple):
            return " + ".join(n for n, _ in value)
        return ("," if isinstance(value[0], str) else "-").join(map(str, value))
    return str(value)


def given(table: Mapping[str, Setting] = OPTIONS) -> dict[str, Any]:
    """The settings that stand on the command line, by name."""
    context = click.get_current_context()
    found = {n: v for n, v in context.params.items() if n in table}
    found = {n: v for n, v in found.items() if context.get_parameter_source(n) != ParameterSource.DEFAULT}
    # Repeated options come as a tuple of one-element tuples.
    return {n: tuple(x for part in v for x in part) if n == "diagnostics" else v for n, v in found.items()}


class Grouped(click.Command):
    """A command whose help lists options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}
        for param in self.get_params(ctx):
            # Newer clicks have a record for arguments as well, which stand in the usage line.
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                rows.setdefault(getattr(param, "group", RUN) or RUN, []).append(record)
        for group, records in rows.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl(records)


def name_folders(_context: click.Context, _option: click.Parameter, folders: tuple[Path, ...]) -> None:
    """Take the folders in whose plugins may be run."""
    try:
        use_folders(folders)
    except UserError as error:
        click.echo(error.render(), err=True)
        sys.exit(BAD_INPUT)


plugins_option = click.option(
    "--plugins",
    type=PATH,
    multiple=True,
    metavar="DIR",
    callback=name_folders,
    is_eager=True,
    expose_value=False,
    help="A folder whose plugin files may be run (also: $RULEDSL_PLUGINS); may be repeated.",
)


def accept_edited(context: click.Context, _option: click.Parameter, accept: bool) -> None:
    """Let files that were changed since their run be read, for one command."""
    context.with_resource(accepting_edited(accept))


accept_option = click.option(
    "--accept-edited",
    is_flag=True,
    callback=accept_edited,
    expose_value=False,
    help="Read a run folder although a file of it was changed since its training.",
)
quiet_option = click.option("--quiet", is_flag=True, help="Print the result only.")
allow_option = setting_options({"allow": OPTIONS["allow"]})


def executor_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        "--executor",
        default=default,
        show_default=True,
        metavar="NAME[:ADDRESS]",
        help="Where it runs: here, processes:4, dask:tcp://HOST:8786, slurm:jobs=100, or a plugin's.",
    )


def out_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--out", type=PATH, default=None, help=text)
