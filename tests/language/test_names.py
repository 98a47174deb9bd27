"""Bare names of rules: the user's own first, then what people wrote, then what searches found."""

from __future__ import annotations

from pathlib import Path

import pytest

import ruledsl
from ruledsl import RuleError
from ruledsl.language import load_file, packaged_files, packaged_folders, print_expression


def test_every_rule_that_ships_is_known_by_its_name() -> None:
    written, discovered = (sorted(f.stem for f in folder.glob("*.rule")) for folder in packaged_folders())
    assert "bio" in written
    assert "gated_rest" in discovered
    for name in (*written, *discovered):
        assert ruledsl.load(name).definition.name


def test_a_rule_that_was_found_can_be_part_of_another(tmp_path: Path) -> None:
    mine = tmp_path / "mine.rule"
    mine.write_text("term hebb = y_post * y_pre^T\nrule mine = gated_rest + hebb\n")
    assert ruledsl.load(mine).names == (*ruledsl.load("gated_rest").names, "hebb")


def test_the_users_own_rule_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "own.rule").write_text("rule gated_rest = pseudo_gradient\n")
    assert ruledsl.load("gated_rest").names == ("pseudo_gradient",)


def test_a_mistyped_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(RuleError, match="did you mean `gated_rest`"):
        ruledsl.load("gated_rst")


def test_a_name_that_ships_twice_means_the_same() -> None:
    found: dict[str, str] = {}
    for path in packaged_files():
        for term in load_file(str(path)).terms:
            text = print_expression(term.expression)
            assert found.setdefault(term.name, text) == text, f"{term.name} of {path.name}"
