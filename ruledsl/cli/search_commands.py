"""The commands that look for rules nobody wrote."""

from __future__ import annotations

from pathlib import Path

import click

from ruledsl.cli.options import PATH, allow_option, quiet_option

WORDS = "Separated by commas."


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


@click.command(name="enumerate")
@allow_option
@click.option("--size", type=click.IntRange(1, 15), default=7, show_default=True,
              help="Symbols in a term: quantities, operators, functions.")  # fmt: skip
@click.option("--quantities", type=Words(), metavar="NAMES", default=None, help="What terms may read.")
@click.option("--functions", type=Words(), metavar="NAMES", default=(),
              help="Such as square,tanh,mean.  [default: none]")  # fmt: skip
@click.option("--traces", type=Times(), metavar="τ,…", default=(), help="Times of trace(x, τ), in samples.")
@click.option("--operators", type=Words(), metavar="NAMES", default=None, help="Of + - * .* /")
@click.option("--target", "target", default="W", show_default=True, help="What terms move: W, B or bias.")
@click.option("--out", type=PATH, default=None, help="Write the terms to this .rule file.")
@quiet_option
def enumerate_(
    allow: str | None,
    size: int,
    quantities: tuple[str, ...] | None,
    functions: tuple[str, ...],
    traces: tuple[float, ...],
    operators: tuple[str, ...] | None,
    target: str,
    out: Path | None,
    quiet: bool,
) -> None:
    """Every distinct term within a locality class, up to a size.

    Terms that are equal up to a factor count once, and the file holds those that are no sums of others.
    """
    from ruledsl.cli import searching

    asked = {"quantities": quantities, "operators": operators}
    given = {name: value for name, value in asked.items() if value is not None}
    searching.enumerate_(allow, size, out, quiet, functions=functions, traces=traces, target=target, **given)
