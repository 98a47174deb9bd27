"""Targets: other languages that a rule can be written in. Each is one file of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from ruledsl.backend.targets.base import Target


@cache
def targets() -> dict[str, Target]:
    """Every target by name."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return {target.name: target() for target in _below(Target)}


def _below(base: type[Target]) -> Iterator[type[Target]]:
    for target in base.__subclasses__():
        yield target
        yield from _below(target)


__all__ = ["Target", "targets"]
