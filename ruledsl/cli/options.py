"""Options that several commands share, and how a command tells of bad input."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ruledsl.ir.diagnostics import RuleError
from ruledsl.ir.kinds import LOCALITY_NAMES
from ruledsl.registry import PluginError, use_folders

BAD_INPUT = 2
PATH: click.Path = click.Path(path_type=Path)


def reports_bad_input(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a fault of the input into its message and exit code 2, without a traceback."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except RuleError as error:
            click.echo(str(error), err=True)
        except Exception as error:
            # Imported late: by now whatever raised it has loaded these modules anyway.
            if type(error).__name__ not in ("DataError", "RunError", "SettingsError", "PluginError"):
                raise
            click.echo(f"error: {error}", err=True)
        sys.exit(BAD_INPUT)

    return wrapped


def name_folders(_context: click.Context, _option: click.Parameter, folders: tuple[Path, ...]) -> None:
    """Take the folders in whose plugins may be run."""
    try:
        use_folders(folders)
    except PluginError as error:
        click.echo(f"error: {error}", err=True)
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


allow_option = click.option(
    "--allow",
    type=click.Choice(list(LOCALITY_NAMES)),
    default="layer",
    show_default=True,
    help="Least strict locality class that is accepted.",
)


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that `train` and `evaluate` share."""
    options = [
        click.option("--dataset", default="glyphs", show_default=True, metavar="NAME[/PART]", help="Images to use."),
        click.option("--data-root", type=PATH, default=Path("data"), show_default=True, help="Folder of data sets."),
        click.option("--download", is_flag=True, help="Fetch the data set through torchvision if it is missing."),
        click.option("--feedback", metavar="NAME", help="How errors travel back: a feedback plugin (`list plugins`).  "
                     "[default: the rule's, else fixed]"),
        click.option("--sizes", default="784-170-130-100-70-47", show_default=True, help="Layer sizes."),
        click.option("--beta", type=float, default=10.0, show_default=True, help="Sharpness of the activation."),
        click.option("--activation", default="softplus", show_default=True, metavar="NAME", help="Of hidden cells."),
        click.option("--output", type=click.Choice(["softmax", "linear"]), default="softmax", show_default=True,
                     help="Softmax with cross-entropy, or linear with squared error."),
        click.option("--bias", is_flag=True, help="Give cells biases, which terms `for bias` move."),
        click.option("--init", type=click.Choice(["xavier", "kaiming", "orthogonal"]), default="xavier",
                     show_default=True, help="How initial weights are drawn."),
        click.option("--third", type=click.Choice(["task", "surprise", "reward"]), default="surprise",
                     show_default=True, help="What `third` in a rule stands for."),
        click.option("--inhibitory", type=float, default=0.0, show_default=True,
                     help="Fraction of inhibitory cells; above 0 every weight keeps its cell's sign (Dale)."),
        click.option("--feedback-noise", type=float, default=0.0, show_default=True,
                     help="Noise on every carried error, relative to it."),
        plugins_option,
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="First seed."),
        click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="How many, counting up."),
        click.option("--device", default="cpu", show_default=True, help="Torch device."),
        click.option("--threads", type=click.IntRange(0), default=0, show_default=True, help="CPU threads; 0 is all."),
        click.option("--quiet", is_flag=True, help="Print the result only."),
        allow_option,
    ]  # fmt: skip
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)
