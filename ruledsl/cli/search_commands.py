"""The commands that look for rules nobody wrote."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ruledsl.cli.options import (
    PATH,
    Grouped,
    allow_option,
    executor_option,
    given,
    grouped,
    out_option,
    plugins_option,
    quiet_option,
    setting_options,
)
from ruledsl.discovery import GROUP, SEARCH, TRAINED
from ruledsl.ir import LOCALITY_NAMES
from ruledsl.stopping import stopping


class Words(click.ParamType):
    """Names, separated by commas."""

    name = "words"

    def convert(self, value: object, param: object, ctx: object) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(word.strip() for word in str(value).split(",") if word.strip())


class Times(Words):
    """Numbers, separated by commas."""

    name = "numbers"

    def convert(self, value: object, param: object, ctx: object) -> tuple[float, ...]:  # type: ignore[override]
        try:
            return tuple(float(word) for word in super().convert(value, param, ctx))
        except ValueError:
            raise click.BadParameter(f"`{value}` are no numbers, separated by commas") from None


class Duration(click.ParamType):
    """`90s`, `30m`, `8h`, as seconds."""

    name = "time"

    def convert(self, value: object, param: object, ctx: object) -> float:
        if isinstance(value, float):
            return value
        text, units = str(value), {"s": 1.0, "m": 60.0, "h": 3600.0}
        try:
            seconds = float(text[:-1]) * units[text[-1:]]
        except (ValueError, KeyError):
            raise click.BadParameter(f"`{text}` is no time such as 90s, 30m or 8h") from None
        if not 0 < seconds < float("inf"):
            raise click.BadParameter(f"`{text}` is no time above 0")
        return seconds


SEARCHED = {"cls": grouped(GROUP)}
ALPHABET = (
    click.option("--quantities", type=Words(), metavar="NAMES", default=(), **SEARCHED,
                 help="What terms may read.  [default: y, e, 1 of both sides, and W]"),
    click.option("--functions", type=Words(), metavar="NAMES", default=(), **SEARCHED,
                 help="Such as square,tanh,mean.  [default: none]"),
    click.option("--traces", type=Times(), metavar="τ,…", default=(), **SEARCHED,
                 help="Times of trace(x, τ), in samples."),
    click.option("--operators", type=Words(), metavar="NAMES", default=("+", "-", "*", ".*"), **SEARCHED,
                 help="Of + - * .* /  [default: all but /]"),
)  # fmt: skip


def alphabet_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What terms are written with."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(ALPHABET), command)


@click.command(name="enumerate")
@allow_option
@click.option("--size", type=click.IntRange(1, 15), default=7, show_default=True,
              help="Symbols in a term: quantities, operators, functions.")  # fmt: skip
@alphabet_options
@click.option("--target", default="W", show_default=True, help="What terms move: W, B or bias.")
@click.option("--out", type=PATH, default=None, help="Write the terms to this .rule file.")
@quiet_option
def enumerate_(allow: str | None, size: int, out: Path | None, quiet: bool, **alphabet: Any) -> None:
    """Every distinct term within a locality class, up to a size.

    Terms that are equal up to a factor count once, and the file holds those that are no sums of others.
    """
    from ruledsl.cli import searching

    searching.enumerate_(allow, size, out, quiet, alphabet)


@click.command(cls=Grouped)
@click.option("--from", "start", default="feedback_alignment", show_default=True, metavar="RULE", **SEARCHED,
              help="The rule that the search grows from.")  # fmt: skip
@click.option("--allow", type=click.Choice(list(LOCALITY_NAMES)), default="axon", show_default=True,
              **SEARCHED, help="Least strict locality class of a term.")  # fmt: skip
@click.option("--size", type=click.IntRange(1, 15), default=5, show_default=True, **SEARCHED,
              help="Symbols in a term.")  # fmt: skip
@alphabet_options
@click.option("--also", type=Words(), metavar="TARGETS", default=(), **SEARCHED,
              help="What terms may move beside W: B, bias.  [default: nothing]")  # fmt: skip
@setting_options(SEARCH)
@setting_options(TRAINED)
@click.option("--budget", type=Duration(), default=None, metavar="TIME",
              help="For everything, such as 90m or 8h: no round begins too late for the end.")  # fmt: skip
@out_option("Folder of the search (default: runs/found-DATE).")
@executor_option("here")
@click.option("--require", multiple=True, metavar="'MEASURE > NUMBER'",
              help="Also print all rules of the race that meet this, and what they share; may be repeated: "
              "accuracy, alpha_1, ortho_1, products, terms.")  # fmt: skip
@click.option("--resume", type=PATH, default=None, metavar="FOLDER", help="Go on with a search as it began.")
@plugins_option
@quiet_option
def discover(
    budget: float | None,
    out: Path | None,
    resume: Path | None,
    executor: str,
    require: tuple[str, ...],
    quiet: bool,
    **options: Any,
) -> None:
    """Find rules that nobody wrote: a library of terms, searched by racing, judged on unseen classes.

    The classes of the data set are split: half to search on, a quarter to choose by, a quarter to test on.
    Stopped, `--resume FOLDER` goes on.
    """
    with stopping():
        from ruledsl.cli import searching

        asked = {name: options[name] for name in ("start", "allow", "size", "also")}
        alphabet = {name: options[name] for name in ("quantities", "functions", "traces", "operators")}
        if resume:
            _as_it_began()
        question = searching.asked(alphabet, given(SEARCH), given(TRAINED), resume, executor, **asked)
        sys.exit(searching.discover_(question, resume or out, budget, executor, require, quiet))


def _as_it_began() -> None:
    """A search is gone on with as it was asked for. Raises `UsageError` for options that would change it."""
    context = click.get_current_context()
    for option in context.command.params:
        name = option.name or ""
        asked = context.get_parameter_source(name) != ParameterSource.DEFAULT
        if asked and name not in ("resume", "budget", "executor", "require", "quiet", "plugins"):
            raise click.UsageError(
                f"{option.opts[0]} cannot be changed: --resume goes on as the search began"
            )
