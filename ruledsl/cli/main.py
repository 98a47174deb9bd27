"""Commands: parse, call one function, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from ruledsl import __version__
from ruledsl.backend import targets
from ruledsl.cli.options import (
    PATH,
    Commands,
    Grouped,
    accept_option,
    allow_option,
    executor_option,
    given,
    out_option,
    plugins_option,
    quiet_option,
    setting_options,
    theta_option,
)
from ruledsl.cli.search_commands import discover, enumerate_
from ruledsl.cli.study_commands import study
from ruledsl.selection import PLAN
from ruledsl.settings import EVALUATED, EXPORTED, MEASURED, OPTIONS
from ruledsl.stopping import stopping

FORMS = ("text", "latex", "index", "sympy", *targets(), "program", "cost", "explain", "json")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ruledsl")
@plugins_option
def main() -> None:
    """Discover learning rules that a brain could run.

    Plasticity terms are written as text in .rule files, checked, compiled, and combined into
    F(Θ) = Σ θ_r F^r; Θ is meta-learned by differentiating exactly through online learning.
    """


@main.command()
@click.argument("files", nargs=-1, required=True)
@allow_option
def check(files: tuple[str, ...], allow: str | None) -> None:
    """Check .rule files: names, shapes, locality. Prints one line per term.

    FILES may be names on the search path as well, as elsewhere: `check bio`.
    """
    from ruledsl.cli import rules

    sys.exit(rules.check_files(files, allow))


@main.command()
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--check", "check_only", is_flag=True, help="Write nothing; exit 1 if a file is not in canonical form."
)
@click.option(
    "--write/--print", "write", default=False, help="Rewrite the files, or print to the terminal (default)."
)
def fmt(files: tuple[str, ...], check_only: bool, write: bool) -> None:
    """Print .rule files in their one canonical form (or rewrite them)."""
    from ruledsl.cli import rules

    sys.exit(rules.format_files(files, check_only, write))


@main.command()
@click.argument("rule")
@click.option(
    "--as", "form", type=click.Choice(FORMS), default="text", show_default=True, help="Which level to print."
)
@allow_option
@accept_option
def show(rule: str, form: str, allow: str | None) -> None:
    """Show what a rule became. RULE is FILE, FILE:NAME, a name on the search path, or a run folder."""
    from ruledsl.cli import rules

    click.echo(rules.show_rule(rule, form, allow))


@main.command(name="list")
@click.argument("what", type=click.Choice(["rules", "plugins", "claims"]), default="rules")
@plugins_option
def list_(what: str) -> None:
    """List every rule and term on the search path, every plugin, or the paper's claims,
    with where each is defined."""
    from ruledsl.cli import listing

    sys.exit({"rules": listing.rules, "plugins": listing.plugins, "claims": listing.claims}[what]())


@main.command(name="plugin-test")
@click.argument("file", type=PATH)
def plugin_test(file: Path) -> None:
    """Run the contract of its kind for every plugin in FILE:
    shapes, batches, determinism, gradients, progress."""
    from ruledsl.cli import listing

    sys.exit(listing.plugin_test(file))


@main.command(cls=Grouped)
@click.argument("files", nargs=-1)
@click.option("--rule", "rule_name", default=None, help="Which rule of the file to train.")
@click.option(
    "--config",
    type=PATH,
    default=None,
    help="A TOML file that says what is not given here, such as the config.toml of a run folder.",
)
@setting_options(OPTIONS)
@out_option("Run folder (default: runs/RULE-DATE).")
@executor_option("here")
@plugins_option
@quiet_option
@accept_option
def train(
    files: tuple[str, ...],
    rule_name: str | None,
    config: Path | None,
    out: Path | None,
    executor: str,
    quiet: bool,
    **_: Any,
) -> None:
    """Meta-learn the coefficients Θ of a rule (Algorithm 1). Several FILES train the union of their terms."""
    with stopping():  # from the first moment on: a Ctrl-C while torch loads leaves a folder that goes on
        from ruledsl.cli import training

        sys.exit(training.train(files, rule_name, config, out, executor, quiet, given()))


@main.command()
@click.argument("folder", type=PATH)
@click.option(
    "--episodes",
    type=click.IntRange(1),
    default=None,
    help="Go on to this many episodes instead of the planned number.",
)
@click.option(
    "--other-backend",
    is_flag=True,
    help="Go on although compiled code computed it and eager torch would go on, or the other way round.",
)
@executor_option("here")
@quiet_option
def resume(folder: Path, episodes: int | None, other_backend: bool, executor: str, quiet: bool) -> None:
    """Continue an interrupted training from its last checkpoint, bit for bit."""
    with stopping():
        from ruledsl.cli import training

        sys.exit(training.resume(folder, episodes, executor, other_backend, quiet))


@main.command()
@click.argument("folder", type=PATH)
@out_option("New run folder (default: runs/NAME-again).")
@quiet_option
@accept_option
def rerun(folder: Path, out: Path | None, quiet: bool) -> None:
    """Train a run folder's config and rule text again, and compare every number."""
    with stopping():
        from ruledsl.cli import training

        sys.exit(training.rerun(folder, out, quiet))


