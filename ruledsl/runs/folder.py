"""A run folder: config.toml, rule.rule, metrics.csv, checkpoint.json, result.json, figures.

Everything in it is text that any tool reads. Writes replace whole files atomically, except the
metrics, which grow by whole rows and are cut back to the checkpoint on resuming.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import tomllib
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

import tomli_w
from filelock import FileLock, Timeout

from ruledsl import __version__
from ruledsl.registry import declared
from ruledsl.settings import RunSpec, TrainSettings
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


def used_plugins(settings: TrainSettings) -> list[dict[str, str]]:
    """Plugins from outside the product that a training uses: kind, name, file and digest of the file."""
    wanted = [("feedback", settings.feedback), ("activation", settings.activation), ("task", settings.tasks)]
    wanted += [("objective", name) for name, _ in settings.objective]
    wanted += [("diagnostic", name) for name in settings.diagnostics]
    wanted.append(("optimiser", settings.optimiser) if settings.optimiser else ("recipe", settings.recipe))
    found = [d for key in wanted if (d := declared().found.get(key)) is not None and d.origin != "product"]
    return [
        {"kind": d.kind, "name": d.name, "file": str(d.path), "sha256": hashlib.sha256(d.path.read_bytes()).hexdigest()}
        for d in found
    ]


def write_config(folder: Path, config: RunConfig) -> None:
    """Write config.toml; `read_config` gives back an equal object."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "rule": config.rule,
        "dataset": config.dataset,
        "data_root": config.data_root,
        "terms": list(config.terms),
        "settings": {name: _as_lists(value) for name, value in asdict(config.settings).items()},
        "versions": versions(),
        "plugins": used_plugins(config.settings),
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
        settings: dict[str, Any] = {k: _as_tuples(v) for k, v in document["settings"].items() if k in known}
        return RunConfig(
            document["rule"],
            document["dataset"],
            document["data_root"],
            TrainSettings(**settings),
            tuple(_run_spec(r) for r in document["runs"]),
            tuple(document["terms"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error}") from None


def _as_lists(value: Any) -> Any:
    return [_as_lists(v) for v in value] if isinstance(value, tuple) else value


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(v) for v in value) if isinstance(value, list) else value


def _run_spec(row: dict[str, Any]) -> RunSpec:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return RunSpec(**values)


def is_in_use(folder: Path) -> bool:
    """Whether another process trains in a run folder at this moment."""
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # a folder one may only read
        return False
    lock.release()
    return False


def recorded_versions(folder: Path) -> dict[str, str]:
    """The versions that a run folder was made with; none when it does not say."""
    try:
        return dict(tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))["versions"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def version_differences(folder: Path) -> list[str]:
    """Packages whose version is not the one that a run folder was made with: `torch 2.12.0, now 2.13.0`."""
    then, now = recorded_versions(folder), versions()
    changed = [f"{name} {then[name]}, now {now.get(name, 'absent')}" for name in then if then[name] != now.get(name)]
    return changed + changed_plugins(folder)


def changed_plugins(folder: Path) -> list[str]:
    """Plugins of the user's that a run folder was made with and that read otherwise now.

    Raises `RunError` for one that is in no named folder: a run folder must not choose what is executed.
    """
    try:
        recorded = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8")).get("plugins", [])
    except (OSError, ValueError):
        return []  # whoever reads the configuration itself says what is wrong with it
    changed = []
    for entry in recorded:
        kind, name, file = (str(entry.get(key, "")) for key in ("kind", "name", "file"))
        declaration = declared().found.get((kind, name))
        if declaration is None:
            raise RunError(
                f"{folder} was trained with the {kind} `{name}` of {file}; "
                f"name its folder: `ruledsl --plugins {Path(file).parent} …`"
            )
        if hashlib.sha256(declaration.path.read_bytes()).hexdigest() != entry.get("sha256"):
            changed.append(f"the {kind} `{name}` in {declaration.place} reads otherwise now")
    return changed


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
