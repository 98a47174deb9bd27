"""metrics.csv: one row per run and episode, in one table that any tool reads at once."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ruledsl.errors import RunError, require
from ruledsl.runs.names import CONFIG, METRICS
from ruledsl.settings import ALPHA, COLUMNS, LOSS, THETA, Column, EpisodeRecord, RunSpec, columns_of

_OF_RUNS = ("l1", "group")
"""Columns that say how a run differs from the others: its penalty, and its terms as text."""
_TEXT = ("group",)
_WHOLE = ("run", "seed", "episode", "diverged")
"""Columns of whole numbers."""


def metrics_header(terms: Sequence[str], depth: int, diagnostics: Sequence[str] = ()) -> list[str]:
    """Column names of metrics.csv for a network of `depth` synapse layers."""
    names = [column for _, column in columns_of(terms, depth, diagnostics)]
    return [*names[:2], *_OF_RUNS, *names[2:]]


def metrics_rows(records: Sequence[EpisodeRecord], specs: Sequence[RunSpec]) -> str:
    """CSV rows of one episode. Numbers are written so that they read back exactly."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for record, spec in zip(records, specs, strict=True):
        fields = [value for name in COLUMNS for value in _written(getattr(record, name))]
        writer.writerow([*fields[:2], repr(spec.l1), " + ".join(spec.terms) or "all terms", *fields[2:]])
    return text.getvalue()


def _written(value: Any) -> list[str]:
    if isinstance(value, tuple):
        return [repr(v) for v in value]
    return [str(int(value)) if isinstance(value, bool | int) else repr(value)]


@dataclass(frozen=True)
class Metrics:
    """metrics.csv read back: one dict of columns per run.

    >>> metrics = Metrics(("hebb",), {0: {"episode": [0.0], "theta[hebb]": [0.5]}})
    >>> metrics.theta(0, "hebb")
    [0.5]
    """

    terms: tuple[str, ...]
    runs: Mapping[int, Mapping[str, list[float]]]
    groups: Mapping[int, str] = field(default_factory=dict, compare=False)

    def column(self, run: int, name: str) -> list[float]:
        return self.runs[run][name]

    def theta(self, run: int, term: str) -> list[float]:
        """A coefficient, episode by episode: before the step that follows from it."""
        return self.column(run, THETA.named(term))

    def alpha(self, run: int, layer: int) -> list[float]:
        """The alignment angle of a layer, in degrees."""
        return self.column(run, ALPHA.named(layer))

    def names(self, family: Column) -> list[str]:
        """The columns of a family, in order."""
        first = next(iter(self.runs.values()))
        return [name for name in first if family.member(name) is not None]

    @property
    def episodes(self) -> int:
        """Episodes that every run has."""
        return min(len(columns[LOSS]) for columns in self.runs.values())

    def records(self, first: int = 0) -> Iterator[list[EpisodeRecord]]:
        """The complete episodes from `first` on, as the trainer said them."""
        for episode in range(first, self.episodes):
            yield [self._record(columns, episode) for columns in self.runs.values()]

    def _record(self, columns: Mapping[str, list[float]], episode: int) -> EpisodeRecord:
        values: dict[str, Any] = {}
        for name, column in COLUMNS.items():
            if column.of:
                values[name] = tuple(v[episode] for n, v in columns.items() if column.member(n) is not None)
            else:
                value = columns[column.pattern][episode]
                values[name] = int(value) if name in ("run", "seed", "episode") else value
        return EpisodeRecord(**{**values, "diverged": bool(values["diverged"])})

    def table(self) -> dict[str, list[Any]]:
        """All runs below each other, column by column."""
        names = list(next(iter(self.runs.values())))
        whole: dict[str, list[Any]] = {n: [v for c in self.runs.values() for v in c[n]] for n in names}
        whole["group"] = [self.groups.get(run, "") for run, c in self.runs.items() for _ in c["episode"]]
        for name in _WHOLE:
            whole[name] = [int(v) for v in whole[name]]
        return whole

    def to_pandas(self) -> Any:
        """A pandas DataFrame. Raises `MissingExtra` where pandas is not installed."""
        (pandas,) = require("frames", "pandas")
        return pandas.DataFrame(self.table())

    def to_polars(self) -> Any:
        """A polars DataFrame. Raises `MissingExtra` where polars is not installed."""
        (polars,) = require("frames", "polars")
        return polars.DataFrame(self.table())


