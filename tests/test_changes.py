"""What a change costs: made in a copy of the product, in so many files, and then used.

docs/design.md has the table of all twelve; those that a few lines can show are shown here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests import ROOT

Change = Callable[[Mapping[str, tuple[str, str] | str], str], str]


@pytest.fixture
def change(tmp_path: Path) -> Change:
    """Edit (old text, new text) or write files of a copy, run Python there: what it printed."""
    for name in ("ruledsl", "rules", "plugins"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))

    def make(files: Mapping[str, tuple[str, str] | str], script: str) -> str:
        for name, edit in files.items():
            path = tmp_path / name
            text = edit
            if not isinstance(edit, str):
                before = path.read_text(encoding="utf-8")
                assert before.count(edit[0]) == 1, f"{name} must hold once: {edit[0]}"
                text = before.replace(*edit)
            path.write_text(str(text), encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return make


TRAIN = """
import ruledsl
ruledsl.Run.plot = lambda run: []  # two seconds
small = dict(sizes="49-10-47", labels=3, shots=4, queries=3, episodes=2, progress=False, threads=1)
"""

CUBE = """_ROWS = (
    Function(
        "cube", "x³", r"\\operatorname{cube}", lambda sp, v: v**3,
        lambda np, x, _: x**3, lambda torch, x, _: x**3,
        "{0} ** 3", "{0} ** 3", "({0} * {0} * {0})",
        slope=lambda b, x, y, _: b.mul(b.const(3.0), b.mul(x, x)),
    ),
"""


def test_a_built_in_function_is_one_row(change: Change) -> None:
    """Written in rules, printed by every target, differentiated, run by every engine."""
    script = f"""{TRAIN}
import torch
from ruledsl.backend import targets
rule = ruledsl.rule("term t = cube(e_post) * y_pre^T [init = 0.1]")
sources = [t.source(rule.program.update_program, rule.names) for t in targets().values()]
assert all("** 3" in s for s in sources), sources
assert "cube" in rule.latex()
F = ruledsl.compile_rule(rule)
torch.manual_seed(0)
W, B = [torch.randn(4, 6) / 3, torch.randn(5, 4) / 3], [torch.randn(6, 4), torch.randn(4, 5)]
x, y = torch.rand(7, 6), torch.randint(0, 5, (7,))
episode = ruledsl.Episode(W, B, x, y, torch.rand(3, 6), torch.randint(0, 5, (3,)))
found = [ruledsl.meta_gradient(F, torch.tensor([0.1]), episode, engine=e, backend=b).grad
         for e, b in (("autograd", "eager"), ("rebuild", "eager"), ("rebuild", "compiled"))]
assert all(torch.allclose(g, found[0], rtol=1e-3) for g in found), found
print("the same")
"""
    assert "the same" in change({"ruledsl/ir/functions.py": ("_ROWS = (\n", CUBE)}, script)


def test_an_export_target_is_one_file(change: Change) -> None:
    target = '''"""Upper case."""

from __future__ import annotations

from ruledsl.backend.targets.numpy import NumpyTarget


class LoudTarget(NumpyTarget):
    name = "loud"
    meaning = "numpy that says what it is"
    head = "# LOUD\\nimport numpy as np"
'''
    script = "from ruledsl.cli import main\nmain(['show', 'bio', '--as', 'loud'], standalone_mode=False)"
    assert "# LOUD" in change({"ruledsl/backend/targets/loud.py": target}, script)


def test_a_feedback_path_is_one_file(change: Change) -> None:
    plugin = '''"""Half."""

from ruledsl.plugin import Pathway, feedback


@feedback("half")
def half(net: Pathway) -> None:
    """Half of the error."""
    for layer in net.hidden:
        net.carry(layer, 0.5 * (net.back(layer) @ net.error(layer + 1)))
'''
    script = f"{TRAIN}print(ruledsl.train('bio', feedback='half', out='run', **small).state)"
    assert "finished" in change({"plugins/half.py": plugin}, script)


def test_an_option_of_train_is_a_row_and_its_reader(change: Change) -> None:
    """A row of the table is an option, a keyword, a line of config.toml and of help."""
    row = """    labels: int = field(5, checks.count, "M, labels in a task.", group=TASK)
    patience: int = field(3, checks.count, "How long to wait.", group=TASK)
"""
    script = f"""{TRAIN}
from ruledsl.cli import main
run = ruledsl.train("bio", patience=7, out="run", **small)
assert run.config.settings.task.patience == 7
assert "patience = 7" in (run.folder / "config.toml").read_text()
assert "patience: How long to wait." in ruledsl.train.__doc__
main(["train", "--help"], standalone_mode=False)
"""
    before = '    labels: int = field(5, checks.count, "M, labels in a task.", group=TASK)\n'
    assert "--patience" in change({"ruledsl/settings/training.py": (before, row)}, script)


def test_a_measure_is_one_row_and_a_claim_one_file(change: Change) -> None:
    row = """MEASURES: Mapping[str, Row] = {
    "worst": Row(TRAINING, "the largest loss of the episodes", lambda s, _: max(s.column(LOSS)[s.window])),
"""
    claim = """title = "t"
[training.a]
rule = "bio"
sizes = [49, 10, 47]
labels = 3
shots = 4
queries = 3
episodes = 3
[[claim]]
name = "bounded"
says = "the loss stays small"
of = "a"
measure = "worst"
at_most = 100
"""
    script = """from ruledsl.cli import main
budget = ["--seeds", "2", "--dataset", "glyphs", "--executor", "here"]
main(["reproduce", "mine.toml", *budget, "--quiet"], standalone_mode=False)
"""
    files = {
        "ruledsl/reproduction/measures.py": ("MEASURES: Mapping[str, Row] = {\n", row),
        "mine.toml": claim,
    }
    assert "1 claim: 1 agree" in change(files, script)
