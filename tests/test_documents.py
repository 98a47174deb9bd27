"""What the README shows works as shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import ruledsl
from ruledsl.cli import main
from tests import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^( *)```(\w*)\n(.*?)^ *```", README, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [
        "\n".join(line.removeprefix(indent) for line in text.splitlines())
        for indent, kind, text in BLOCKS
        if kind == language
    ]


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_the_python_examples_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(blocks("python")[number], {})


def test_the_rule_of_the_five_minutes_is_checked_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, rule, shown = blocks("")[:3]
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "mine.rule").write_text(rule, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["check", "rules/mine.rule"])
    assert result.exit_code == 0
    assert [line.rstrip() for line in result.output.splitlines()] == [
        line.rstrip() for line in shown.splitlines()
    ]
    (tmp_path / "rules" / "mine.rule").write_text(first.split("\n", 1)[1], encoding="utf-8")
    assert ruledsl.load("rules/mine.rule").names == ("pseudo_gradient", "error_hebb", "oja_subspace")


def test_every_file_the_readme_points_to_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_command_the_readme_names_exists() -> None:
    for command in re.findall(
        r"ruledsl (\w+)", " ".join(blocks("sh")) + " ".join(re.findall(r"`ruledsl [^`]+`", README))
    ):
        assert command in main.commands, command
