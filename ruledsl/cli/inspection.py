"""`diagnose` and `watch`: what a run did, and what it is doing."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from ruledsl.errors import RunError
from ruledsl.measures import Norms, StreamReport
from ruledsl.progress import TrainingProgress
from ruledsl.runs import diagnose as walk
from ruledsl.runs import is_in_use, open_run

SHOWN_TERMS = 4


def diagnose(folder: Path, number: int | None, episode: int | None) -> None:
    """Say where a recorded episode's stream went wrong."""
    found = walk(open_run(folder), number, episode)
    loss = f"{found.meta_loss:.3g}" if math.isfinite(found.meta_loss) else "not finite"
    click.echo(f"run {found.run}, episode {found.episode}: meta-loss {loss}")
    names = list(found.theta)
    for place, stream in enumerate(found.streams):
        task = f"task {place}: " if len(found.streams) > 1 else ""
        click.echo(task + _verdict(stream, names))
        _print_norms(stream, names)


def _verdict(stream: StreamReport, names: Sequence[str]) -> str:
    at = stream.blew_up
    if at is None:
        top = stream.largest
        return (
            f"no update was ever as large as its weights in {stream.samples} samples; the largest, at "
            f"sample {top.sample} in layer {top.layer}, was {top.ratio:.2g} of them, mostly "
            f"{_main(top, names)}. "
            f"If the episode was refused, its gradient was chaotic, not its stream"
        )
    return (
        f"sample {at.sample} of {stream.samples} blew up in layer {at.layer} (W from {at.layer - 1} to "
        f"{at.layer}): "
        f"‖ΔW‖ = {at.update:.3g} on ‖W‖ = {at.weights:.3g}, most of it {_main(at, names)}"
    )


def _main(norms: Norms, names: Sequence[str]) -> str:
    largest = max(
        range(len(norms.terms)), key=lambda n: math.inf if math.isnan(norms.terms[n]) else norms.terms[n]
    )
    return f"`{names[largest]}` (‖θF‖ = {norms.terms[largest]:.3g})"


def _print_norms(stream: StreamReport, names: Sequence[str]) -> None:
    rows = [*stream.led_there, stream.blew_up or stream.largest]
    order = sorted(
        range(len(rows[-1].terms)), key=lambda n: -rows[-1].terms[n] if rows[-1].terms[n] > 0 else 0.0
    )
    table = Table(title=f"layer {rows[-1].layer}; right of ‖ΔW‖ the norms ‖θF‖ of single terms", box=None)
    for head in ("sample", "‖W‖", "‖ΔW‖", *(names[n] for n in order[:SHOWN_TERMS])):
        table.add_column(head, justify="right", overflow="fold")
    for row in rows:
        numbers = (row.weights, row.update, *(row.terms[n] for n in order[:SHOWN_TERMS]))
        table.add_row(str(row.sample), *(f"{v:.3g}" for v in numbers))
    Console().print(table)


def watch(folder: Path, seconds: float) -> None:
    """Follow a run that another process trains, until it ends."""
    run = open_run(folder)
    seen, quiet_since = 0, time.monotonic()
    with TrainingProgress(run.config.terms, run.asked, quiet=False) as progress:
        while seen < run.asked:
            try:
                metrics = run.metrics_so_far
                news = list(metrics.records(seen)) if len(metrics.runs) == len(run.config.runs) else []
            except RunError:  # nothing recorded yet
                news = []
            for records in news:
                progress(records)
                seen, quiet_since = seen + 1, time.monotonic()
            if seen >= run.asked:
                break
            if not is_in_use(folder) and time.monotonic() - quiet_since > seconds:
                click.echo(
                    f"nobody trains {folder} now, after {seen} episodes; go on with: ruledsl resume {folder}"
                )
                return
            time.sleep(seconds)
    click.echo(f"finished: {seen} episodes in {folder}")
