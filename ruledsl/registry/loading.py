"""Executes the one file that declares a wanted plugin, once."""

from __future__ import annotations

import difflib
import hashlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import util
from pathlib import Path
from typing import Any

from ruledsl.errors import PluginError
from ruledsl.registry import kinds
from ruledsl.registry.declarations import Declaration, declared, product_folder, read_declarations, search_key
from ruledsl.registry.kinds import KINDS, Registered

_loaded: dict[Path, tuple[str, list[Registered]]] = {}
"""By file: the digest of what was executed, and what that registered."""
_found: dict[tuple[object, ...], Registered] = {}
"""Looked up many times in an episode."""


def names_of(kind: str) -> list[str]:
    """Names of all plugins of a kind, sorted."""
    return sorted(name for k, name in declared().found if k == kind)


def find(kind: str, name: str) -> Registered:
    """A plugin by kind and name; its file is executed the first time.

    Raises:
        PluginError: there is none of this name, or its file cannot be used.
    """
    key = (kind, name, *search_key())
    if key not in _found:
        _found[key] = _find(kind, name)
    return _found[key]


@contextmanager
def replaced(kind: str, name: str, item: Any) -> Iterator[None]:
    """Another object in the place of a plugin's, for as long as this lasts: to show what a fault does."""
    found = find(kind, name)
    key = (kind, name, *search_key())
    _found[key] = replace(found, item=item)
    try:
        yield
    finally:
        _found[key] = found


def _find(kind: str, name: str) -> Registered:
    declaration = declared().found.get((kind, name))
    if declaration is None:
        near = difflib.get_close_matches(name, names_of(kind), 1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        # A file that cannot be read may be the one that was to declare it.
        broken = "".join(f"\n  {fault}" for fault in declared().faults)
        raise PluginError(
            f"there is no {kind} `{name}`; {hint}there are: {', '.join(names_of(kind))}{broken}"
        )
    for plugin in _load(declaration.path):
        if (plugin.kind, plugin.name) == (kind, name):
            return plugin
    raise PluginError(
        f"{declaration.place}: {kind} `{name}` is declared here, but the file did not register it"
    )


def check_file(path: Path) -> list[tuple[Declaration, Registered]]:
    """Every plugin of a file, executed. Raises `PluginError` when there is none or the file cannot be
    used."""
    declarations = list(read_declarations(path, "named"))
    if not declarations:
        raise PluginError(f"{path}:1: this file declares no plugin; kinds are {', '.join(KINDS)}")
    registered = {(p.kind, p.name): p for p in _load(path)}
    return [(d, registered[d.kind, d.name]) for d in declarations]


def plugin_at_fault(error: BaseException) -> str:
    """FILE:LINE, in NAME of the user's plugin that raised an exception; nothing when none did."""
    product = product_folder().resolve()
    executed = {str(path) for path in _loaded if not path.is_relative_to(product)}
    steps = [step for step in traceback.extract_tb(error.__traceback__) if step.filename in executed]
    return f"{steps[-1].filename}:{steps[-1].lineno}, in {steps[-1].name}" if steps else ""


def _load(path: Path) -> list[Registered]:
    resolved = path.resolve()
    if resolved in _loaded:
        return _loaded[resolved][1]
    digest = _digest_of_file(resolved)
    spec = util.spec_from_file_location(f"ruledsl_plugin_{resolved.stem}", resolved)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up while it is being executed
    kinds._open.append([])
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        sys.modules.pop(spec.name, None)
        raise PluginError(_message(resolved, error)) from None
    finally:
        collected = kinds._open.pop()
    _loaded[resolved] = digest, collected
    return collected


def digest_of(declaration: Declaration) -> str:
    """SHA-256 of a plugin's file: as it was executed here, which an edit since does not change, else as it
    is."""
    resolved = declaration.path.resolve()
    return _loaded[resolved][0] if resolved in _loaded else _digest_of_file(resolved)


def _digest_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _message(path: Path, error: Exception) -> str:
    """File and line inside the plugin where loading it failed."""
    lines = [
        f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == path
    ]
    what = str(error) if isinstance(error, kinds.WrongForm) else f"{type(error).__name__}: {error}"
    return f"{path}:{lines[-1] if lines else 1}: {what}"
