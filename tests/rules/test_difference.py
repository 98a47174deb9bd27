"""`diff`: what two rules or runs differ in after algebra."""

from __future__ import annotations

from pathlib import Path

import pytest

import ruledsl
from ruledsl.rules import rule_difference
from tests.commands import run, train

BASE = "rule base = pseudo_gradient + error_hebb + weight_decay"
CASES = [
    (
        "term g = -(y_pre * e_post^T)^T\nrule r = g[init = 1e-3] + error_hebb + weight_decay",
        "renamed",
        "g",
        True,
    ),
    ("term g = 2 * e_post * y_pre^T\nrule r = g + error_hebb + weight_decay", "scaled", "g", True),
    ("term g = -e_post * y_pre^T - W\nrule r = g + error_hebb + weight_decay", "sum", "g", True),
    ("rule r = pseudo_gradient + error_hebb + weight_decay + oja_subspace", "added", "oja_subspace", False),
    ("rule r = pseudo_gradient + error_hebb", "gone", "weight_decay", False),
]


@pytest.mark.parametrize(("text", "kind", "name", "family"), CASES)
def test_terms_are_compared_by_algebra(tmp_path: Path, text: str, kind: str, name: str, family: bool) -> None:
    (tmp_path / "base.rule").write_text(BASE)
    (tmp_path / "other.rule").write_text(text)
    found = rule_difference(ruledsl.load(tmp_path / "base.rule"), ruledsl.load(tmp_path / "other.rule"))
    assert next(t.kind for t in found.terms if t.name == name) == kind
    assert found.same_family is family
    assert not found.is_empty


def test_factors_say_how_coefficients_translate() -> None:
    found = rule_difference(ruledsl.load("pool"), ruledsl.load("bio"))
    assert [t.kind for t in found.terms].count("gone") == 7
    assert rule_difference(ruledsl.load("bio"), ruledsl.load("bio")).is_empty


def test_attributes_and_feedback_count(tmp_path: Path) -> None:
    (tmp_path / "a.rule").write_text("rule a = pseudo_gradient + error_hebb")
    (tmp_path / "b.rule").write_text(
        "rule b [feedback = symmetric] = pseudo_gradient[init = 0.5] + error_hebb[layers = 2]"
    )
    result = run("diff", tmp_path / "a.rule", tmp_path / "b.rule")
    assert result.exit_code == 1
    assert "= pseudo_gradient   (init: 0.001 → 0.5)" in result.output
    assert "layers: none → ((2, 2),)" in result.output
    assert "feedback: none named → symmetric" in result.output
    assert "same rule" not in result.output


def test_two_runs_differ_in_settings_accuracy_and_coefficients(tmp_path: Path) -> None:
    train(tmp_path / "a", "--seeds", 2)
    train(tmp_path / "b", "--seeds", 2)
    same = run("diff", tmp_path / "a", tmp_path / "b")
    assert same.exit_code == 0, same.output
    assert "every recorded number is the same" in same.output
    train(tmp_path / "c", "--seeds", 2, "--beta", 5)
    other = run("diff", tmp_path / "a", tmp_path / "c")
    assert other.exit_code == 1
    assert "setting beta: 10.0 → 5.0" in other.output
    assert "θ[pseudo_gradient]:" in other.output


def test_what_is_neither_rule_nor_run_is_said() -> None:
    result = run("diff", "bio", "bioo")
    assert result.exit_code == 2
    assert "did you mean `bio`?" in result.output
