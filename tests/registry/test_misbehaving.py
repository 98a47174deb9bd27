"""Plugins that raise, leave, or keep what is no JSON: their line is named, and what was saved is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import run, train

RECIPE = """
import sys
from ruledsl.plugin import Recipe, recipe

@recipe("bad")
class Bad(Recipe):
    "Misbehaves."
    done = 0
    def step(self, losses, gradients):
        self.done += 1
        {step}
        return True
    def state(self):
        return {state}
    def restore(self, state):
        self.done = state["done"]
"""
JSON = '{"done": self.done, "theta": self.theta.tolist()}'


def plugin(folder: Path, step: str, state: str = JSON) -> Path:
    folder.mkdir()
    (folder / "bad.py").write_text(RECIPE.format(step=step, state=state))
    return folder


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("if self.done == 3: raise KeyError('x')", "in step: KeyError: 'x'"),
        ("if self.done == 3: sys.exit(0)", "in step: SystemExit: 0"),
        ("if self.done == 3: 1 / 0", "in step: ZeroDivisionError: division by zero"),
    ],
)
def test_a_plugin_that_raises_in_mid_training_is_named_with_its_line(
    step: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = plugin(tmp_path / "mine", step)
    result = train(tmp_path / "run", "--plugins", folder, "--recipe", "bad")
    assert result.exit_code == 2, result.output
    assert f"{folder / 'bad.py'}:11, {said}" in result.output
    assert "Saved: the checkpoint after episode 0" in result.output
    assert "Traceback" not in result.output
    (folder / "bad.py").write_text(RECIPE.format(step="pass", state=JSON))
    for kept in ("_loaded", "_found"):  # another process would read the file that was mended
        monkeypatch.setattr(f"ruledsl.registry.loading.{kept}", {})
    result = run("--plugins", folder, "resume", tmp_path / "run")
    assert result.exit_code == 0, result.output


def test_a_state_that_is_no_json_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    folder = plugin(tmp_path / "mine", "pass", '{"done": self}')
    result = train(tmp_path / "run", "--plugins", folder, "--recipe", "bad")
    assert result.exit_code == 2
    assert "the state of `bad` is no JSON, so it could not be resumed" in result.output
