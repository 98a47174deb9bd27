"""The state of a training as plain JSON: each run's recipe, and the episode count.

Random draws are functions of (seed, episode), so nothing else is needed to continue bit for bit.
Python prints floats so that they read back exactly. A checkpoint also holds digests of itself and of
the files it belongs to: a folder that was changed by another hand is not continued.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruledsl.errors import RunError
from ruledsl.meta import MetaTrainer
from ruledsl.runs.names import CHECKPOINT, CONFIG, METRICS, RULE
from ruledsl.storage import read_json, write_text

FORMAT = 2
_GUARDED = (CONFIG, RULE)


@dataclass(frozen=True)
class Checkpoint:
    """What was read back: episodes done, and the digest that metrics.csv had up to there."""

    episodes_done: int
    metrics_digest: str


def save_checkpoint(folder: Path, trainer: MetaTrainer, episodes_done: int, metrics_digest: str) -> None:
    """Write the checkpoint; the old one stays until the new one is on disk."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "episodes_done": episodes_done,
        "states": [{"diverged": state.diverged, "recipe": state.recipe.state()} for state in trainer.states],
        "sha256": {name: _digest((folder / name).read_bytes()) for name in _GUARDED}
        | {METRICS: metrics_digest},
    }
    write_text(folder / CHECKPOINT, json.dumps({**document, "check": _digest_of(document)}))


def load_checkpoint(folder: Path, trainer: MetaTrainer) -> Checkpoint:
    """Put a checkpoint's state into a new trainer.

    Raises `RunError` when it is missing, of another version, damaged, or belongs to other files; the
    trainer may then be half restored, the folder is as it was.
    """
    path = folder / CHECKPOINT
    document: Any = read_json(path)
    try:
        if document.get("format") != FORMAT:
            raise RunError(
                f"{path} has format {document.get('format')!r}; this version of ruledsl reads {FORMAT}"
            )
        if document.pop("check", None) != _digest_of(document):
            raise RunError(
                f"{path} was changed since it was written; restore it, or train again with `rerun {folder}`"
            )
        _unchanged(folder, document["sha256"])
        for state, saved in zip(trainer.states, document["states"], strict=True):
            state.diverged = int(saved["diverged"])
            state.recipe.restore(saved["recipe"])
        return Checkpoint(int(document["episodes_done"]), str(document["sha256"][METRICS]))
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error}") from None


def _unchanged(folder: Path, digests: dict[str, str]) -> None:
    for name in _GUARDED:
        if _digest((folder / name).read_bytes()) != digests[name]:
            raise RunError(
                f"{folder / name} was changed since the last checkpoint: the episodes before and after would "
                f"not "
                f"belong to one training. Restore it, or train again with `rerun {folder}`"
            )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest_of(document: dict[str, Any]) -> str:
    return _digest(json.dumps(document, sort_keys=True).encode())