@main.command(cls=Grouped)
@click.argument("folder", type=PATH)
@setting_options(PLAN)
@out_option("Folder for the evidence (default: RUN/selection).")
@executor_option("here")
@quiet_option
@accept_option
def select(folder: Path, out: Path | None, executor: str, quiet: bool, **_: Any) -> None:
    """Find the smallest rule that does as well as a trained pool, with the evidence for each term."""
    with stopping():
        from ruledsl.cli import selection

        sys.exit(selection.select(folder, out, executor, quiet, given(PLAN)))


@main.command()
@click.argument("claims", nargs=-1, metavar="[CLAIMS…|all]")
@click.option(
    "--quick", is_flag=True, help="Three seeds, three tenths of the episodes: minutes, and wider intervals."
)
@click.option(
    "--seeds", type=click.IntRange(1), default=None, help="How many, from 0.  [default: 8, 3 with --quick]"
)
@click.option(
    "--profile",
    type=click.Choice(["released-code"]),
    default=None,
    help="Also switch on what the released code does otherwise, one thing at a time.",
)
@click.option(
    "--recipe", default=None, metavar="NAME", help="In place of `paper`, and of what the files say."
)
@click.option(
    "--dataset", default=None, metavar="NAME[/PART]", help="In place of the data sets of the files."
)
@click.option("--data-root", type=PATH, default=Path("data"), show_default=True, help="Folder of data sets.")
@click.option("--download", is_flag=True, help="Fetch data sets through torchvision if they are missing.")
@click.option(
    "--out", type=PATH, default=Path("runs/paper"), show_default=True, help="Where runs are kept and found."
)
@click.option(
    "--write", type=PATH, default=None, help="Folder for the document and figures (default: --out)."
)
@click.option("--strict", is_flag=True, help="Exit with 1 when a claim disagrees.")
@executor_option("processes:2")
@accept_option
@plugins_option
@quiet_option
def reproduce(claims: tuple[str, ...], **options: Any) -> None:
    """Run the paper's claims (`list claims`), or those of a .toml FILE:
    printed value, ours, whether they agree."""
    from ruledsl.cli import reproduction

    sys.exit(reproduction.reproduce(claims, shlex.join(["ruledsl", *sys.argv[1:]]), **options))


@main.command()
@click.argument("folder", type=PATH)
@click.option("--run", "number", type=click.IntRange(0), default=None, help="Which run of the batch.")
@click.option(
    "--episode", type=click.IntRange(0), default=None, help="Which episode (default: the first diverged)."
)
@accept_option
def diagnose(folder: Path, number: int | None, episode: int | None) -> None:
    """Walk through a diverged episode: the first sample, layer and term that blew up,
    and the norms before."""
    from ruledsl.cli import inspection

    inspection.diagnose(folder, number, episode)


@main.command()
@click.argument("folder", type=PATH)
@click.option(
    "--every", "seconds", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds."
)
@accept_option
def watch(folder: Path, seconds: float) -> None:
    """Follow a run that another terminal trains."""
    from ruledsl.cli import inspection

    inspection.watch(folder, seconds)


