"""The state of a training as plain JSON: each run's recipe, and the episode count.

Random draws are functions of (seed, episode), so nothing else is needed to continue bit for bit.
Python prints floats so that they read back exactly. A checkpoint also holds digests of itself and of
the files it belongs to: a folder that was changed by another hand is not continued.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from ruledsl.errors import PluginError, RunError
from ruledsl.evidence import FORMAT, digests, sealed
from ruledsl.meta import MetaTrainer
from ruledsl.runs.names import CHECKPOINT, METRICS
from ruledsl.storage import read_json, write_text


@dataclass(frozen=True)
class Checkpoint:
    """What was read back: episodes done and asked for, and the digest that metrics.csv had up to there."""

    episodes_done: int
    episodes_asked: int | None
    """None in folders of earlier versions: as many as their configuration says."""
    metrics_digest: str


def save_checkpoint(
    folder: Path, trainer: MetaTrainer, episodes_done: int, episodes_asked: int, metrics_digest: str
) -> None:
    """Write the checkpoint; the old one stays until the new one is on disk."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "episodes_done": episodes_done,
        "episodes_asked": episodes_asked,
        "computed_by": trainer.computed_by,
        "states": [{"diverged": state.diverged, "recipe": state.recipe.state()} for state in trainer.states],
        "sha256": digests(folder) | {METRICS: metrics_digest},
    }
    try:
        text = json.dumps(sealed(document))
    except (TypeError, ValueError) as error:
        name = trainer.settings.optimiser or trainer.settings.recipe
        raise PluginError(f"the state of `{name}` is no JSON, so it could not be resumed: {error}") from None
    write_text(folder / CHECKPOINT, text)


def was_eager(folder: Path) -> bool:
    """Whether eager torch computed a run so far: it is there on every machine, and can always go on."""
    document = read_json(folder / CHECKPOINT)
    return isinstance(document, dict) and document.get("computed_by") == "eager"


def load_checkpoint(folder: Path, trainer: MetaTrainer, other_backend: bool = False) -> Checkpoint:
    """Put a checkpoint's state into a new trainer; that it is whole was seen before (`refuse_edited`).

    Raises `RunError` when it was computed by other means and that is not accepted, or when its state is not
    one that this trainer's recipes wrote; the trainer may then be half restored, the folder is as it was.
    """
    path = folder / CHECKPOINT
    document: Any = read_json(path)
    before, now = document.get("computed_by"), trainer.computed_by
    if before is not None and before != now and not other_backend:
        raise RunError(
            f"{folder} was computed by {before} code, and here {now} code would go on: its numbers would "
            f"differ in their last bits. Use a machine like that one, or go on with `--other-backend`"
        )
    try:
        for state, saved in zip(trainer.states, document["states"], strict=True):
            shape = state.recipe.theta.shape
            state.diverged = int(saved["diverged"])
            _refuse_unlike(saved["recipe"], state.recipe.state())
            state.recipe.restore(saved["recipe"])
            if state.recipe.theta.shape != shape or not bool(state.recipe.theta.isfinite().all()):
                raise ValueError("its Θ is not finite, or not that of this rule")
        asked = document.get("episodes_asked")
        digest = str(document["sha256"][METRICS])
        return Checkpoint(int(document["episodes_done"]), None if asked is None else int(asked), digest)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError) as error:
        raise RunError(f"{path} is damaged: {error}") from None


def _refuse_unlike(saved: Any, fresh: Any) -> None:
    """Raises `ValueError` for a state that is not built as that of a trainer at its start: lists for numbers,
    other lengths, numbers that are not finite. What grows is empty, or null, at first; what lacks is missed
    by whoever restores it."""
    match fresh:
        case dict():
            if not isinstance(saved, dict):
                raise ValueError(f"{str(saved)[:40]!r} stands in a state for {', '.join(fresh)}")
            for key in fresh.keys() & saved.keys():
                _refuse_unlike(saved[key], fresh[key])
        case list():
            if not isinstance(saved, list) or (fresh and len(saved) != len(fresh)):
                raise ValueError("a list of a state has another length, or is none")
            for value, own in zip(saved, fresh, strict=False):
                _refuse_unlike(value, own)
        case bool() | str():
            if type(saved) is not type(fresh):
                raise ValueError(f"{saved!r} stands in a state for {fresh!r}")
        case _:
            if saved is None and fresh is None:
                return
            if isinstance(saved, bool) or not isinstance(saved, int | float) or not isfinite(saved):
                raise ValueError(f"{str(saved)[:40]!r} stands in a state for a number")
