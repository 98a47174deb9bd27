"""Commands and options. Nothing heavy is imported before a command needs it: `--help` answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ruledsl import __version__
from ruledsl.cli import rules as rule_commands
from ruledsl.cli.options import PATH, allow_option, plugins_option, reports_bad_input, training_options
from ruledsl.ir.kinds import LOCALITY_NAMES


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
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
@reports_bad_input
def check(files: tuple[str, ...], allow: str) -> None:
    """Check .rule files: names, shapes, locality. Prints one line per term."""
    sys.exit(rule_commands.check_files(files, LOCALITY_NAMES[allow]))


@main.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--check", "check_only", is_flag=True, help="Write nothing; exit 1 if a file is not in canonical form.")
@click.option("--write/--print", "write", default=False, help="Rewrite the files, or print to the terminal (default).")
@reports_bad_input
def fmt(files: tuple[str, ...], check_only: bool, write: bool) -> None:
    """Print .rule files in their one canonical form (or rewrite them)."""
    sys.exit(rule_commands.format_files(files, check_only, write))


@main.command()
@click.argument("rule")
@click.option(
    "--as",
    "form",
    type=click.Choice(rule_commands.FORMS),
    default="text",
    show_default=True,
    help="Which level to print.",
)
@allow_option
@reports_bad_input
def show(rule: str, form: str, allow: str) -> None:
    """Show what a rule became. RULE is FILE, FILE:NAME, or a name on the search path."""
    click.echo(rule_commands.show_rule(rule, form, LOCALITY_NAMES[allow]))


@main.command(name="list")
@click.argument("what", type=click.Choice(["rules", "plugins", "claims"]), default="rules")
@plugins_option
@reports_bad_input
def list_(what: str) -> None:
    """List every rule and term on the search path, every plugin, or the paper's claims, with where each is defined."""
    if what == "claims":
        from ruledsl.cli import reproduction

        sys.exit(reproduction.list_claims())
    if what == "plugins":
        from ruledsl.cli import plugins

        sys.exit(plugins.list_plugins())
    rule_commands.list_definitions()


@main.command(name="plugin-test")
@click.argument("file", type=PATH)
@reports_bad_input
def plugin_test(file: Path) -> None:
    """Run the contract of its kind for every plugin in FILE: shapes, batches, determinism, gradients, progress."""
    from ruledsl.cli import plugins

    sys.exit(plugins.test_plugins(file))


@main.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--rule", "rule_name", default=None, help="Which rule of the file to train.")
@click.option("--separately", is_flag=True, help="Train each FILE as runs of its own, in one batch.")
@click.option("--episodes", type=click.IntRange(1), default=500, show_default=True, help="Meta-training episodes.")
@click.option("--labels", type=click.IntRange(1), default=5, show_default=True, help="M, labels in a task.")
@click.option("--shots", type=click.IntRange(1), default=50, show_default=True, help="K, training images per label.")
@click.option("--queries", type=click.IntRange(1), default=10, show_default=True, help="Q, query images per label.")
@click.option("--lr", "learning_rate", type=float, default=1e-3, show_default=True, help="Adam's rate.")
@click.option(
    "--recipe",
    default="robust",
    show_default=True,
    metavar="NAME",
    help="How Θ moves: robust, paper (Algorithm 1 to the letter), or a recipe plugin.",
)
@click.option("--optimiser", default=None, metavar="NAME", help="A meta-optimiser in the recipe's place: adam, cma …")
@click.option("--task", "tasks", default="classes", show_default=True, metavar="NAME", help="What a stream shows.")
@click.option(
    "--objective", default="query", show_default=True, metavar="SUM", help="What is made small: query + 0.1*activity …"
)
@click.option("--diagnostic", "diagnostics", multiple=True, metavar="NAME", help="One more column of metrics.csv.")
@click.option(
    "--theta-per",
    type=click.Choice(["network", "layer", "population"]),
    default="network",
    show_default=True,
    help="One Θ for all, one for each layer, or one for each pair of excitatory and inhibitory populations.",
)
@click.option(
    "--l1", default="0", show_default=True, help="λ of λ‖Θ‖₁; several, as in 0,0.1,1, train one run each per seed."
)
@click.option(
    "--meta-batch",
    type=click.IntRange(1),
    default=None,
    help="Tasks averaged per meta-step.  [default: 2 for robust, 1 for paper]",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "rebuild", "checkpoint", "autograd", "forward"]),
    default="auto",
    show_default=True,
    help="How gradients are computed; forward keeps memory flat on very long streams.",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", "compiled", "eager"]),
    default="auto",
    show_default=True,
    help="auto: compiled C++ when the episodes ahead repay compiling it.",
)
@click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
@click.option(
    "--teacher",
    default=None,
    metavar="NAME=VALUE,…",
    help="Plant a rule: query labels come from networks that learned by this Θ*.",
)
@click.option("--out", type=PATH, default=None, help="Run folder (default: runs/RULE-DATE).")
@training_options
@reports_bad_input
def train(**options: Any) -> None:
    """Meta-learn the coefficients Θ of a rule (Algorithm 1). Several FILES train the union of their terms."""
    from ruledsl.cli import training

    sys.exit(training.train(**options))