@main.command()
@click.argument("folders", type=PATH, nargs=-1, required=True)
@out_option("HTML file (default: RUN/report.html, ./comparison.html, or ./searches.html).")
@accept_option
def report(folders: tuple[Path, ...], out: Path | None) -> None:
    """Write one HTML page of a run or a search, of several runs side by side with differences and
    intervals, or of what several searches agree on."""
    from ruledsl import pages

    click.echo(pages.report(*folders, out=out))


@main.command()
@click.argument("first")
@click.argument("second")
@accept_option
def diff(first: str, second: str) -> None:
    """Say what differs between two rules, or two runs, by algebra. Exit code 0 when nothing does, else 1."""
    from ruledsl import pages

    found = pages.diff(first, second)
    click.echo(found)
    sys.exit(int(not found.is_empty))


@main.command()
@click.argument("folder", type=PATH)
@accept_option
def tensorboard(folder: Path) -> None:
    """Write a run's metrics as TensorBoard event files, under RUN/tensorboard."""
    from ruledsl.runs import export_events, open_run

    click.echo(f"see it with: tensorboard --logdir {export_events(open_run(folder))}")


@main.command()
@click.argument("folder", type=PATH)
@accept_option
def plot(folder: Path) -> None:
    """Draw the figures of a run folder again."""
    from ruledsl.runs import open_run

    click.echo("\n".join(map(str, open_run(folder).plot())))


@main.command(cls=Grouped)
@click.argument("rule_or_run")
@theta_option
@click.option(
    "--samples", type=click.IntRange(1), default=8000, show_default=True, help="Length of the stream."
)
@click.option(
    "--classes", type=click.IntRange(0), default=0, show_default=True, help="Classes to learn (0: all)."
)
@click.option(
    "--test-images", type=click.IntRange(1), default=1000, show_default=True, help="Held-out images."
)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="How many networks.")
@setting_options(EVALUATED)
@out_option("Folder for the curve (default: the run, or runs/RULE-evaluate).")
@plugins_option
@quiet_option
@accept_option
def evaluate(rule_or_run: str, out: Path | None, quiet: bool, **options: Any) -> None:
    """Train naive networks online with a fixed Θ:
    accuracy against samples seen, with an interval over seeds."""
    from ruledsl.cli import evaluation

    own = {name: options[name] for name in ("theta", "samples", "classes", "test_images", "seeds")}
    evaluation.evaluate(rule_or_run, out, quiet, {**own, **given(EVALUATED)})


@main.command()
@click.argument("rule_or_run")
@click.option("--mean", "input_mean", is_flag=True, help="Let the input have a mean, as activities have.")
@accept_option
def explain(rule_or_run: str, input_mean: bool) -> None:
    """Derive what each term does on average, and measure it: drift, signs of θ, where W comes to rest.

    Exit code 1 when a formula is not what was measured.
    """
    from ruledsl.theory import explain as derive

    found = derive(rule_or_run, input_mean=input_mean)
    click.echo(found)
    sys.exit(int(bool(found.disagreements)))


@main.command(cls=Grouped)
@click.argument("rule_or_run")
@click.option(
    "--to",
    "form",
    required=True,
    metavar="LANGUAGE",
    help="numpy, jax, torch, brian2, nestml, lava, latex, markdown, or a plugin's.",
)
@theta_option
@click.option(
    "--unverified",
    is_flag=True,
    help="Write it without comparing its numbers with ruledsl's; its header says so.",
)
@click.option(
    "--measure",
    is_flag=True,
    help="Where a term is refused, say what it costs to leave it out, on the data that are named.",
)
@setting_options({**EXPORTED, **MEASURED})
@out_option("File to write (default: to the terminal).")
@plugins_option
@accept_option
def export(
    rule_or_run: str,
    form: str,
    theta: str | None,
    unverified: bool,
    measure: bool,
    out: Path | None,
    **_: Any,
) -> None:
    """Write a rule in another language, as a file that needs nothing of ruledsl, with proof that it computes
    the same."""
    from ruledsl.exports import export as write

    chosen = given({**EXPORTED, **MEASURED})
    text = write(rule_or_run, form, out=out, theta=theta, verify=not unverified, measure=measure, **chosen)
    click.echo(text if out is None else f"{out}: written", nl=out is not None)


main.add_command(study)
main.add_command(enumerate_)
main.add_command(discover)
