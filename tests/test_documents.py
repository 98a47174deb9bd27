"""What the pages show works as shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ruledsl
from ruledsl.cli import main
from tests import ROOT
from tests.walkthrough import blocks_of, walk

README = ROOT / "README.md"
DOCS = ROOT / "docs"
TUTORIALS = sorted(p for p in (DOCS / "tutorials").glob("*.md") if p.stem != "index")
PAGES = [README, *sorted(p for p in DOCS.rglob("*.md") if "made" not in p.parts and "results" not in p.parts)]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", TUTORIALS, ids=named)
def test_a_tutorial_can_be_walked_through(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(list(walk(page))) >= 4


@pytest.mark.parametrize("page", [README, DOCS / "python.md"], ids=named)
def test_the_python_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    examples = [b for b in blocks_of(page.read_text(encoding="utf-8")) if b.language == "python"]
    assert examples
    for block in examples:
        exec(block.text, names)


def test_the_first_rule_of_the_readme_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = next(b for b in blocks_of(README.read_text(encoding="utf-8")) if b.language == "")
    Path("mine.rule").write_text(first.text, encoding="utf-8")
    assert ruledsl.load("mine.rule").names == ("pseudo_gradient", "error_hebb", "oja_subspace")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_file_that_a_page_points_to_is_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!http|#)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        generated = "made/" in target
        assert generated or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = " ".join(b.text for b in blocks_of(text) if b.language in ("sh", "bash"))
    for command in re.findall(
        r"ruledsl (?:--plugins \S+ )?([a-z][\w-]*)", shown + " ".join(re.findall(r"`ruledsl [^`]+`", text))
    ):
        assert command in main.commands, command
