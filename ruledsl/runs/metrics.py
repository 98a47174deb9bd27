"""metrics.csv: one row per run and episode, in one table that any tool reads at once."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ruledsl.runs.folder import RunError
from ruledsl.settings import EpisodeRecord, RunSpec

_TEXT = ("group",)
"""Columns that are no numbers."""


def metrics_header(terms: Sequence[str], depth: int, diagnostics: Sequence[str] = ()) -> list[str]:
    """Column names of metrics.csv for a network of `depth` synapse layers."""
    return [
        "run", "seed", "l1", "group", "episode", "meta_loss", "meta_accuracy", "diverged",
        *(f"theta[{name}]" for name in terms),
        *(f"alpha_{n}" for n in range(depth + 1)),
        *(f"ortho_{n}" for n in range(1, depth)),
        *(f"diagnostic_{name}" for name in diagnostics),
    ]  # fmt: skip


def metrics_rows(records: Sequence[EpisodeRecord], specs: Sequence[RunSpec]) -> str:
    """CSV rows of one episode. Numbers are written so that they read back exactly."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for r, spec in zip(records, specs, strict=True):
        numbers = (r.meta_loss, r.meta_accuracy)
        writer.writerow([
            r.run, r.seed, repr(spec.l1), " + ".join(spec.terms) or "all terms", r.episode,
            *map(repr, numbers), int(r.diverged), *map(repr, r.theta), *map(repr, r.alpha), *map(repr, r.ortho),
            *map(repr, r.diagnostics),
        ])  # fmt: skip
    return text.getvalue()


@dataclass(frozen=True)
class Metrics:
    """metrics.csv read back: one dict of columns per run."""

    terms: tuple[str, ...]
    runs: dict[int, dict[str, list[float]]]

    def column(self, run: int, name: str) -> list[float]:
        return self.runs[run][name]


def read_metrics(folder: Path, complete_lines: bool = False) -> Metrics:
    """Every row of metrics.csv, by run; raises `RunError` for a missing or damaged file.

    With `complete_lines`, a last line still being written by another process is passed over.
    """
    path = folder / "metrics.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = file.readlines()
            if complete_lines and lines and not lines[-1].endswith("\n"):
                lines.pop()
            reader = csv.reader(lines)
            header = next(reader, [])
            wanted = [n for n, name in enumerate(header) if name not in _TEXT]
            runs: dict[int, dict[str, list[float]]] = {}
            for number, row in enumerate(reader, start=2):
                if len(row) != len(header):
                    raise RunError(f"{path}, line {number}: {len(row)} fields, expected {len(header)}")
                columns = runs.setdefault(int(row[0]), {header[n]: [] for n in wanted})
                for n in wanted:
                    columns[header[n]].append(float(row[n]))
    except FileNotFoundError:
        raise RunError(f"{folder} has no metrics.csv: nothing was recorded yet") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from None
    if not runs:
        raise RunError(f"{path} holds no episodes yet")
    return Metrics(terms_of(header), runs)


def terms_of(header: Sequence[str]) -> tuple[str, ...]:
    """The coefficients that a header names."""
    return tuple(name[6:-1] for name in header if name.startswith("theta["))


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
    metrics = MetricsFile((folder / "metrics.csv").open("wb"))
    metrics.write(",".join(header) + "\n")
    return metrics


def reopen_metrics(folder: Path, rows: int, digest: str) -> MetricsFile:
    """The table cut back to the first `rows` rows, those that the checkpoint knows.

    Raises `RunError`, and changes nothing, when rows are missing or are not those that were written.
    """
    path = folder / "metrics.csv"
    try:
        file = path.open("rb+")
    except FileNotFoundError:
        raise RunError(f"{path} is missing; train again with `rerun {folder}`") from None
    metrics = MetricsFile(file)
    for count in range(rows + 1):
        line = file.readline()
        if not line.endswith(b"\n"):
            file.close()
            raise RunError(f"{path} holds {max(0, count - 1)} rows, but the checkpoint was written after {rows}")
        metrics.hash.update(line)
    if metrics.hash.hexdigest() != digest:
        file.close()
        raise RunError(f"{path} was changed since it was written; restore it, or train again with `rerun {folder}`")
    file.truncate(file.tell())
    return metrics