def read_metrics(folder: Path, complete_lines: bool = False) -> Metrics:
    """Every row of metrics.csv, by run; raises `RunError` for a missing or damaged file.

    With `complete_lines`, a last line still being written by another process is passed over.
    """
    path = folder / METRICS
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = file.readlines()
            if complete_lines and lines and not lines[-1].endswith("\n"):
                lines.pop()
            reader = csv.reader(lines)
            header = next(reader, [])
            wanted = [n for n, name in enumerate(header) if name not in _TEXT]
            label = header.index("group") if "group" in header else None
            runs: dict[int, dict[str, list[float]]] = {}
            groups: dict[int, str] = {}
            for number, row in enumerate(reader, start=2):
                if len(row) != len(header):
                    raise RunError(f"{path}, line {number}: {len(row)} fields, expected {len(header)}")
                columns = runs.setdefault(int(row[0]), {header[n]: [] for n in wanted})
                groups[int(row[0])] = row[label] if label is not None else ""
                for n in wanted:
                    columns[header[n]].append(_number(header[n], row[n]))
    except FileNotFoundError:
        raise RunError(f"{folder} has no {METRICS}: nothing was recorded yet") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from None
    if not runs:
        raise RunError(f"{path} holds no episodes yet")
    terms = tuple(term for name in header if (term := THETA.member(name)) is not None)
    return Metrics(terms, runs, groups)


def _number(column: str, text: str) -> float:
    value = float(text)
    if column in _WHOLE and not value.is_integer():
        raise ValueError(f"{text} stands in column {column}, of whole numbers")
    return value


def has_rows(folder: Path) -> bool:
    """Whether anything was recorded in a folder."""
    try:
        with (folder / METRICS).open("rb") as file:
            file.readline()
            return bool(file.readline())
    except OSError:
        return False


def first_difference(folder: Path, other: Path) -> str | None:
    """Where two runs' metrics part, in words; None when one begins with all that the other holds."""
    with (folder / METRICS).open() as first, (other / METRICS).open() as second:
        header = first.readline().strip().split(",")
        if second.readline().strip().split(",") != header:
            return "the columns differ"
        for a, b in zip(first, second, strict=False):
            if a != b:
                left, right = (dict(zip(header, line.strip().split(","), strict=False)) for line in (a, b))
                name = next(n for n in header if left.get(n) != right.get(n))
                where = f"run {left['run']}, episode {left['episode']}"
                return f"{where}: {name} was {left[name]}, is {right.get(name)}"
    return None


@dataclass
class MetricsFile:
    """The table while it grows; knows the digest of all that it holds."""

    file: IO[bytes]
    hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def write(self, text: str) -> None:
        """Append rows; readers see whole ones from now on."""
        data = text.encode("utf-8")
        self.file.write(data)
        self.file.flush()
        self.hash.update(data)

    def secure(self) -> str:
        """Force the rows to disk, and tell their digest: a checkpoint must not know more than the disk."""
        os.fsync(self.file.fileno())
        return self.hash.hexdigest()


def start_metrics(folder: Path, header: Sequence[str]) -> MetricsFile:
    """A new table with its header."""
    metrics = MetricsFile((folder / METRICS).open("wb"))
    metrics.write(",".join(header) + "\n")
    return metrics


def reopen_metrics(folder: Path, header: Sequence[str], rows: int, digest: str) -> MetricsFile:
    """The table cut back to the first `rows` rows, those that the checkpoint knows.

    Raises `RunError`, and changes nothing, when they are not those that were written, or below other columns.
    """
    path = folder / METRICS
    file = path.open("rb+")
    metrics = MetricsFile(file)
    found = file.readline()
    if found.decode("utf-8", "replace").rstrip("\n").split(",") != list(header):
        file.close()
        raise RunError(f"{path} is not of the training that {CONFIG} describes: it has other columns")
    metrics.hash.update(found)
    for _ in range(rows):
        metrics.hash.update(file.readline())
    if metrics.hash.hexdigest() != digest:
        file.close()
        raise RunError(f"{path} was changed while it was opened")
    file.truncate(file.tell())
    return metrics
