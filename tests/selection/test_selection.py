"""Selecting a sparse rule: planted rules are found, planted nothing is not, every stage resumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import ruledsl
from benchmarks.selection import NOTHING, PLANTED, one_selection
from ruledsl import Run, RunError
from ruledsl.selection import Plan, selected_rule, sparsity_path, stable_support
from ruledsl.storage import read_json
from tests.commands import run, train

SMALL = Plan(seeds=2, episodes=15, refit_episodes=60, measure="loss", tolerance=0.01, largest=4)
TRAINING = {"seeds": 2, "episodes": 60, "shots": 10}


def test_a_planted_rule_of_three_terms_is_found_among_ten(tmp_path: Path) -> None:
    found = one_selection(tmp_path / "run", PLANTED, 0, SMALL, **TRAINING)
    assert set(found["chosen"]["terms"]) == set(PLANTED)
    for name, value in PLANTED.items():
        assert found["chosen"]["theta"][name]["mean"] == pytest.approx(value, rel=0.35)
    again = ruledsl.load(tmp_path / "run" / "selection" / "selected.rule")
    assert set(again.names) == set(PLANTED)
    start = dict(zip(again.names, again.program.initial, strict=True))
    assert start == pytest.approx({n: v["mean"] for n, v in found["chosen"]["theta"].items()}, rel=1e-4)


def test_nothing_is_found_where_nothing_was_planted(tmp_path: Path) -> None:
    found = one_selection(tmp_path / "run", NOTHING, 0, replace(SMALL, refit_episodes=50), **TRAINING)
    assert found["chosen"]["terms"] == []
    assert not (tmp_path / "run" / "selection" / "selected.rule").exists()


def test_a_selection_says_everything_and_goes_on_where_it_was(tmp_path: Path) -> None:
    train(tmp_path / "run", "--seeds", 2, "--l1", "0,0.01", rule="bio")
    budget = ["--seeds", 2, "--episodes", 3, "--refit-episodes", 4]
    first = run("select", tmp_path / "run", *budget, "--quiet")
    assert first.exit_code == 0, first.output
    for words in ("sparsity path", "refitted from scratch", "the evidence:"):
        assert words in first.output
    out = tmp_path / "run" / "selection"
    before = (out / "selection.json").read_bytes()
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("metrics.csv")}
    assert stamps
    (out / "selection.json").unlink()
    again = run("select", tmp_path / "run", *budget, "--quiet")
    assert again.exit_code == 0, again.output
    assert (out / "selection.json").read_bytes() == before
    assert {p: p.stat().st_mtime_ns for p in out.rglob("metrics.csv")} == stamps, (
        "a finished stage was trained again"
    )
    other = run("select", tmp_path / "run", "--seeds", 2, "--episodes", 3, "--refit-episodes", 5, "--quiet")
    assert other.exit_code == 2
    assert "holds a selection with other options" in other.output


def test_a_pathway_with_coefficients_of_its_own_is_no_term_to_be_left_out(tmp_path: Path) -> None:
    mixed = ["--feedback", "mixture", "--teacher", "pseudo_gradient=0.02"]
    trained = train(tmp_path / "run", "--seeds", 1, "--l1", "0,1e-9", *mixed, episodes=2)
    assert trained.exit_code == 0, trained.output
    budget = ["--seeds", 1, "--episodes", 2, "--refit-episodes", 2, "--quiet"]
    found = run("select", tmp_path / "run", *budget)
    assert found.exit_code == 0, found.output
    (knocked, *_) = (tmp_path / "run" / "selection").glob("round-*")
    config = Run(knocked).config
    started = dict(zip(config.terms, config.runs[0].initial, strict=True))
    assert [started["direct_1"], started["direct_2"]] == pytest.approx([0.5, 0.5], abs=0.1)


def test_supports_are_what_most_seeds_keep_with_one_sign(tmp_path: Path) -> None:
    train(tmp_path / "run", "--seeds", 3, "--l1", "0,1000", rule="bio")
    path = sparsity_path(Run(tmp_path / "run"))
    assert [p.l1 for p in path] == [0.0, 1000.0]
    assert set(path[0].survives.values()) <= {2 / 3, 1.0}
    assert path[1].support == ()
    assert stable_support(path) == (path[1], ())


def test_a_folder_that_cannot_be_selected_from_says_why(tmp_path: Path) -> None:
    train(tmp_path / "run", rule="bio")
    path = tmp_path / "run" / "result.json"
    path.write_text(path.read_text().replace('"finished": true', '"finished": false'))
    with pytest.raises(RunError, match="is not finished"):
        sparsity_path(Run(tmp_path / "run", accept_edited=True))
    run("train", "ehebb", "oja", "--separately", "--sizes", "49-5-47", "--labels", 2, "--shots", 1,
        "--queries", 1,
        "--episodes", 1, "--out", tmp_path / "apart")  # fmt: skip
    with pytest.raises(RunError, match="several sets of terms"):
        sparsity_path(Run(tmp_path / "apart"))


def test_a_selected_rule_needs_a_term() -> None:
    with pytest.raises(ValueError, match="at least one term"):
        selected_rule(ruledsl.load("bio"), {}, "")


def test_a_teacher_changes_only_the_answers(tmp_path: Path) -> None:
    train(tmp_path / "own")
    train(tmp_path / "taught", "--teacher", "pseudo_gradient=0.02")
    own, taught = (read_json(tmp_path / n / "result.json")["runs"][0] for n in ("own", "taught"))
    assert own["meta_loss"] != taught["meta_loss"]
    result = train(tmp_path / "bad", "--teacher", "pseudo_gradiant=1")
    assert result.exit_code == 2
    assert (
        "--teacher: `pseudo_gradiant` is not a term of bio; did you mean `pseudo_gradient`?" in result.output
    )
