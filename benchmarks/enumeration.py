"""How many terms there are, how fast they are found, and whether values and index forms agree."""

from __future__ import annotations

import random
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.page import write_page
from ruledsl import Alphabet, Locality, RuleError, enumerate_terms
from ruledsl.algebra import direction, index_form
from ruledsl.enumeration import Points, Production, Value, evaluate, productions
from ruledsl.ir import WEIGHTS, Expression, Name, Shape
from ruledsl.language import Term, shape_of_quantity

RICH = Alphabet(
    functions=("tanh", "square", "relu", "abs", "mean", "norm"), traces=(10.0,),
    operators=("+", "-", "*", ".*", "/"),
)  # fmt: skip
DIGITS = 7


@dataclass(frozen=True)
class Agreement:
    """Random terms sorted twice, by value and by index form, each up to a factor."""

    terms: int
    classes: int
    apart_in_value: int
    """Pairs of neighbours that are one in index form and two in value: an error of one of both."""
    apart_in_form: int
    """Those that are one in value and two in index form: identities that no algebra was told."""
    examples: tuple[str, ...]


def agreement(count: int, seed: int) -> Agreement:
    """Random terms of 3 to 9 symbols, written as they come: not only representatives."""
    chance, points = random.Random(seed), Points(seed)
    table, values = productions(RICH), {name: points.quantity(name) for name in RICH.seen}
    by_value: dict[tuple[float, ...], set[object]] = {}
    by_form: dict[object, set[tuple[float, ...]]] = {}
    text: dict[object, str] = {}
    terms = 0
    with np.errstate(all="ignore"):
        while terms < count:
            drawn = _drawn(chance, table, values, WEIGHTS, chance.randrange(3, 10))
            if drawn is None:
                continue
            try:
                key = direction(index_form(Term("t", drawn[0])))
            except RuleError:
                continue
            terms += 1
            value = _normalised(drawn[1])
            by_value.setdefault(value, set()).add(key)
            by_form.setdefault(key, set()).add(value)
            text[key] = repr(key)
    split = [keys for keys in by_value.values() if len(keys) > 1]
    return Agreement(
        terms,
        len(by_form),
        sum(len(v) - 1 for v in by_form.values()),
        sum(len(keys) - 1 for keys in split),
        tuple(" | ".join(sorted(text[k] for k in keys))[:200] for keys in split[:3]),
    )


def _drawn(
    chance: random.Random, table: list[Production], values: dict[str, Value], shape: Shape, size: int
) -> tuple[Expression, Value] | None:
    """A random expression of a shape and size, with its value; None where the dice end in nothing."""
    if size == 1:
        fitting = [name for name in values if shape_of_quantity(name) == shape]
        if not fitting:
            return None
        name = chance.choice(fitting)
        return Name(name), values[name]
    rows = [p for p in table if p.result == shape and len(p.operands) < size]
    if not rows:
        return None
    production = chance.choice(rows)
    left = size - 1
    if len(production.operands) == 1:
        sizes = [left]
    else:
        first = chance.randrange(1, left)
        sizes = [first, left - first]
    parts = [_drawn(chance, table, values, s, n) for s, n in zip(production.operands, sizes, strict=True)]
    if any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    value = evaluate(production, *(v for _, v in known))
    return None if value is None else (production.tree(*(tree for tree, _ in known)), value)


def _normalised(value: Value) -> tuple[float, ...]:
    """A value up to a factor: its largest entry is 1."""
    flat = np.concatenate([v.ravel() for v in value])
    scaled = flat / flat[np.argmax(np.abs(flat) > 0.5 * np.abs(flat).max())]
    return tuple(float(f"{x:.{DIGITS}g}") + 0.0 for x in scaled)


def counted_row(allow: Locality, alphabet: Alphabet, size: int, label: str) -> str:
    """One enumeration: what can be written, what is distinct, and what it took."""
    began = time.process_time()
    found = enumerate_terms(alphabet, allow, size)
    seconds = time.process_time() - began
    table = found.table()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    written_forms = sum(row[1] for row in table)
    return (
        f"| {label} | {allow} | {size} | {written_forms:,} | {found.built:,} | {len(found.terms):,} | "
        f"{len(found.library):,} | {seconds:.1f} | {memory:.0f} |"
    )


CASES = (
    (Locality.synapse, Alphabet(), 9, "usual"),
    (Locality.dendrite, Alphabet(), 9, "usual"),
    (Locality.axon, Alphabet(), 9, "usual"),
    (Locality.layer, Alphabet(), 9, "usual"),
    (Locality.synapse, RICH, 5, "with functions, `/`, a trace"),
    (Locality.axon, RICH, 5, "with functions, `/`, a trace"),
)


@click.command()
@click.option("--terms", default=10_000, show_default=True, help="Random terms for the agreement.")
@click.option("--out", type=click.Path(path_type=Path), default=None)
def main(terms: int, out: Path | None) -> None:
    """Print docs/results/enumeration.md."""
    rows = [counted_row(*case) for case in CASES]
    agreed = agreement(terms, seed=0)
    shown = [f"- `{example}`" for example in agreed.examples]
    page = [
        "# Terms that can be written",
        "",
        "*Written*: expressions of that size or less, both orders of a sum or product counted. *Built*:",
        "those that were evaluated. *Distinct*: up to a factor, in index form. *Independent*: no sums of",
        "others.",
        "",
        "| alphabet | class | size | written | built | distinct | independent | s of CPU | MB |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"Random terms of 3 … 9 symbols: {agreed.terms:,}, of {agreed.classes:,} classes by index form.",
        f"One in index form and two in value: {agreed.apart_in_value}.",
        f"One in value and two in index form: {agreed.apart_in_form}" + (", such as" if shown else "."),
        *shown,
    ]
    write_page("enumeration", page, out)


if __name__ == "__main__":
    main()
