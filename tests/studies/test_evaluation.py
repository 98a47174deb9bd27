"""`evaluate`: naive networks under a fixed Θ."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.commands import run, train


def test_evaluate_reports_accuracy_against_samples_seen(tmp_path: Path) -> None:
    train(tmp_path / "run")
    toy = ["--sizes", "196-12-8-47", "--samples", 30, "--classes", 3, "--test-images", 30, "--seeds", 2]
    result = run("evaluate", tmp_path / "run", *toy)
    assert result.exit_code == 0, result.output
    with (tmp_path / "run" / "learning_curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["samples"] for r in rows if r["seed"] == "1"] == [
        "0",
        "7",
        "10",
        "13",
        "15",
        "18",
        "22",
        "24",
        "30",
    ]
    assert all(0 <= float(r["accuracy"]) <= 1 for r in rows)
    assert "±" in result.output
    for bad, message in (
        (["--theta", "oja_subspace=nan"], "needs NAME=VALUE,… with finite numbers"),
        (["--beta", "0"], "--beta needs a number above 0"),
        (["--out", str(tmp_path / "run" / "metrics.csv")], "cannot be used for results"),
    ):
        result = run("evaluate", tmp_path / "run", *toy, *bad)
        assert result.exit_code == 2, result.output
        assert message in result.output
    result = run("evaluate", "feedback_alignment", "--theta", "pseudo_gradiant=1", *toy)
    assert result.exit_code == 2
    assert "did you mean `pseudo_gradient`?" in result.output


def test_evaluating_a_run_uses_its_own_network_unless_told_otherwise(tmp_path: Path) -> None:
    train(tmp_path / "run", "--beta", 5)
    result = run("evaluate", tmp_path / "run", "--samples", 10, "--classes", 3, "--test-images", 9)
    assert result.exit_code == 0, result.output
    one = (tmp_path / "run" / "learning_curve.csv").read_text()
    run(
        "evaluate",
        tmp_path / "run",
        "--samples",
        10,
        "--classes",
        3,
        "--test-images",
        9,
        "--sizes",
        "196-12-8-47",
        "--beta",
        5,
    )
    assert (tmp_path / "run" / "learning_curve.csv").read_text() == one


def test_learning_works_on_easy_data(tmp_path: Path) -> None:
    """Backprop with a fixed rate must learn three glyph classes far above chance:
    progress, not only plumbing."""
    options = ["--sizes", "196-40-47", "--samples", 600, "--classes", 3, "--test-images", 60, "--seeds", 3]
    result = run("evaluate", "backprop", "--theta", "pseudo_gradient=0.03", "--out", tmp_path, *options)
    assert result.exit_code == 0, result.output
    with (tmp_path / "learning_curve.csv").open() as file:
        last = [float(r["accuracy"]) for r in csv.DictReader(file) if r["samples"] == "600"]
    assert sum(last) / 3 > 0.8


def test_what_cannot_be_evaluated_leaves_no_folder(tmp_path: Path) -> None:
    result = run("evaluate", "bioo", "--out", tmp_path / "curve")
    assert result.exit_code == 2
    assert not (tmp_path / "curve").exists()
