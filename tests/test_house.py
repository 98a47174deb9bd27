"""The house: imports point one way and through doors, budgets hold,
and text commands answer without torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ruledsl.ir import ELEMENTWISE
from tests import ROOT
from tests.source import (
    FILES,
    OTHERS,
    PACKAGE,
    circles,
    files_imported,
    imports,
    long_functions,
    tree,
    unit,
    units_imported,
)

FLOORS = (
    "errors",
    "wording",
    "statistics",
    "stopping",
    "storage",
    "evidence",
    "ir",
    "registry",
    "settings",
    "progress",
    "language",
    "checks",
    "algebra",
    "compiler",
    "rules",
    "enumeration",
    "backend",
    "tasks",
    "network",
    "engines",
    "measures",
    "meta",
    "figures",
    "runs",
    "studies",
    "torch",
    "exports",
    "theory",
    "selection",
    "discovery",
    "pages",
    "reproduction",
    "plugin",
    "contracts",
    "cli",
)
"""From the ground up: a unit may import only units before it."""
OWNERS = {
    "lark": {"language"},
    "sympy": {"algebra", "compiler", "theory"},
    "mpmath": {"statistics"},
    "torchvision": {"tasks"},
    "matplotlib": {"figures", "tasks"},
    "click": {"cli"},
    "rich": {"cli", "progress"},
    "plotly": {"figures", "pages"},
    "jinja2": {"pages"},
    "latex2mathml": {"rules", "pages"},
    "pandas": {"runs"},
    "polars": {"runs"},
    "filelock": {"runs", "backend", "storage"},
    "lazy_loader": {"__init__", "backend", "runs", "selection", "discovery", "reproduction"},
}
LINES, BODY, COLUMNS = 400, 50, 110


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_to_lower_floors(path: Path) -> None:
    own = unit(path)
    if own == "__init__":
        return
    for other, line in units_imported(path):
        assert FLOORS.index(other) <= FLOORS.index(own), f"{path}:{line}: {own} imports {other}"
    for module, line in imports(path):
        owners = OWNERS.get(module.split(".")[0])
        assert owners is None or own in owners, f"{path}:{line}: {module} belongs to {owners}"


def test_every_unit_has_its_floor() -> None:
    assert {unit(p) for p in FILES} - {"__init__"} == set(FLOORS)


@pytest.mark.parametrize("path", [*FILES, *OTHERS], ids=name_of)
def test_imports_go_through_doors(path: Path) -> None:
    """Of another package only what its `__init__` gives, from plugins, tests and benchmarks too."""
    own = unit(path) if path in FILES else ""
    for module, line in imports(path):
        parts = module.split(".")
        past = parts[0] == "ruledsl" and len(parts) > 2 and parts[1] != own
        assert not past, f"{path}:{line}: {module} goes past the door of ruledsl.{parts[1]}"


@pytest.mark.parametrize("package", [p for p in FLOORS if (PACKAGE / p).is_dir()])
def test_files_of_a_package_import_each_other_one_way(package: str) -> None:
    """Under TYPE_CHECKING too. A file that imports its own door closes a circle as well."""
    edges: dict[str, set[str]] = {}
    for path in (p for p in FILES if unit(p) == package):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        edges[module] = {m for m in files_imported(path) if f"{m}.".startswith(f"ruledsl.{package}.")}
    assert circles(edges) == []


@pytest.mark.parametrize("path", [*FILES, *OTHERS], ids=name_of)
def test_files_and_functions_stay_within_their_budgets(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LINES
    # What a type checker is told stands behind the line.
    told = [line.partition("  # type: ignore")[0] for line in lines]
    assert [n for n, line in enumerate(told, 1) if len(line) > COLUMNS] == []
    assert list(long_functions(path, BODY)) == []


def test_nothing_evaluates_text_or_unpickles() -> None:
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                forbidden = ("eval", "exec", "sympify", "parse_expr", "loads_pickle")
                assert name not in forbidden, f"{path}:{node.lineno}"
        modules = {module.split(".")[0] for module, _ in imports(path)}
        assert not modules & {"pickle", "dill", "cloudpickle"}, path


@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
def test_a_function_of_the_language_stands_in_one_place(name: str) -> None:
    """Its slope, and how every target says it, are a row of one table:
    no other file of these quotes its name."""
    packages = ("ir", "checks", "algebra", "compiler", "backend")
    # A kind of slot is called `sign` as well.
    files = [p for p in FILES if unit(p) in packages and p.name not in ("functions.py", "slots.py")]
    assert [p for p in files if re.search(rf"""["']{name}["']""", p.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["check", "rules/pool.rule"],
        ["show", "pool", "--as", "program"],
        ["fmt", "rules/pool.rule"],
        ["list"],
    ],
    ids=" ".join,
)
def test_text_commands_load_neither_torch_nor_matplotlib(arguments: list[str]) -> None:
    code = (
        "import sys; from ruledsl.cli import main\n"
        f"try: main({arguments})\n"
        "except SystemExit as e: assert not e.code\n"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_help_answers_at_once() -> None:
    """0.3 s alone on two cores; the bound leaves room for the tests that run beside it."""
    started = time.monotonic()
    command = [sys.executable, "cli.py", "train", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 2
    assert "--dataset" in done.stdout


def test_no_product_leaves_its_order_to_an_optional_package() -> None:
    """Of three operands `einsum` takes the order from opt_einsum where that is installed (jax brings it): the
    last bits of a training would then depend on what else lies in the environment."""
    for path in FILES:
        for node in ast.walk(tree(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "einsum"
            ):
                assert len(node.args) <= 3, f"{path}:{node.lineno}"
