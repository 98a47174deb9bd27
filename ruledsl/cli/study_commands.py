"""The commands below `study`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ruledsl.cli.options import PART, PATH, accept_option, executor_option, plugins_option, quiet_option


@click.group()
def study() -> None:
    """Many trainings at once: rules × settings from a .toml FILE, on one core or a thousand."""


study_file = click.argument("file", type=PATH)
study_folder = click.argument("folder", type=PATH)


@study.command(name="run")
@study_file
@click.option("--out", type=PATH, required=True, help="Folder of the study; each cell is a run folder in it.")
@executor_option("here")
@plugins_option
@quiet_option
def study_run(file: Path, out: Path, executor: str, quiet: bool) -> None:
    """Train what is not trained yet.

    Stopped, the same command goes on where it was.
    """
    from ruledsl.cli import studies

    sys.exit(studies.run(file, out, executor, (1, 1), quiet))


@study.command(name="cells")
@study_file
@click.option("--out", type=PATH, required=True, help="Folder of the study.")
@click.option("--part", type=PART, default="1/1", metavar="K/N", help="The K-th of N parts of the cells.")
@plugins_option
@quiet_option
def study_cells(file: Path, out: Path, part: tuple[int, int], quiet: bool) -> None:
    """Train one part, as an element of a job array."""
    from ruledsl.cli import studies

    sys.exit(studies.run(file, out, "here", part, quiet))


@study.command(name="status")
@study_folder
@plugins_option
def study_status(folder: Path) -> None:
    """How far each cell of a study is, also while it runs elsewhere."""
    from ruledsl.cli import studies

    studies.status(folder)


@study.command(name="table")
@study_folder
@click.option("--by", default=None, metavar="SETTING", help="A column for each of its values.")
@plugins_option
@accept_option
def study_table(folder: Path, by: str | None) -> None:
    """Accuracy at the end of each cell that is finished."""
    from ruledsl.cli import studies

    studies.table(folder, by)


@study.command(name="script")
@study_file
@click.option("--out", type=PATH, required=True, help="Folder of the study.")
@click.option("--jobs", type=click.IntRange(1), default=100, show_default=True, help="Elements of the array.")
@plugins_option
def study_script(file: Path, out: Path, jobs: int) -> None:
    """Print a Slurm array script that trains the study."""
    from ruledsl.cli import studies

    studies.script(file, out, jobs)
