"""Runs programs: plain numpy to believe, eager torch to use anywhere, and both as text to read."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ruledsl.backend.printing import numpy_source, torch_source

if TYPE_CHECKING:
    from ruledsl.backend.compiled_rule import CompiledRule
    from ruledsl.backend.eager import EagerProgram, apply_update, change_of, undo_update

_HOMES = {
    "CompiledRule": "compiled_rule",
    "EagerProgram": "eager",
    "apply_update": "eager",
    "change_of": "eager",
    "undo_update": "eager",
}

__all__ = ["CompiledRule", "EagerProgram", "apply_update", "change_of", "numpy_source", "torch_source", "undo_update"]


def __getattr__(name: str) -> Any:
    # `show` prints programs as text and must answer at once: torch loads with the first tensor.
    if name not in _HOMES:
        raise AttributeError(f"module 'ruledsl.backend' has no attribute {name!r}")
    return getattr(import_module(f"ruledsl.backend.{_HOMES[name]}"), name)
