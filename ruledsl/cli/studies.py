"""`study`: many trainings, anywhere; how far they are, and what came out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ruledsl.runs import is_in_use, recorded_groups
from ruledsl.statistics import Interval
from ruledsl.stopping import INTERRUPTED
from ruledsl.studies import StudyCell, keep_study, named_folders, open_study, read_study, shown
from ruledsl.wording import counted

MOST_ROWS = 50


def run(file: Path, out: Path, executor: str, part: tuple[int, int], quiet: bool) -> int:
    """Train what is not trained yet; the exit code."""
    study = read_study(file, out)
    try:
        study.run(executor, not quiet, part, begun=lambda: keep_study(study))
    except KeyboardInterrupt:
        click.echo("stopped; the same command goes on where this one was")
        return INTERRUPTED
    if part == (1, 1):
        table(out, None)
    return 0


def status(folder: Path) -> None:
    """How far each cell is."""
    study = open_study(folder)
    table = _table("cell", "state", "episodes", "accuracy so far")
    states = []
    for cell in study.cells:
        state = _state(cell)
        states.append(state)
        if len(states) <= MOST_ROWS:
            run = cell.run_folder
            episodes = f"{run.episodes}/{cell.planned}"
            table.add_row(cell.name, state, episodes, _so_far(cell) if run.episodes else "")
    Console().print(table)
    if len(states) > MOST_ROWS:
        click.echo(f"… and {len(states) - MOST_ROWS} more")
    kinds = ("finished", "running", "stopped", "new")
    parts = [f"{states.count(kind)} {kind}" for kind in kinds if kind in states]
    click.echo(f"{counted(len(states), 'cell')}: {', '.join(parts)}")


def _state(cell: StudyCell) -> str:
    run = cell.run_folder
    if run.state == "finished":
        return "finished"
    if run.folder.is_dir() and is_in_use(run.folder):
        return "running"
    return "new" if run.state == "new" else "stopped"


def _so_far(cell: StudyCell) -> str:
    """Of each group of runs that differ in their seed only."""
    run, metrics = cell.run_folder, cell.run_folder.metrics_so_far
    groups = recorded_groups(run.config, metrics).values()
    found = (Interval.of(run.accuracy_by_seed(members, metrics).values()) for members in groups)
    return "; ".join(interval.text(".3f") for interval in found)


def table(folder: Path, by: str | None) -> None:
    """Accuracy at the end: a row for each cell, or a column for each value of a setting."""
    study = open_study(folder)
    rows = study.table()
    if not rows:
        click.echo("no cell is finished yet")
        return
    varied = list(study.vary)
    if by is not None and by not in varied:
        raise click.UsageError(f"--by takes what the study varies: {', '.join(varied) or 'nothing'}")
    Console().print(_by(rows, by, [n for n in varied if n != by]) if by else _flat(rows, varied))
    click.echo("accuracy: mean of the last episodes, ± the 95 % half-width over seeds")


def _flat(rows: Sequence[dict[str, Any]], varied: Sequence[str]) -> Table:
    groups = _groups(rows)
    table = _table("rule", *varied, *groups, "accuracy")
    for row in rows:
        names = (shown(row[n]) for n in (*varied, *groups))
        table.add_row(row["label"], *names, row["accuracy"].text(".3f"))
    return table


def _groups(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The column that tells groups of runs apart, where there are several in a cell."""
    cells = {row["run"].folder for row in rows}
    return ["group"] if len(cells) < len(rows) else []


def _by(rows: Sequence[dict[str, Any]], by: str, others: Sequence[str]) -> Table:
    columns, others = list(dict.fromkeys(shown(row[by]) for row in rows)), [*others, *_groups(rows)]
    table = _table("rule", *others, *(f"{by} {column}" for column in columns))
    found: dict[tuple[str, ...], dict[str, Interval]] = {}
    for row in rows:
        where = (row["label"], *(shown(row[n]) for n in others))
        found.setdefault(where, {})[shown(row[by])] = row["accuracy"]
    for where, cells in found.items():
        table.add_row(*where, *(cells[c].text(".3f") if c in cells else "" for c in columns))
    return table


def _table(*heads: str) -> Table:
    table = Table(box=None)
    for head in heads:
        table.add_column(head, overflow="fold")
    return table


SCRIPT = """#!/bin/sh
#SBATCH --job-name={name}
#SBATCH --array=1-{jobs}
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --signal=INT@120
# Submit with `sbatch`, from a folder that every node sees. Each element trains its part of the cells. One
# that is ended by its walltime has kept what it had: submit again, and it goes on.
export OMP_NUM_THREADS=1
exec {command} --part "$SLURM_ARRAY_TASK_ID/{jobs}"
"""


def script(file: Path, out: Path, jobs: int) -> None:
    """Print a Slurm array script; the study is checked first."""
    study = read_study(file, out)
    for cell in study.cells:
        _ = cell.spec
    jobs = min(jobs, len(study.cells))
    plugins = [text for folder in named_folders() for text in ("--plugins", str(folder))]
    command = shlex.join(["ruledsl", "study", "cells", str(file), "--out", str(out), "--quiet", *plugins])
    click.echo(SCRIPT.format(name=file.stem, jobs=jobs, command=command), nl=False)
