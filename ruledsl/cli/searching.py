"""`enumerate`: every distinct term, counted and written down. `discover`: rules that nobody wrote."""

from __future__ import annotations

import contextlib
import time
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
    GROWTH,
    OWN_MEASURES,
    Candidate,
    Family,
    Front,
    Question,
    Requirement,
    Search,
    best_by_locality,
    discover,
    read_question,
)
from ruledsl.enumeration import Alphabet, Enumeration, enumerate_terms, library_text
from ruledsl.ir import LOCALITY_NAMES, Locality
from ruledsl.progress import Line
from ruledsl.statistics import Interval
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
    for requirement in requirements:
        requirement.refuse_unknown((*OWN_MEASURES, *question.angles))
    folder, began = out or default_folder("found"), time.monotonic()
    try:
        with contextlib.ExitStack() as stack, crews(executor) as hired:
            progress = _Rounds((), quiet, stack)
            front = discover(question, folder, budget, progress, progress.said, hired)
    except KeyboardInterrupt:
        left = 0.0 if budget is None else max(1.0, budget - (time.monotonic() - began))
        more = f" --budget {left:.0f}s" if left and not (folder / GROWTH).is_file() else ""
        click.echo(f"stopped; go on with: ruledsl discover --resume {folder}{more}")
        return INTERRUPTED
    Console().print(_front(front))
    click.echo("± 95 % over seeds, differences seed by seed.")
    click.echo(
        "Preferred, by other classes than the test's: from the smallest on, what is clearly better takes over"
    )
    click.echo(f"  {front.best.name}: {front.best.text}")
    for kind, rule in best_by_locality(front):
        click.echo(f"  the best for {kind}: {rule.name}, {rule.mean('test').text('.3f')}")
    click.echo(f"rules: {folder / FOUND}  evidence: {folder / DISCOVERY}")
    click.echo(f"the best of each kind in the race: {folder / ARCHIVE}")
    if requirements:
        _print_family(Family.of(front.archive, requirements))
    return 0


def _print_family(family: Family) -> None:
    """Rules that meet what was required, and what they have in common."""
    count = len(family.members)
    click.echo(f"{count} of {family.asked} rules of the race meet what is required (accuracy in the race):")
    for member in family.members[:SHOWN]:
        click.echo(f"  {member.fit.accuracy_mean:.3f}  {member.text}")
    if count > SHOWN:
        click.echo(f"  … and {count - SHOWN} more")
    if count > 1:
        shared = ", ".join(f"{name} {n}" for name, n in family.terms.most_common(SHOWN))
        pairs = ", ".join(f"{a} with {b} {n}" for (a, b), n in family.pairs.most_common(SHOWN))
        click.echo(f"  terms, by how many have them: {shared}")
        click.echo(f"  pairs: {pairs}")


class _Rounds(StageProgress):
    """Progress of the stages, and between them the best rule of each complexity until then."""

    def said(self, number: int, kept: Sequence[Candidate], found: Sequence[Candidate]) -> None:
        self.end()
        Console().print(_race(number, found))


def _race(number: int, found: Sequence[Candidate]) -> Table:
    """The best of each number of products, on the classes that are searched."""
    table = Table(box=None, title=f"after round {number}", title_justify="left")
    for head in ("products", "accuracy", "locality", "round", "rule", "came of"):
        table.add_column(head, overflow="fold")
    for products in sorted({len(c.products) for c in found}):
        best = max((c for c in found if len(c.products) == products), key=lambda c: c.fit.mean)
        accuracy = Interval.of(best.fit.accuracy).text(".3f")
        table.add_row(str(products), accuracy, str(best.locality), str(best.round), best.text, best.why)
    return table


def _front(front: Front) -> Table:
    table = Table(box=None)
    beside = [b for b in front.baselines if b.name in ("backprop", "bio")]
    heads = ("rule", "terms", "products", "locality", "test accuracy", *(f"above {b.name}" for b in beside))
    for head in heads:
        table.add_column(head, overflow="fold")
    for rule in (*front.rules, *front.baselines):
        above = (rule.beside(b, "test").text("+.3f") for b in beside)
        ours = rule in front.rules
        kind, products = (str(rule.locality), str(len(rule.products))) if ours else ("", "")
        name = f"{rule.name}, preferred" if rule is front.best else rule.name
        table.add_row(name, str(len(rule.terms)), products, kind, rule.mean("test").text(".3f"), *above)
    return table
