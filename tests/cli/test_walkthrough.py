"""What a new user stumbles over: said before anything is made, in words that name what to change."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.commands import TOY, run, train


def test_a_missing_package_is_told_before_anything_is_printed_or_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cma", None)
    result = train(tmp_path / "run", "--optimiser", "cma", "--activation", "relu")
    assert result.exit_code == 2
    assert result.output.startswith("error: optimiser `cma`")
    assert "pip install 'ruledsl[es]'" in result.output
    assert not (tmp_path / "run").exists()


def test_a_report_without_its_packages_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "run", episodes=1)
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    result = run("report", tmp_path / "run")
    assert result.exit_code == 2
    assert "pip install 'ruledsl[report]'" in result.output
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_plugin_file_that_is_not_python_is_named_when_what_is_asked_for_is_not_found(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own.py").write_text("def (\n", encoding="utf-8")
    named = ["--plugins", tmp_path / "mine"]
    result = train(tmp_path / "run", "--feedback", "mine", *named)
    assert result.exit_code == 2
    assert "there is no feedback `mine`" in result.output
    assert "own.py:1: this is not Python" in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "gpu"], "there is no such device; here there is cpu"),
        (["--shots", "1000"], "use smaller `--shots` or `--queries`"),
    ],
)
def test_messages_name_what_to_change(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = train(tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_fewer_outputs_than_classes_are_said_and_one_is_one(tmp_path: Path) -> None:
    result = train(tmp_path / "run", "--sizes", "196-12-10", episodes=1)
    assert result.exit_code == 0, result.output
    assert "47 classes share 10 outputs" in result.output
    assert "1 episode, 1 run;" in result.output
    assert "1 episodes" not in result.output


def test_accuracy_on_fresh_tasks_comes_first_and_the_window_is_named(tmp_path: Path) -> None:
    result = train(tmp_path / "run", episodes=10)
    said = [
        line for line in result.output.splitlines() if "accuracy" in line and not line.startswith("episode")
    ]
    first, second = said[:2]
    assert first.startswith("accuracy on 2 fresh tasks: ")
    assert second.startswith("meta-accuracy, mean of the last 2 episodes: ")


def test_progress_in_a_log_is_lines_that_name_terms(tmp_path: Path) -> None:
    lines = train(tmp_path / "run").output.splitlines()
    told = [line for line in lines if line.startswith("episode ")]
    assert told
    assert all("oja_subspace" in line for line in told)
    result = run("evaluate", "bio", *TOY[:2], "--samples", 40, "--test-images", 47, "--out", tmp_path / "e")
    assert [line for line in result.output.splitlines() if line.startswith("sample 40/40")]
