"""`enumerate`: every distinct term, counted and written down. `discover`: rules that nobody wrote."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ruledsl.cli.stages import StageProgress
from ruledsl.discovery import (
    ARCHIVE,
    DISCOVERY,
    FOUND,
    Candidate,
    Family,
    Front,
    Question,
    Requirement,
    Search,
    best_by_locality,
    discover,
    formula,
    read_question,
)
from ruledsl.enumeration import Alphabet, Enumeration, enumerate_terms, library_text
from ruledsl.ir import LOCALITY_NAMES, Locality
from ruledsl.progress import Line
from ruledsl.rules import Rule
from ruledsl.stopping import INTERRUPTED
from ruledsl.storage import write_text
from ruledsl.studies import crews, default_folder, portioned
from ruledsl.wording import counted

SHOWN = 6
"""Rules, terms and pairs of a family that are printed."""


def enumerate_(
    allow: str | None, size: int, out: Path | None, quiet: bool, alphabet: Mapping[str, Any]
) -> None:
    """Print the table of sizes and classes; write the library."""
    known = Alphabet(**alphabet)
    with Line("expressions", 0, quiet) as line:
        found = enumerate_terms(
            known,
            LOCALITY_NAMES[allow or "layer"],
            size,
            lambda built, planned: line.tell(built, total=planned),
        )
    Console().print(_table(found))
    dependent = len(found.terms) - len(found.library)
    click.echo(f"{counted(len(found.terms), 'distinct term')}; {dependent} of them sums of others")
    if found.refused:
        click.echo(f"{counted(found.refused, 'further form')} that the language refuses")
    if out:
        write_text(out, library_text(found, out.stem))
        click.echo(f"{counted(len(found.library), 'term')} written to {out}")


def _table(found: Enumeration) -> Table:
    classes = [c for c in Locality if c <= min(found.allow, Locality.layer)]
    table = Table(box=None)
    for head in ("size", "written", *map(str, classes), "independent"):
        table.add_column(head, justify="right")
    for size, count, by_class, independent in found.table():
        if count:
            numbers = (size, count, *(by_class[c] for c in classes), independent)
            table.add_row(*(f"{n:,}" for n in numbers))
    return table


def asked(
    alphabet: Mapping[str, Any],
    search: Mapping[str, Any],
    settings: Mapping[str, Any],
    resume: Path | None,
    executor: str,
    **own: Any,
) -> Question:
    """What the command line asks for, or what the search to resume was asked."""
    if resume:
        return read_question(resume)
    if at_once := portioned(executor, settings.get("at_once", 0)):
        settings = {**settings, "at_once": at_once}
    return Question(**own, alphabet=Alphabet(**alphabet), search=Search(**search), settings=settings)


def discover_(
    question: Question,
    out: Path | None,
    budget: float | None,
    executor: str,
    require: Sequence[str],
    quiet: bool,
) -> int:
    """Search, tell of every round, print the front; the exit code."""
    requirements = [Requirement.read(text) for text in require]
    folder, seconds = out or default_folder("found"), float("inf") if budget is None else budget
    try:
        with contextlib.ExitStack() as stack, crews(executor) as hired:
            progress = _Rounds((), quiet, stack)
            front = discover(question, folder, seconds, progress, progress.said, hired)
    except KeyboardInterrupt:
        more = "" if budget is None else f" --budget {budget:g}s"
        click.echo(f"stopped; go on with: ruledsl discover --resume {folder}{more}")
        return INTERRUPTED
    Console().print(_front(front))
    click.echo("± 95 % over seeds, differences seed by seed. Chosen by other classes than those of the test:")
    click.echo(f"  {front.best.name}: {front.text(front.best)}")
    for kind, rule in best_by_locality(front):
        click.echo(f"  the best for {kind}: {rule.name}, {rule.mean('test').text('.3f')}")
    click.echo(f"rules: {folder / FOUND}  evidence: {folder / DISCOVERY}")
    click.echo(f"the best of each kind in the race: {folder / ARCHIVE}")
    if requirements:
        _print_family(Family.of_entries(front.archive, requirements))
    return 0


def _print_family(family: Family) -> None:
    """Rules that meet what was required, and what they have in common."""
    count = len(family.members)
    click.echo(f"{count} of {family.of} rules of the race meet what is required (accuracy in the race):")
    for entry in family.members[:SHOWN]:
        fit = entry.candidate.fit
        click.echo(f"  {fit.accuracy_mean:.3f}  {formula(entry.candidate.theta, entry.library)}")
    if count > SHOWN:
        click.echo(f"  … and {count - SHOWN} more")
    if count > 1:
        shared = ", ".join(f"{name} {n}" for name, n in family.terms.most_common(SHOWN))
        pairs = ", ".join(f"{a} with {b} {n}" for (a, b), n in family.pairs.most_common(SHOWN))
        click.echo(f"  terms, by how many have them: {shared}")
        click.echo(f"  pairs: {pairs}")


class _Rounds(StageProgress):
    """Progress of the stages, and between them what each round keeps."""

    def said(self, number: int, found: Sequence[Candidate], library: Rule) -> None:
        self.end()
        for candidate in found:
            click.echo(f"round {number}: {candidate.fit.mean:.3f}  {formula(candidate.theta, library)}")


def _front(front: Front) -> Table:
    table = Table(box=None)
    for head in ("rule", "terms", "products", "locality", "test accuracy", "above backprop", "above bio"):
        table.add_column(head, overflow="fold")
    by_name = {rule.name: rule for rule in front.baselines}
    for rule in (*front.rules, *front.baselines):
        beside = (rule.beside(by_name[name], "test").text("+.3f") for name in ("backprop", "bio"))
        ours = rule in front.rules
        kind, products = (str(front.locality(rule)), str(len(front.products(rule)))) if ours else ("", "")
        table.add_row(rule.name, str(len(rule.terms)), products, kind, rule.mean("test").text(".3f"), *beside)
    return table
