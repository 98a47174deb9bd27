"""A folder is gone on with only by what its numbers were made from: rule, data, plugins."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import ruledsl
from ruledsl import Run
from ruledsl.errors import OtherTraining
from ruledsl.runs import used_plugins
from ruledsl.settings import TrainSettings
from ruledsl.studies import specify
from tests.commands import SMALL, run

RULE = "term mine = {} \nrule a = pseudo_gradient + mine[init = 0.001]"
OF_VECTORS = {**SMALL, "sizes": "49-10-4", "shots": 2, "queries": 2}


def write_rule(file: Path, body: str) -> Path:
    file.write_text(RULE.format(body), encoding="utf-8")
    return file


def write_samples(file: Path, grey: float) -> Path:
    np.savez(file, x=np.full((40, 49), grey), y=np.arange(40) % 4)
    return file


def test_a_finished_training_of_another_rule_is_not_taken_for_the_one_that_was_asked_for(
    tmp_path: Path,
) -> None:
    file, folder = tmp_path / "a.rule", Run(tmp_path / "run")
    folder.ensure(specify(write_rule(file, "-e_post * e_pre^T"), **SMALL))
    folder.ensure(specify(file, **SMALL))
    with pytest.raises(OtherTraining, match="training of another rule"):
        folder.ensure(specify(write_rule(file, "y_post * y_pre^T"), **SMALL))


def test_samples_that_changed_under_their_name_are_not_gone_on_with(tmp_path: Path) -> None:
    samples = write_samples(tmp_path / "mine.npz", 0.5)
    folder = ruledsl.train("bio", dataset=samples, out=tmp_path / "run", progress=False, **OF_VECTORS).folder
    assert run("resume", folder, "--episodes", 4).exit_code == 0
    before = (folder / "metrics.csv").read_bytes()
    write_samples(samples, 0.25)
    for command in (("resume", folder, "--episodes", 5), ("rerun", folder, "--out", tmp_path / "again")):
        result = run(*command)
        assert result.exit_code == 2, result.output
        assert "was trained on other samples than" in result.output
    with pytest.raises(OtherTraining, match="other samples"):
        Run(folder).ensure(specify("bio", dataset=samples, **{**OF_VECTORS, "episodes": 3}))
    assert (folder / "metrics.csv").read_bytes() == before
    assert not (tmp_path / "again").exists()


def test_a_cell_is_not_trained_by_a_rule_that_was_edited_after_its_study_began(tmp_path: Path) -> None:
    file = write_rule(tmp_path / "a.rule", "-e_post * e_pre^T")
    (cell,) = ruledsl.Study([file], out=tmp_path / "study", **SMALL).cells
    sent = pickle.dumps(cell)
    write_rule(file, "y_post * y_pre^T")
    with pytest.raises(OtherTraining, match="changed since the study began"):
        pickle.loads(sent).run(lambda _: None)
    write_rule(file, "-e_post * e_pre^T")
    pickle.loads(sent).run(lambda _: None)
    assert cell.is_done()


def test_a_plugin_is_recorded_as_it_was_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "from ruledsl.plugin import *\n@activation('gently')\ndef gently(z, beta):\n    return tanh({} * z)\n"
    )
    file = tmp_path / "gently.py"
    file.write_text(text.format(2), encoding="utf-8")
    monkeypatch.setenv("RULEDSL_PLUGINS", str(tmp_path))
    settings = TrainSettings.of(activation="gently")
    specify("bio", activation="gently", **SMALL)
    (first,) = (p["sha256"] for p in used_plugins(settings))
    file.write_text(text.format(3), encoding="utf-8")
    assert [p["sha256"] for p in used_plugins(settings)] == [first], "an edit was not executed"
