"""A run folder: config.toml, rule.rule, metrics.csv, checkpoint.json, result.json, figures.

Everything in it is text that any tool reads. Writes replace whole files atomically, except the
metrics, which grow by whole rows and are cut back to the checkpoint on resuming.
"""

from __future__ import annotations

import csv
import io
import json
import math
import platform
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

import tomli_w

from ruledsl import __version__
from ruledsl.settings import EpisodeRecord, RunSpec, TrainSettings
from ruledsl.storage import write_atomically

FORMAT = 1


class RunError(Exception):
    """A run folder that cannot be written, read or continued; the message says what to do."""


@dataclass(frozen=True)
class RunConfig:
    """What a run folder needs to be run again: settings, data, runs."""

    rule: str
    dataset: str
    data_root: str
    settings: TrainSettings
    runs: tuple[RunSpec, ...]
    terms: tuple[str, ...]


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    packages = ("torch", "numpy", "sympy", "lark", "matplotlib")
    return {"ruledsl": __version__, "python": platform.python_version(), **{p: metadata.version(p) for p in packages}}


def write_config(folder: Path, config: RunConfig) -> None:
    """Write config.toml; `read_config` gives back an equal object."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "rule": config.rule,
        "dataset": config.dataset,
        "data_root": config.data_root,
        "terms": list(config.terms),
        "settings": {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config.settings).items()},
        "versions": versions(),
        "machine": {"processor": platform.machine(), "system": platform.system()},
        "runs": [asdict(r) for r in config.runs],
    }
    write_text(folder / "config.toml", tomli_w.dumps(document))


def read_config(folder: Path) -> RunConfig:
    """The configuration of a run folder; raises `RunError` for a missing, damaged or newer one."""
    path = folder / "config.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{folder} is not a run folder: it has no config.toml") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from None
    if document.get("format") != FORMAT:
        raise RunError(f"{path} has format {document.get('format')!r}; this version of ruledsl reads format {FORMAT}")
    try:
        known = {f.name for f in fields(TrainSettings)}
        settings: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in document["settings"].items() if k in known
        }
        return RunConfig(
            document["rule"],
            document["dataset"],
            document["data_root"],
            TrainSettings(**settings),
            tuple(RunSpec(**{**r, "terms": tuple(r.get("terms", ()))}) for r in document["runs"]),
            tuple(document["terms"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error}") from None


# metrics ---------------------------------------------------------------------


def metrics_header(terms: Sequence[str], depth: int) -> list[str]:
    """Column names of metrics.csv for a network of `depth` synapse layers."""
    return [
        "run", "seed", "episode", "meta_loss", "meta_accuracy", "diverged",
        *(f"theta[{name}]" for name in terms),
        *(f"alpha_{n}" for n in range(depth + 1)),
        *(f"ortho_{n}" for n in range(1, depth)),
    ]  # fmt: skip


def metrics_rows(records: Sequence[EpisodeRecord]) -> str:
    """CSV rows of one episode. Numbers are written so that they read back exactly."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for r in records:
        numbers = (r.meta_loss, r.meta_accuracy)
        writer.writerow([
            r.run, r.seed, r.episode, *map(repr, numbers), int(r.diverged),
            *map(repr, r.theta), *map(repr, r.alpha), *map(repr, r.ortho),
        ])  # fmt: skip
    return text.getvalue()


@dataclass(frozen=True)
class Metrics:
    """metrics.csv read back: one dict of columns per run."""

    terms: tuple[str, ...]
    runs: dict[int, dict[str, list[float]]]

    def column(self, run: int, name: str) -> list[float]:
        return self.runs[run][name]


def read_metrics(folder: Path) -> Metrics:
    """Every row of metrics.csv, by run; raises `RunError` for a missing or damaged file."""
    path = folder / "metrics.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            runs: dict[int, dict[str, list[float]]] = {}
            for number, row in enumerate(reader, start=2):
                if len(row) != len(header):
                    raise RunError(f"{path}, line {number}: {len(row)} fields, expected {len(header)}")
                columns = runs.setdefault(int(row[0]), {name: [] for name in header})
                for name, value in zip(header, row, strict=True):
                    columns[name].append(float(value))
    except FileNotFoundError:
        raise RunError(f"{folder} has no metrics.csv: nothing was recorded yet") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from None
    if not runs:
        raise RunError(f"{path} holds no episodes yet")
    terms = tuple(name[6:-1] for name in header if name.startswith("theta["))
    return Metrics(terms, runs)


def cut_metrics(folder: Path, rows: int) -> None:
    """Keep the header and the first `rows` rows: what the checkpoint knows."""
    path = folder / "metrics.csv"
    with path.open("rb+") as file:
        for count in range(rows + 1):
            if not file.readline().endswith(b"\n"):
                raise RunError(f"{path} holds {max(0, count - 1)} rows, but the checkpoint was written after {rows}")
        file.truncate(file.tell())


# results ---------------------------------------------------------------------


def write_json(path: Path, document: Any) -> None:
    """JSON with NaN and infinities as null: any reader accepts it."""
    write_text(path, json.dumps(_finite(document), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}") from None
