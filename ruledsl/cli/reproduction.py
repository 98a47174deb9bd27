"""`reproduce`: claims run, and what each came to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ruledsl.cli.options import BAD_INPUT
from ruledsl.errors import UserError
from ruledsl.progress import Board
from ruledsl.reproduction import (
    Budget,
    ClaimFile,
    Judged,
    Planner,
    Reproduced,
    locate_claims,
    profiles,
    read_claims,
    record_of,
    rehearse,
    run_experiments,
    shipped,
    signed,
    write_documents,
)
from ruledsl.reproduction import reproduce as reproduce_file
from ruledsl.stopping import INTERRUPTED
from ruledsl.wording import counted

QUICK_SEEDS, QUICK_SHARE = 3, 0.3
COLOURS = {"agrees": "green", "disagrees": "red", "open": "yellow"}


def reproduce(
    names: Sequence[str],
    command: str,
    profile: str | None,
    quick: bool,
    strict: bool,
    write: Path | None,
    **options: Any,
) -> int:
    """Run claims, print each verdict, write the documents; the exit code."""
    files = _files(names, profile)
    seeds = options["seeds"] or (QUICK_SEEDS if quick else 8)
    share = QUICK_SHARE if quick else 1.0
    budget = Budget(seeds, share, options["recipe"] or "", options["dataset"] or "", options["data_root"])
    planner, documents = Planner(options["out"], budget), write or options["out"]
    rehearse(planner, files, options["download"])
    try:
        with Board(options["quiet"]) as watch:
            failures = run_experiments(planner, files, options["executor"], watch)
    except KeyboardInterrupt:
        click.echo("stopped; the same command goes on where this one was")
        return INTERRUPTED
    found: list[Reproduced] = []
    for file in files:
        click.echo(f"{file.name}: {file.title}")
        try:
            found.append(reproduce_file(planner, file, documents, _say))
        except UserError as error:  # the other files must not be lost for it
            reasons = [why for name, why in failures.items() if name.startswith(f"{file.name}: ")]
            click.echo(f"error: {file.name}: {'; '.join(reasons) or error}", err=True)
            continue
        _say_effects(found[-1])
    written = write_documents(documents, found, record_of(planner, [r.file for r in found]), command)
    code = _close(found, written, strict)
    return BAD_INPUT if len(found) < len(files) else code


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
    click.echo(f"            printed {claim.printed}; accepted {claim.accepted}; ours {judged.ours}")
    if judged.support is not None and claim.if_not is not None:
        held = "most likely because" if judged.supported == "agrees" else "suspected, but not shown:"
        click.echo(f"            {held} {claim.if_not.reason}")
        click.echo(f"            there: {judged.support}, {judged.supported}")


def _say_effects(reproduced: Reproduced) -> None:
    for compared in reproduced.compared:
        alternative = compared.alternative
        click.echo(f"  {alternative.name}: {alternative.here} → {alternative.there}")
        for effect in compared.effects:
            other = f" [{reproduced.file.label(effect.other)}]" if len(alternative.others) > 1 else ""
            click.echo(
                f"    {effect.measure}{other}: {effect.here} → {effect.there} ({signed(effect.difference)})"
            )


def _close(found: Sequence[Reproduced], written: Sequence[Path], strict: bool) -> int:
    verdicts = [j.verdict for r in found for j in r.judged]
    words = (("agrees", "agree"), ("disagrees", "disagree"), ("open", "open"))
    counts = ", ".join(f"{verdicts.count(v)} {word}" for v, word in words)
    if verdicts:
        click.echo(f"{counted(len(verdicts), 'claim')}: {counts}")
    for figure in (p for r in found for p in r.figures if p.suffix == ".png"):
        click.echo(f"figure: {figure}")
    click.echo(f"written: {', '.join(map(str, written))}")
    return 1 if strict and "disagrees" in verdicts else 0
