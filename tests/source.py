"""Python files of this repository as syntax trees: what they import, and how long their functions are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests import ROOT

PACKAGE = ROOT / "ruledsl"
FILES = sorted(PACKAGE.rglob("*.py"))
OTHERS = sorted(
    p for folder in ("plugins", "tests", "benchmarks", "fuzz") for p in (ROOT / folder).rglob("*.py")
)


def unit(path: Path) -> str:
    """The package or module of the first level that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[tuple[str, int], ...]:
    """Every module that a file names, with the line;
    also those that it loads by name, and under TYPE_CHECKING."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((a.name, node.lineno) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            if node.module == "ruledsl":
                yield from ((f"ruledsl.{a.name}", node.lineno) for a in node.names)
            else:
                yield node.module or "", node.lineno
        elif isinstance(node, ast.Call) and _loads_by_name(node):
            named = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            yield from ((name, node.lineno) for name in named)


def _loads_by_name(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in ("require", "import_module")


def files_imported(path: Path) -> set[str]:
    """Modules of the product that a file imports: `from package import file` means the file."""
    found = {module for module, _ in imports(path) if module.startswith("ruledsl.")}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module in found:
            files = {f"{node.module}.{a.name}" for a in node.names if _is_file(f"{node.module}.{a.name}")}
            found |= files
            if len(files) == len(node.names):
                found.discard(node.module)
    return found


def _is_file(module: str) -> bool:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py").is_file()


def units_imported(path: Path) -> Iterator[tuple[str, int]]:
    """Units of the product that a file imports."""
    for module, line in imports(path):
        parts = module.split(".")
        if (parts[0] == "ruledsl" and len(parts) > 1 and (PACKAGE / parts[1]).exists()) or (
            parts[0] == "ruledsl" and len(parts) > 1 and (PACKAGE / f"{parts[1]}.py").exists()
        ):
            yield parts[1], line


def long_functions(path: Path, limit: int) -> Iterator[str]:
    """Functions whose body, without its docstring, has more lines."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = [
                n for n in node.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))
            ]
            if body and (body[-1].end_lineno or 0) - body[0].lineno >= limit:
                yield f"{path}:{node.lineno} {node.name}"


def circles(edges: dict[str, set[str]]) -> list[str]:
    """Files that import each other, as paths that return to where they began."""
    found: list[str] = []

    def walk(node: str, path: list[str]) -> None:
        if node in path:
            found.append(" → ".join([*path[path.index(node) :], node]))
            return
        if node in finished:
            return
        for other in sorted(edges.get(node, ())):
            walk(other, [*path, node])
        finished.add(node)

    finished: set[str] = set()
    for start in sorted(edges):
        walk(start, [])
    return found