@main.command()
@click.argument("folder", type=PATH)
@click.option(
    "--episodes",
    type=click.IntRange(1),
    default=None,
    help="Go on to this many episodes instead of the planned number.",
)
@click.option("--quiet", is_flag=True, help="Print the result only.")
@reports_bad_input
def resume(folder: Path, episodes: int | None, quiet: bool) -> None:
    """Continue an interrupted training from its last checkpoint, bit for bit."""
    from ruledsl.cli import training

    sys.exit(training.resume(folder, episodes, quiet))


@main.command()
@click.argument("folder", type=PATH)
@click.option("--out", type=PATH, default=None, help="New run folder (default: runs/NAME-again).")
@click.option("--quiet", is_flag=True, help="Print the result only.")
@reports_bad_input
def rerun(folder: Path, out: Path | None, quiet: bool) -> None:
    """Train a run folder's config and rule text again, and compare every number."""
    from ruledsl.cli import training

    sys.exit(training.rerun(folder, out, quiet))


@main.command()
@click.argument("folder", type=PATH)
@click.option("--out", type=PATH, default=None, help="Folder for the evidence (default: RUN/selection).")
@click.option("--seeds", type=click.IntRange(1), default=4, show_default=True, help="Seeds of the elimination.")
@click.option("--episodes", type=click.IntRange(2), default=100, show_default=True, help="Episodes of a knock-out.")
@click.option("--refit-episodes", type=click.IntRange(2), default=None, help="Of the refits (default: the run's).")
@click.option("--measure", type=click.Choice(["accuracy", "loss"]), default="accuracy", show_default=True)
@click.option(
    "--tolerance", type=click.FloatRange(0), default=0.02, show_default=True, help="How much worse is as good."
)
@click.option("--largest", type=click.IntRange(0), default=6, show_default=True, help="Refit no larger rule.")
@click.option("--quiet", is_flag=True, help="Print the result only.")
@reports_bad_input
def select(folder: Path, out: Path | None, quiet: bool, refit_episodes: int | None, **plan: Any) -> None:
    """Find the smallest rule that does as well as a trained pool, with the evidence for each term."""
    from ruledsl.cli import selection
    from ruledsl.selection import Plan

    sys.exit(selection.run(folder, out, Plan(refit_episodes=refit_episodes or 0, **plan), quiet))


