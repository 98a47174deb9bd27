"""The state of a training as plain JSON: each run's recipe, and the episode count.

Random draws are functions of (seed, episode), so nothing else is needed to continue bit for bit.
Python prints floats so that they read back exactly.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ruledsl.meta import MetaTrainer
from ruledsl.runs.folder import RunError, read_json, write_text


def save_checkpoint(folder: Path, trainer: MetaTrainer, episodes_done: int) -> None:
    """Write checkpoint.json; the old one stays until the new one is on disk."""
    states = [{"diverged": state.diverged, "recipe": state.recipe.state()} for state in trainer.states]
    document = {"episodes_done": episodes_done, "states": states}
    write_text(folder / "checkpoint.json", json.dumps(document))


def load_checkpoint(folder: Path, trainer: MetaTrainer) -> int:
    """Put a checkpoint's state into a new trainer; the number of episodes done."""
    path = folder / "checkpoint.json"
    document: Any = read_json(path)
    try:
        if len(document["states"]) != len(trainer.states):
            raise RunError(f"{path} holds {len(document['states'])} runs, config.toml {len(trainer.states)}")
        for state, saved in zip(trainer.states, document["states"], strict=True):
            state.diverged = int(saved["diverged"])
            state.recipe.restore(saved["recipe"])
            if state.recipe.theta.shape != trainer.terms.initial.shape:
                raise RunError(f"{path} holds {len(state.recipe.theta)} coefficients for other terms")
        return int(document["episodes_done"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"{path} is damaged: {error}") from None
