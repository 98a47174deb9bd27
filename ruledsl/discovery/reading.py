"""A finished search read from its documents alone: neither its data nor a trainer is needed."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from ruledsl.discovery.archive import ARCHIVE
from ruledsl.discovery.front import DISCOVERY, Front
from ruledsl.discovery.judging import Judged
from ruledsl.errors import RunError
from ruledsl.evidence import refuse_edited_document
from ruledsl.ir import Locality
from ruledsl.rules import rule
from ruledsl.statistics import Interval
from ruledsl.storage import read_json


def read_front(folder: Path) -> Front:
    """What a search left; its `archive` is not read back (see `read_archive`).

    Raises `RunError` when there is no finished search, or its documents were changed since.
    """
    path = folder / DISCOVERY
    if not path.is_file():
        raise RunError(f"{folder} has no {DISCOVERY}: the search has not ended; `discover --resume` goes on")
    refuse_edited_document(path)
    document = read_json(path)
    try:
        return _front(folder, document)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error!r}") from None


def _front(folder: Path, document: Mapping[str, Any]) -> Front:
    rules, people = ([_judged(row) for row in document[kind]] for kind in ("rules", "baselines"))
    lost = {term: Interval.read(value) for term, value in document["knock_outs"].items()}
    return Front(
        folder,
        str(document["dataset"]),
        tuple(rules),
        tuple(people),
        float(document["chance"]),
        measure=str(document["measure"]),
        knock_outs=lost,
        chosen=str(document["best"]),
    )


def _judged(row: Mapping[str, Any]) -> Judged:
    theta = {name: Interval.read(value) for name, value in row["theta"].items()}
    accuracy, loss = (
        {part: {int(s): float(v) for s, v in by.items()} for part, by in row[what].items()}
        for what in ("accuracy", "loss")
    )
    ways = tuple(sorted(row["ways"].items()))
    own = rule(row["source"], max(Locality))
    return Judged(
        name=row["name"], rule=own, theta=theta, ways=ways, why=row["why"], round=row["round"],
        accuracy=accuracy, loss=loss,
    )  # fmt: skip


READ_OF_THE_ARCHIVE = ("products", "locality", "reads", "accuracy_in_the_race", "round", "why", "formula")
"""Columns that pages show."""


def read_archive(folder: Path) -> list[dict[str, str]]:
    """The rows of archive.csv. Raises `RunError` where there is none, or another table."""
    path = folder / ARCHIVE
    if not path.is_file():
        raise RunError(f"{folder} has no {ARCHIVE}")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{path} cannot be read: {error}") from None
    if any(None in (row.get(name) for name in READ_OF_THE_ARCHIVE) or not _has_numbers(row) for row in rows):
        raise RunError(f"{path} is damaged: it needs the columns {', '.join(READ_OF_THE_ARCHIVE)}")
    return rows


def _has_numbers(row: Mapping[str, str]) -> bool:
    try:
        return int(row["products"]) > 0 and isfinite(float(row["accuracy_in_the_race"]))
    except ValueError:
        return False
