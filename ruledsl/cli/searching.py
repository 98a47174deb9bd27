"""`enumerate`: every distinct term, counted and written down. Never loads torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ruledsl.enumeration import Alphabet, Enumeration, enumerate_terms, library_text
from ruledsl.ir import LOCALITY_NAMES, Locality
from ruledsl.progress import Line
from ruledsl.storage import write_text
from ruledsl.wording import counted


def enumerate_(allow: str | None, size: int, out: Path | None, quiet: bool, **alphabet: Any) -> None:
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
