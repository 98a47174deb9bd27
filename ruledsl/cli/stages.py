"""Progress of work that is made of many trainings, one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import click

from ruledsl.progress import TrainingProgress
from ruledsl.selection import Stage
from ruledsl.settings import EpisodeRecord


class StageProgress:
    """One progress line per stage."""

    def __init__(self, names: Sequence[str], quiet: bool, stack: contextlib.ExitStack) -> None:
        self.names, self.quiet, self.stack = names, quiet, stack
        self.stage: Stage | None = None
        self.line: TrainingProgress | None = None

    def __call__(self, stage: Stage, records: Sequence[EpisodeRecord]) -> None:
        if stage != self.stage or self.line is None:
            self.end()
            if not self.quiet:
                click.echo(f"{stage.name}: {stage.text}, {len(records)} runs", err=True)
            self.stage = stage
            self.line = self.stack.enter_context(TrainingProgress(self.names, stage.episodes, self.quiet))
        self.line(records)

    def end(self) -> None:
        """The stage is over; what is printed now stands below its line."""
        self.stack.close()
        self.line = None
