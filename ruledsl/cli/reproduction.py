"""`reproduce` and `list claims`."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ruledsl.cli.options import BAD_INPUT
from ruledsl.cli.progress import PIPED_SECONDS, TrainingProgress, clock
from ruledsl.ir.diagnostics import RuleError
from ruledsl.reproduction import locate_claims, profiles, read_claims, shipped
from ruledsl.runs import RunError

if TYPE_CHECKING:
    from ruledsl.reproduction import Job, Reproduced
    from ruledsl.reproduction.claims import ClaimFile
    from ruledsl.reproduction.verdicts import Judged
    from ruledsl.settings import EpisodeRecord

INTERRUPTED = 130
QUICK_SEEDS, QUICK_SHARE = 3, 0.3
COLOURS = {"agrees": "green", "disagrees": "red", "open": "yellow"}


def list_claims() -> int:
    """Every file of claims that ships, with its title and how many claims it holds."""
    width = max(map(len, shipped()))
    for name, path in shipped().items():
        file = read_claims(path)
        click.echo(f"{name:<{width}}  {len(file.claims):>2} claims  {file.title}")
    for name, path in profiles().items():
        click.echo(f"--profile {name}: {read_claims(path).title}")
    return 0


def run(
    names: Sequence[str], profile: str | None, quick: bool, strict: bool, write: Path | None, **options: Any
) -> int:
    """Run claims, print each verdict as it falls, write the documents; the exit code."""
    files = _files(names, profile)
    from ruledsl.reproduction import Budget, Workshop, rehearse, reproduce, run_ahead, write_documents

    seeds = options["seeds"] or (QUICK_SEEDS if quick else 8)
    budget = Budget(
        seeds, QUICK_SHARE if quick else 1.0, options["recipe"] or "", options["dataset"] or "", options["data_root"],
        {"threads": 1 if options["jobs"] > 1 else 0},
    )  # fmt: skip
    out: Path = options["out"]
    documents = write or out
    found: list[Reproduced] = []
    failed = False
    with contextlib.ExitStack() as stack:
        workshop = Workshop(out, budget, _Progress(options["quiet"], stack))
        rehearse(workshop, files)
        workshop.open_data(files, options["download"])
        try:
            if options["jobs"] > 1:
                with _Ahead(options["quiet"]) as ahead:
                    run_ahead(workshop, files, options["jobs"], ahead)
            for file in files:
                click.echo(f"{file.name}: {file.title}")
                try:
                    found.append(reproduce(workshop, file, documents, _say))
                except (RunError, RuleError) as error:  # the other files must not be lost for it
                    failed = True
                    click.echo(f"error: {file.name}: {error}", err=True)
                    continue
                _say_effects(found[-1])
        except KeyboardInterrupt:
            stack.close()
            click.echo("stopped; the same command goes on where this one was")
            return INTERRUPTED
    written = write_documents(documents, found, workshop, shlex.join(["ruledsl", *sys.argv[1:]]))
    return BAD_INPUT if failed else _close(found, written, strict)


def _files(names: Sequence[str], profile: str | None) -> list[ClaimFile]:
    """The files that are meant, each once, in order; all are read before anything is run."""
    paths = [profiles()[profile]] if profile and not names else []
    for name in names:
        paths += shipped().values() if name == "all" else [locate_claims(name)]
    if profile and names:
        paths.append(profiles()[profile])
    if not paths:
        raise click.UsageError("name claims (`ruledsl list claims`), `all`, or a --profile")
    return [read_claims(path) for path in dict.fromkeys(paths)]


def _say(judged: Judged) -> None:
    claim = judged.claim
    verdict = click.style(f"{judged.verdict:<9}", COLOURS[judged.verdict])
    click.echo(f"  {verdict} {claim.says}")
    click.echo(f"            printed {claim.printed}; accepted {claim.accepted}; ours {judged.ours.shown()}")
    if judged.support is not None and claim.if_not is not None:
        held = "most likely because" if judged.supported == "agrees" else "suspected, but not shown:"
        click.echo(f"            {held} {claim.if_not.reason}")
        click.echo(f"            there: {judged.support.shown()}, {judged.supported}")


def _say_effects(reproduced: Reproduced) -> None:
    from ruledsl.reproduction import signed

    for compared in reproduced.compared:
        alternative = compared.alternative
        click.echo(f"  {alternative.name}: {alternative.here} → {alternative.there}")
        for effect in compared.effects:
            other = f" [{reproduced.file.label(effect.other)}]" if len(alternative.others) > 1 else ""
            click.echo(
                f"    {effect.measure}{other}: {effect.here.shown()} → {effect.there.shown()} "
                f"({signed(effect.difference)})"
            )


def _close(found: Sequence[Reproduced], written: Sequence[Path], strict: bool) -> int:
    verdicts = [j.verdict for r in found for j in r.judged]
    counts = ", ".join(
        f"{verdicts.count(v)} {word}" for v, word in (("agrees", "agree"), ("disagrees", "disagree"), ("open", "open"))
    )
    if verdicts:
        click.echo(f"{len(verdicts)} claims: {counts}")
    for figure in (p for r in found for p in r.figures if p.suffix == ".png"):
        click.echo(f"figure: {figure}")
    click.echo(f"written: {', '.join(map(str, written))}")
    return 1 if strict and "disagrees" in verdicts else 0


class _Ahead:
    """One line for all experiments that run at once: episodes done, and time left."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.console = Console(stderr=True)
        self.live = not quiet and self.console.is_terminal
        columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=self.console, disable=not self.live)
        self.task = self.progress.add_task("episodes", total=None)
        self.began = self.printed = time.monotonic()

    def __enter__(self) -> _Ahead:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def failed(self, name: str, message: str) -> None:
        click.echo(f"  {name} failed, the others go on: {message}", err=True)

    def __call__(self, done: int, total: int) -> None:
        self.progress.update(self.task, completed=done, total=total)
        now = time.monotonic()
        if self.quiet or self.live or now - self.printed < PIPED_SECONDS:
            return
        self.printed = now
        left = clock((now - self.began) / done * (total - done)) if done else "–"
        click.echo(f"  {done} of {total} episodes  left {left}", err=True)


class _Progress:
    """One progress line per training; a line of text for what has no episodes."""

    def __init__(self, quiet: bool, stack: contextlib.ExitStack) -> None:
        self.quiet, self.stack = quiet, stack
        self.job: Job | None = None
        self.line: TrainingProgress | None = None

    def __call__(self, job: Job, records: Sequence[EpisodeRecord]) -> None:
        if not records:
            self.stack.close()
            self.job = self.line = None
            if not self.quiet:
                click.echo(f"  running {job.text}", err=True)
            return
        if job != self.job or self.line is None:
            self.stack.close()
            self.job = job
            if not self.quiet:
                click.echo(f"  training {job.text}, {len(records)} seeds", err=True)
            self.line = self.stack.enter_context(TrainingProgress(job.terms, job.episodes, self.quiet))
        self.line(records)
