"""config.toml: everything that decides a training and is not its rule,
as text that `train --config` reads again."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from ruledsl import __version__
from ruledsl.errors import OtherTraining, RunError, SettingsError
from ruledsl.registry import declared, digest_of
from ruledsl.runs.metrics import metrics_header
from ruledsl.runs.names import CONFIG
from ruledsl.runs.schema import CONFIG_FILE, RECORDED, RUNS, checked
from ruledsl.settings import TABLE, RunSpec, TrainSettings, Wrong, checks, written
from ruledsl.storage import write_text

if TYPE_CHECKING:
    from ruledsl.tasks import ImageSource

FORMAT = 1


@dataclass(frozen=True)
class RunConfig:
    """What a run folder needs to be run again, besides its rule: settings, data, runs."""

    rule: str
    dataset: str
    """A name, a file, or a file of the run folder's own."""
    data_root: str
    settings: TrainSettings
    runs: tuple[RunSpec, ...]
    terms: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """The header that metrics.csv must have."""
        return metrics_header(self.terms, self.settings.depth, self.settings.diagnostics)


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    packages = ("torch", "numpy", "sympy", "lark", "matplotlib")
    return {
        "ruledsl": __version__,
        "python": platform.python_version(),
        **{p: metadata.version(p) for p in packages},
    }


def used_plugins(settings: TrainSettings) -> list[dict[str, str]]:
    """Plugins from outside the product that a training uses: kind, name, file and digest of the file."""
    found = [
        d for key in settings.used_plugins() if (d := declared().found.get(key)) and d.origin != "product"
    ]
    return [
        {
            "kind": d.kind,
            "name": d.name,
            "file": str(d.path),
            "sha256": digest_of(d),
        }
        for d in found
    ]


def write_config(folder: Path, config: RunConfig, data: str) -> None:
    """Write config.toml; `read_config` gives back an equal object. `data` is what `data_digest` says."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "rule": config.rule,
        "dataset": config.dataset,
        "data_root": config.data_root,
        "data": data,
        "terms": list(config.terms),
        "settings": {name: written(value) for name, value in config.settings.flat().items()},
        "versions": versions(),
        "plugins": used_plugins(config.settings),
        "machine": {"processor": platform.machine(), "system": platform.system()},
        "runs": [asdict(r) for r in config.runs],
    }
    write_text(folder / CONFIG, tomli_w.dumps(document))


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file. Raises `RunError` when it is missing or damaged."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except RecursionError:
        raise RunError(f"{path} cannot be read: it is nested too deeply") from None
    except (OSError, ValueError) as error:  # among them no UTF-8, no TOML, a number of a million digits
        raise RunError(f"{path} cannot be read: {error}") from None


def read_config(folder: Path) -> RunConfig:
    """The configuration of a run folder; raises `RunError` for a missing, damaged or newer one."""
    path = folder / CONFIG
    if not path.exists():
        raise RunError(f"{folder} is not a run folder: it has no {CONFIG}")
    document = read_toml(path)
    if document.get("format") != FORMAT:
        raise RunError(
            f"{path} has format {document.get('format')!r}; this version of ruledsl reads format {FORMAT}"
        )
    found = checked(path, CONFIG_FILE, document)
    try:
        settings = recorded_settings(found["settings"])
    except (SettingsError, Wrong) as error:
        raise RunError(f"{path} is damaged: {error}") from None
    runs = recorded_runs(path, found)
    if any(r.initial and len(r.initial) != len(found["terms"]) for r in runs):
        raise RunError(f"{path} is damaged: it needs as many numbers in `initial` as there are terms")
    return RunConfig(
        found["rule"], found["dataset"], found["data_root"], settings, runs, tuple(found["terms"])
    )


def recorded_settings(table: dict[str, Any]) -> TrainSettings:
    """Settings as a run folder has them; those of a version that knows more are passed over.

    Values are checked as those of the command line are, but a learning rate may be 0 (nothing is learned),
    and plugins are looked up only when they are used: a folder can be read where its plugins are not.
    """
    known = {name: value for name, value in table.items() if name in TABLE}
    read = {
        name: _CHECKED_OTHERWISE[name](value) if name in _CHECKED_OTHERWISE else TABLE[name].check(value)
        for name, value in known.items()
    }
    return TrainSettings().put(**read)


_CHECKED_OTHERWISE = {"learning_rate": checks.not_negative, "optimiser": checks.text}


def recorded_runs(path: Path, document: Mapping[str, Any]) -> tuple[RunSpec, ...]:
    """The runs of a batch, as a config holds them. Raises `RunError` for what is none."""
    rows = checked(path, RUNS, document)["runs"]
    runs = tuple(_run_spec(row) for row in rows)
    if not runs or len({r.run for r in runs}) < len(runs):
        raise RunError(f"{path} is damaged: it needs `runs`, each with a number of its own")
    return runs


def _run_spec(row: Mapping[str, Any]) -> RunSpec:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return RunSpec(**values)


def _recorded(folder: Path) -> dict[str, Any]:
    """Versions, plugins and data that a run folder was made with; none where it does not say:
    whoever reads the configuration itself says what is wrong with it."""
    try:
        return checked(folder / CONFIG, RECORDED, read_toml(folder / CONFIG))
    except RunError:
        return {}


def recorded_versions(folder: Path) -> dict[str, str]:
    """The versions that a run folder was made with; none when it does not say."""
    return _recorded(folder).get("versions", {})


def version_differences(folder: Path) -> list[str]:
    """Packages whose version is not the one that a run folder was made with: `torch 2.12.0, now 2.13.0`."""
    then, now = recorded_versions(folder), versions()
    changed = [
        f"{name} {then[name]}, now {now.get(name, 'absent')}" for name in then if then[name] != now.get(name)
    ]
    return changed + changed_plugins(folder)


def data_digest(source: ImageSource) -> str:
    """What a run folder keeps of its samples; nothing of those that come with the package, whose version it
    keeps."""
    return "" if source.shipped else source.digest


def refuse_other_data(folder: Path, source: ImageSource) -> None:
    """Raise `OtherTraining` for samples other than those that a run folder's training saw.

    Folders of earlier versions do not say which these were.
    """
    recorded = _recorded(folder).get("data", "")
    if recorded and recorded != data_digest(source):
        raise OtherTraining(f"{folder} was trained on other samples than `{source.name}` holds now")


def changed_plugins(folder: Path) -> list[str]:
    """Plugins of the user's that a run folder was made with and that read otherwise now.

    Raises `RunError` for one that is in no named folder: a run folder must not choose what is executed.
    """
    changed = []
    for entry in _recorded(folder).get("plugins", []):
        kind, name, file = (entry.get(key, "") for key in ("kind", "name", "file"))
        declaration = declared().found.get((kind, name))
        if declaration is None:
            raise RunError(
                f"{folder} was trained with the {kind} `{name}` of {file}; "
                f"name its folder: `ruledsl --plugins {Path(file).parent} …`"
            )
        if digest_of(declaration) != entry.get("sha256"):
            changed.append(f"the {kind} `{name}` in {declaration.place} reads otherwise now")
    return changed
