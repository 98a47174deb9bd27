"""Finds plugins by reading their text: nothing is executed to know what there is.

A declaration is a decorator of one of the kinds over a function or class, with its name as a literal:
`@feedback("direct")`. Looked for in the product's own folder, in the folders of `$RULEDSL_PLUGINS`, in those
given with `--plugins`, and in installed packages with an entry point `ruledsl.plugins`. No other file is ever
executed.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path

from ruledsl.errors import PluginError
from ruledsl.registry.kinds import KINDS

PACKAGE = Path(__file__).resolve().parents[1]
_named: list[Path] = []


@dataclass(frozen=True)
class Declaration:
    """One plugin as its file declares it."""

    kind: str
    name: str
    path: Path
    line: int
    lines: int
    """Lines of its definition."""
    summary: str
    origin: str
    """`product`, `named` (a folder the user gave) or the name of an installed package."""

    @property
    def place(self) -> str:
        return f"{_short(self.path)}:{self.line}"


@dataclass(frozen=True)
class Inventory:
    """Every declaration in sight, and what is wrong with the files that hold none or clash."""

    found: dict[tuple[str, str], Declaration]
    faults: tuple[str, ...]


def product_folder() -> Path:
    """The plugins that ship with ruledsl, in a wheel and in a checkout alike."""
    shipped = PACKAGE / "_shipped" / "plugins"
    return shipped if shipped.is_dir() else PACKAGE.parent / "plugins"


def use_folders(folders: Sequence[Path]) -> None:
    """Folders that the user named for this process. Raises `PluginError` for one that does not exist."""
    for folder in folders:
        if not folder.is_dir():
            raise PluginError(f"{folder}: there is no such folder of plugins")
        if folder.resolve() not in _named:
            _named.append(folder.resolve())


def search_key() -> tuple[str, tuple[Path, ...]]:
    """Changes when other folders are named."""
    return os.environ.get("RULEDSL_PLUGINS", ""), tuple(_named)


def plugin_folders() -> list[tuple[Path, str]]:
    """(folder, origin) of all folders whose files may be executed."""
    listed = [(product_folder(), "product")]
    given = [Path(p) for p in os.environ.get("RULEDSL_PLUGINS", "").split(os.pathsep) if p]
    listed += [(folder, "named") for folder in (*given, *_named) if folder.is_dir()]
    unique = {folder.resolve(): (folder, origin) for folder, origin in reversed(listed)}
    return list(reversed(unique.values()))


def declared() -> Inventory:
    """What all plugin files declare, the product's first."""
    files = tuple(_files())
    return _inventory(tuple((path, origin, _changed(path)) for path, origin in files))


def _changed(path: Path) -> int:
    """When a file was changed last; what cannot be looked at says so when it is read."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _files() -> Iterator[tuple[Path, str]]:
    for folder, origin in plugin_folders():
        for path in sorted(folder.glob("*.py")):
            if not path.name.startswith("."):  # such as an editor's lock
                yield path, origin
    yield from _installed()


@lru_cache(maxsize=1)
def _installed() -> tuple[tuple[Path, str], ...]:
    """Files of installed packages; looked up once, since reading every package's metadata takes a while."""
    found = []
    for point in metadata.entry_points(group="ruledsl.plugins"):
        spec = util.find_spec(point.module)  # finds the file; imports at most its parent package
        if spec is not None and spec.origin is not None:
            found.append((Path(spec.origin), point.dist.name if point.dist else point.name))
    return tuple(found)


@lru_cache(maxsize=8)
def _inventory(files: tuple[tuple[Path, str, int], ...]) -> Inventory:
    found: dict[tuple[str, str], Declaration] = {}
    faults: list[str] = []
    for path, origin, _ in files:
        try:
            declarations = list(read_declarations(path, origin))
        except PluginError as error:
            faults.append(str(error))
            continue
        for declaration in declarations:
            first = found.setdefault((declaration.kind, declaration.name), declaration)
            if first is not declaration:
                faults.append(
                    f"{declaration.place}: {declaration.kind} `{declaration.name}` exists already, at "
                    f"{first.place}; "
                    "rename this one (the first is used)"
                )
    return Inventory(found, tuple(faults))


def read_declarations(path: Path, origin: str) -> Iterator[Declaration]:
    """The plugins a file declares. Raises `PluginError` when it is not Python, or a name is not a literal."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise PluginError(f"{_short(path)}:{error.lineno or 1}: this is not Python: {error.msg}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PluginError(f"{_short(path)}:1: cannot be read: {reason}") from None
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            kind = _kind_of(decorator)
            if kind is None:
                continue
            name = _literal_name(decorator)
            if name is None:
                raise PluginError(
                    f'{_short(path)}:{decorator.lineno}: write the name as a text: @{kind}("my_{kind}")'
                )
            text = ast.get_docstring(node) or ""
            size = (node.end_lineno or node.lineno) - decorator.lineno + 1
            yield Declaration(kind, name, path, decorator.lineno, size, _summary(text), origin)


def _kind_of(decorator: ast.expr) -> str | None:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    return name if name in KINDS else None


def _literal_name(decorator: ast.expr) -> str | None:
    if isinstance(decorator, ast.Call) and decorator.args and isinstance(decorator.args[0], ast.Constant):
        value = decorator.args[0].value
        return value if isinstance(value, str) and value else None
    return None


def _summary(text: str) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join(text.strip().split("\n\n", 1)[0].split()).rstrip(".")


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
