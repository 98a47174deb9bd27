"""Everything from Python: train, open, go on, show, evaluate, select, report, compare, study."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

import ruledsl
from ruledsl import RunError, SettingsError
from ruledsl.settings import OPTIONS
from tests import ROOT
from tests.commands import SMALL, run


def trained(folder: Path, rule: Any = "bio", **more: Any) -> ruledsl.Run:
    return ruledsl.train(rule, out=folder, progress=False, **{**SMALL, **more})


def test_a_run_says_what_was_asked_recorded_and_found(tmp_path: Path) -> None:
    ran = trained(tmp_path / "run", seeds=2)
    again = ruledsl.open_run(tmp_path / "run")
    assert again.state == "finished"
    assert again.rule.name == "bio"
    assert again.config.settings.sizes == (49, 10, 47)
    assert list(ran.theta) == list(again.rule.names)
    assert ran.theta["pseudo_gradient"].half >= 0
    assert again.metrics.runs.keys() == {0, 1}
    assert len(again.metrics.column(1, "meta_loss")) == SMALL["episodes"]
    frame = again.metrics.to_pandas()
    assert list(frame.columns)[:3] == ["run", "seed", "l1"]
    assert again.metrics.to_polars().shape == frame.shape


def test_a_stopped_run_goes_on_from_python(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", recipe="paper", episodes=6)
    part = trained(tmp_path / "part", recipe="paper", episodes=3)
    part.resume(episodes=6)
    assert ruledsl.open_run(part.folder).difference(whole) is None
    assert whole.difference(ruledsl.open_run(part.folder)) is None


def test_groups_are_told_apart(tmp_path: Path) -> None:
    ran = trained(tmp_path / "run", l1=(0, 1))
    assert len(ran.thetas) == 2
    with pytest.raises(RunError, match="must hold one group of runs"):
        _ = ran.theta


def test_arrays_and_torch_datasets_are_data(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 4
    images = generator.random((60, 7, 7)).astype(np.float32)
    small = {**SMALL, "sizes": "49-10-4"}
    ran = trained(tmp_path / "arrays", **small, dataset=(images, labels))
    assert ran.state == "finished"
    assert ran.source().classes == 4
    pairs = torch.utils.data.TensorDataset(torch.tensor(images), torch.tensor(labels))
    other = trained(tmp_path / "pairs", **small, dataset=pairs)
    assert other.difference(ran) is None
    assert run("rerun", ran.folder, "--out", tmp_path / "again", "--quiet").exit_code == 0


def test_integer_images_are_scaled_and_said_to_be(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 4
    bytes_ = generator.integers(0, 256, (60, 7, 7), dtype=np.uint8)
    np.savez(tmp_path / "bytes.npz", x=bytes_, y=labels)
    with pytest.warns(UserWarning, match="scaled"):
        ran = trained(tmp_path / "run", sizes="49-10-4", dataset=str(tmp_path / "bytes.npz"))
    assert ran.refused == 0
    assert max(ran.metrics.column(0, "meta_loss")) < 10


@pytest.mark.figures
def test_no_hidden_layer_is_a_valid_network(tmp_path: Path) -> None:
    ran = trained(tmp_path / "run", sizes="49-47")
    assert ran.state == "finished"
    assert run("report", ran.folder).exit_code == 0
    assert [p.suffix for p in ran.plot()] == [".png", ".pdf"]


def test_runs_and_rules_show_themselves_in_a_notebook(tmp_path: Path) -> None:
    ran = trained(tmp_path / "run")
    for text in (ran._repr_html_(), ran.rule._repr_html_()):
        assert "<math" in text
        assert "synapse" in text
        assert "http://" not in text.replace('xmlns="http://www.w3.org/1998/Math/MathML"', "")
    assert "bio" in repr(ruledsl.load("bio"))


def test_a_rule_is_written_as_text() -> None:
    mine = ruledsl.rule("term hebb = y_post * y_pre^T")
    assert mine.names == ("hebb",)
    assert "hebb = y_post * y_pre^T" in repr(mine)
    with pytest.raises(ruledsl.RuleError):
        ruledsl.rule("term hebb = y_post *")


def test_a_run_folder_is_a_rule(tmp_path: Path) -> None:
    ran = trained(tmp_path / "run")
    assert ruledsl.load(ran.folder).names == ran.rule.names
    assert run("show", ran.folder).output == run("show", "bio").output


def test_keywords_are_those_of_the_table_and_documented() -> None:
    parameters = inspect.signature(ruledsl.train).parameters
    assert set(OPTIONS) <= set(parameters)
    for name, setting in OPTIONS.items():
        assert f"{name}: " in (ruledsl.train.__doc__ or "")
        assert setting.help
    with pytest.raises(SettingsError, match="did you mean `seeds`"):
        ruledsl.train("bio", seds=3)


def test_every_public_name_has_a_runnable_example() -> None:
    """They run with the suite: pytest takes doctests of the package too."""
    assert [name for name in ruledsl.__all__ if ">>>" not in (getattr(ruledsl, name).__doc__ or "")] == []


def test_what_a_run_folder_writes_is_what_train_reads(tmp_path: Path) -> None:
    first = trained(tmp_path / "first", seeds=2, l1=(0, 0.5), beta=5.0)
    config = first.folder / "config.toml"
    result = run("train", "--config", config, "--out", tmp_path / "second", "--quiet")
    assert result.exit_code == 0, result.output
    assert ruledsl.open_run(tmp_path / "second").difference(first) is None
    result = run("train", "--config", config, "--beta", "10", "--out", tmp_path / "third", "--quiet")
    assert result.exit_code == 0, result.output
    third = ruledsl.open_run(tmp_path / "third")
    assert third.config.settings.network.beta == 10.0
    assert third.config.runs == first.config.runs


def test_evaluate_report_and_diff_from_python(tmp_path: Path) -> None:
    one, two = trained(tmp_path / "one", seeds=2), trained(tmp_path / "two", rule="oja", seeds=2)
    found = ruledsl.evaluate(one, samples=20, classes=3, test_images=30, seeds=2, progress=False)
    assert found.curve.samples[-1] == 20
    assert found.chance == pytest.approx(1 / 3)
    assert ruledsl.report(one, two, out=tmp_path / "page.html").stat().st_size > 10_000
    assert "error_hebb" in str(ruledsl.diff(one, two))


def test_runs_with_a_number_that_is_none_are_the_same_run(tmp_path: Path) -> None:
    """Which is not equal to itself."""
    one = trained(tmp_path / "one", ruledsl.rule("rule wild = pseudo_gradient[fixed = 1e30]"))
    one.rerun(tmp_path / "two")
    two = ruledsl.open_run(tmp_path / "two")
    assert "nan" in (tmp_path / "one" / "metrics.csv").read_text(encoding="utf-8")
    assert one.difference(two) is None
    assert ruledsl.diff(one, two).same_numbers


def test_a_study_trains_every_cell_once_and_draws_them(tmp_path: Path) -> None:
    study = ruledsl.Study(["bio", "oja"], vary={"beta": [1.0, 10.0]}, out=tmp_path, **SMALL)
    rows = study.run(progress=False).table()
    assert len(rows) == 4
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("metrics.csv")}
    study.run(progress=False)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("metrics.csv")} == stamps
    assert all(p.exists() for p in study.plot("beta", tmp_path / "beta.png"))
    assert all(p.exists() for p in study.plot("beta", tmp_path / "angle.png", y="alpha_1", hue="beta"))
    with patch("ruledsl.studies.study.draw_panels") as drawn:
        study.plot("beta", tmp_path / "angle.png", y="alpha_1")
    ((_, _, (panel,)),) = (call.args for call in drawn.call_args_list)
    last = [row["run"].metrics.column(0, "alpha_1")[-1] for row in rows]
    assert [*panel.curves[0].mean, *panel.curves[1].mean] == pytest.approx(last), (
        "of few episodes the last one"
    )
    assert [c.label for c in panel.curves] == ["bio", "oja"]
    for wrong in ({"x": "sizes"}, {"x": "beta", "y": "alpha_9"}, {"x": "beta", "hue": "seed"}):
        with pytest.raises(ruledsl.SettingsError, match=r"no (setting|column) `"):
            study.plot(**{"path": tmp_path / "none.png", **wrong})


def test_a_study_tells_penalties_and_rules_of_one_file_apart(tmp_path: Path) -> None:
    file = tmp_path / "two.rule"
    file.write_text(
        "rule a = pseudo_gradient[init = 0.1]\nrule b = pseudo_gradient[init = 0.2]", encoding="utf-8"
    )
    rules = [f"{file}:a", f"{file}:b"]
    study = ruledsl.Study(
        rules, vary={"beta": [1.0]}, out=tmp_path / "out", l1=(0.0, 100.0), seeds=2, **SMALL
    )
    rows = study.run(progress=False).table()
    assert [(row["rule"], row["group"]) for row in rows] == [
        (rule, f"λ = {penalty}") for rule in rules for penalty in (0, 100)
    ]
    spread = {rule: {row["accuracy"].mean for row in rows if row["rule"] == rule} for rule in rules}
    assert all(len(means) == 2 for means in spread.values()), spread
    with patch("ruledsl.studies.study.draw_panels") as drawn:
        study.plot("beta", tmp_path / "beta.png")
    ((_, _, (panel,)),) = (call.args for call in drawn.call_args_list)
    assert [c.label for c in panel.curves] == [f"{r}, λ = {p}" for r in rules for p in (0, 100)]
    assert [c.mean[0] for c in panel.curves] == pytest.approx([row["accuracy"].mean for row in rows])
    assert study.cells[0].name == f"{rules[0]} beta=1.0"
    with pytest.raises(ValueError, match="share seeds"):
        rows[0]["run"].accuracy_by_seed([0, 2])


def test_nothing_is_made_for_what_cannot_be_trained(tmp_path: Path) -> None:
    for bad in ({"dataset": "nothing"}, {"labels": 60}, {"device": "gpu"}, {"feedback": "sideways"}):
        with pytest.raises(ruledsl.UserError):
            trained(tmp_path / "run", **bad)
    assert not (tmp_path / "run").exists()


def test_the_package_is_typed() -> None:
    assert (ROOT / "ruledsl" / "py.typed").exists()
