"""The house: imports point one way, budgets hold, and text commands answer without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import ROOT

PACKAGE = ROOT / "ruledsl"
FLOORS = (
    "ir", "registry", "storage", "settings", "language", "checks", "algebra", "compiler", "tasks", "backend", "network",
    "latex", "pipeline", "difference", "meta", "runs", "selection", "report", "plugin", "contracts",
    "reproduction", "cli",
)  # fmt: skip
"""From the ground up: a unit may import only units before it."""
OWNERS = {
    "lark": {"language"},
    "sympy": {"algebra", "compiler"},
    "torchvision": {"tasks"},
    "matplotlib": {"report", "tasks"},
    "click": {"cli"},
    "rich": {"cli"},
    "plotly": {"report"},
    "jinja2": {"report"},
    "latex2mathml": {"report"},
    "filelock": {"runs", "backend"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def unit(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(a.name, node.lineno) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found += [(node.module or "", node.lineno)]
            found += [
                (f"{node.module}.{a.name}", node.lineno) for a in node.names if node.module == "ruledsl"
            ]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_to_lower_floors(path: Path) -> None:
    own = unit(path)
    if own == "__init__":
        return
    for module, line in imports(path):
        parts = module.split(".")
        if parts[0] == "ruledsl" and len(parts) > 1 and not parts[1].startswith("__"):
            assert FLOORS.index(parts[1]) <= FLOORS.index(own), f"{path}:{line}: {own} imports {module}"
        if parts[0] in OWNERS:
            assert own in OWNERS[parts[0]], f"{path}:{line}: {parts[0]} belongs to {OWNERS[parts[0]]}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_within_their_budgets(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = [
                n for n in node.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))
            ]
            if body:
                assert (body[-1].end_lineno or 0) - body[0].lineno < 50, f"{path}:{node.lineno} {node.name}"


def test_nothing_evaluates_text_or_unpickles() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                assert name not in ("eval", "exec", "sympify", "parse_expr", "loads_pickle"), (
                    f"{path}:{node.lineno}"
                )
        assert not any(
            module.split(".")[0] in ("pickle", "dill", "cloudpickle") for module, _ in imports(path)
        )


@pytest.mark.parametrize(
    "arguments",
    [
        "['check', 'rules/pool.rule']",
        "['show', 'pool', '--as', 'program']",
        "['fmt', 'rules/pool.rule']",
        "['list']",
    ],
)
def test_text_commands_do_not_load_torch(arguments: str) -> None:
    code = (
        "import sys; from ruledsl.cli import main\n"
        f"try: main({arguments})\n"
        "except SystemExit as e: assert not e.code\n"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, check=True, capture_output=True)


def test_help_answers_at_once() -> None:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "cli.py", "train", "--help"],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert time.monotonic() - started < 5
    assert "--dataset" in done.stdout
