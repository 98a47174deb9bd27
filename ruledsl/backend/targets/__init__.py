"""Targets: other languages that a rule can be written in. Each is one file of this folder."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from ruledsl.backend.targets.base import Target


@cache
def targets() -> dict[str, Target]:
    """Every target by name."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return {target.name: target() for target in Target.__subclasses__()}


__all__ = ["Target", "targets"]