@main.command()
@click.argument("claims", nargs=-1, metavar="[CLAIMS…|all]")
@click.option("--quick", is_flag=True, help="Three seeds, three tenths of the episodes: minutes, and wider intervals.")
@click.option("--seeds", type=click.IntRange(1), default=None, help="How many, from 0.  [default: 8, 3 with --quick]")
@click.option(
    "--profile",
    type=click.Choice(["released-code"]),
    default=None,
    help="Also switch on what the released code does otherwise, one thing at a time.",
)
@click.option("--recipe", default=None, metavar="NAME", help="In place of `paper`, and of what the files say.")
@click.option("--dataset", default=None, metavar="NAME[/PART]", help="In place of the data sets of the files.")
@click.option("--data-root", type=PATH, default=Path("data"), show_default=True, help="Folder of data sets.")
@click.option("--download", is_flag=True, help="Fetch data sets through torchvision if they are missing.")
@click.option("--out", type=PATH, default=Path("runs/paper"), show_default=True, help="Where runs are kept and found.")
@click.option("--write", type=PATH, default=None, help="Folder for the document and figures (default: --out).")
@click.option("--strict", is_flag=True, help="Exit with 1 when a claim disagrees.")
@click.option(
    "--jobs", type=click.IntRange(1), default=2, show_default=True, help="Experiments at once, a thread each."
)
@click.option("--quiet", is_flag=True, help="Print verdicts only.")
@plugins_option
@reports_bad_input
def reproduce(claims: tuple[str, ...], **options: Any) -> None:
    """Run the paper's claims (`list claims`), or those of a .toml FILE: printed value, ours, whether they agree."""
    from ruledsl.cli import reproduction

    sys.exit(reproduction.run(claims, **options))


@main.command()
@click.argument("folder", type=PATH)
@click.option("--run", type=click.IntRange(0), default=None, help="Which run of the batch.")
@click.option("--episode", type=click.IntRange(0), default=None, help="Which episode (default: the first diverged).")
@reports_bad_input
def diagnose(folder: Path, run: int | None, episode: int | None) -> None:
    """Walk through a diverged episode: the first sample, layer and term that blew up, and the norms before."""
    from ruledsl.cli import inspection

    sys.exit(inspection.diagnose(folder, run, episode))


@main.command()
@click.argument("folder", type=PATH)
@click.option("--every", "seconds", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds.")
@reports_bad_input
def watch(folder: Path, seconds: float) -> None:
    """Follow a run that another terminal trains."""
    from ruledsl.cli import inspection

    sys.exit(inspection.watch(folder, seconds))


@main.command()
@click.argument("folders", type=PATH, nargs=-1, required=True)
@click.option("--out", type=PATH, default=None, help="HTML file (default: RUN/report.html, or ./comparison.html).")
@reports_bad_input
def report(folders: tuple[Path, ...], out: Path | None) -> None:
    """Write one HTML page of a run, or of several side by side, with differences and intervals."""
    from ruledsl.report import write_page

    default = folders[0] / "report.html" if len(folders) == 1 else Path("comparison.html")
    click.echo(write_page(folders, out or default))


@main.command()
@click.argument("first")
@click.argument("second")
@reports_bad_input
def diff(first: str, second: str) -> None:
    """Say what differs between two rules, or two runs, by algebra. Exit code 0 when nothing does, else 1."""
    from ruledsl.cli import difference

    sys.exit(difference.diff(first, second))


@main.command()
@click.argument("folder", type=PATH)
@reports_bad_input
def tensorboard(folder: Path) -> None:
    """Write a run's metrics as TensorBoard event files, under RUN/tensorboard."""
    from ruledsl.runs.tensorboard import export_events

    click.echo(f"see it with: tensorboard --logdir {export_events(folder)}")


@main.command()
@click.argument("folder", type=PATH)
@reports_bad_input
def plot(folder: Path) -> None:
    """Draw the figures of a run folder again."""
    from ruledsl.report import draw_training

    for path in draw_training(folder):
        click.echo(path)


@main.command()
@click.argument("rule_or_run")
@click.option(
    "--theta",
    "given",
    default=None,
    metavar="NAME=VALUE,…",
    help="Coefficients (default: the rule's own, or those the run learned).",
)
@click.option("--samples", type=click.IntRange(1), default=8000, show_default=True, help="Length of the stream.")
@click.option("--classes", type=click.IntRange(0), default=0, show_default=True, help="Classes to learn (0: all).")
@click.option("--test-images", type=click.IntRange(1), default=1000, show_default=True, help="Held-out images.")
@click.option(
    "--out",
    type=PATH,
    default=None,
    help="Folder for the curve (default: the run, or runs/RULE-evaluate).",
)
@training_options
@reports_bad_input
def evaluate(**options: Any) -> None:
    """Train naive networks online with a fixed Θ: accuracy against samples seen, with an interval over seeds."""
    from ruledsl.cli import evaluation

    sys.exit(evaluation.evaluate(**options))
