"""Evidence that was altered after its run is refused by every command that reads it, first of all."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import ruledsl
from fuzz.folders import reseal
from ruledsl import Run, RunError
from ruledsl.evidence import write_sealed
from tests.commands import run, train

READERS = {
    "show": ("show", "{}"),
    "report": ("report", "{}"),
    "diff": ("diff", "{}", "bio"),
    "plot": ("plot", "{}"),
    "evaluate": ("evaluate", "{}", "--samples", "3", "--test-images", "47"),
    "select": ("select", "{}", "--seeds", "1", "--episodes", "2"),
    "diagnose": ("diagnose", "{}", "--episode", "0"),
    "watch": ("watch", "{}", "--every", "0.1"),
    "tensorboard": ("tensorboard", "{}"),
    "rerun": ("rerun", "{}", "--out", "{}-again"),
    "resume": ("resume", "{}"),
    "train": ("train", "{}", "--episodes", "1", "--out", "{}-more"),
    "train --config": ("train", "--config", "{}/config.toml", "--out", "{}-more"),
}
EDITS = {
    "metrics.csv": ("0.", "1."),
    "result.json": ('"meta_accuracy": 0', '"meta_accuracy": 1'),
    "config.toml": ("beta = 10.0", "beta = 11.0"),
    "rule.rule": ("e_post", "y_post"),
    "checkpoint.json": ('"diverged": 0', '"diverged": 1'),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    train(out, episodes=2)
    return out


@pytest.fixture
def folder(tmp_path: Path, trained: Path) -> Path:
    """A run folder of its own for each test."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.mark.parametrize("command", READERS)
def test_every_command_that_reads_a_run_names_the_file_that_was_changed(command: str, folder: Path) -> None:
    arguments = [part.format(folder) for part in READERS[command]]
    edit(folder / "result.json", *EDITS["result.json"])
    before = contents(folder)
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert f"{folder / 'result.json'} was changed since it was written" in result.output
    assert contents(folder) == before


@pytest.mark.parametrize("name", EDITS)
def test_whatever_file_was_changed_is_named(name: str, folder: Path) -> None:
    edit(folder / name, *EDITS[name])
    with pytest.raises(RunError, match=f"{name} was changed since"):
        ruledsl.open_run(folder)
    with pytest.raises(RunError, match=f"{name} was changed since"):
        _ = Run(folder).config


@pytest.mark.parametrize("command", ["report", "plot", "evaluate", "show", "diff"])
def test_accepting_what_was_changed_reads_it(command: str, folder: Path) -> None:
    pytest.importorskip("plotly")
    edit(folder / "metrics.csv", *EDITS["metrics.csv"])
    arguments = [part.format(folder) for part in READERS[command]]
    result = run(*arguments, "--accept-edited")
    assert result.exit_code == 0, result.output
    assert ruledsl.open_run(folder, accept_edited=True).metrics.runs
    assert run(*arguments).exit_code == 2, "accepted once is not accepted for ever"


def test_a_selection_that_was_changed_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    train(tmp_path / "run", "--seeds", 2, "--l1", "0,0.01", rule="bio", episodes=2)
    budget = ["--seeds", 1, "--episodes", 2, "--refit-episodes", 2]
    assert run("select", tmp_path / "run", *budget, "--quiet").exit_code == 0
    path = tmp_path / "run" / "selection" / "selection.json"
    document = json.loads(path.read_text())
    document["plan"]["tolerance"] = 0.5
    path.write_text(json.dumps(document))
    result = run("report", tmp_path / "run")
    assert result.exit_code == 2
    assert "selection.json was changed since it was written" in result.output


@pytest.mark.parametrize(
    ("made_from", "said"),
    [
        ({"config.toml": "0", "rule.rule": "0"}, "is of another config.toml and rule.rule"),
        (None, "is damaged"),
    ],
)
def test_the_result_of_another_training_is_refused_though_its_seal_is_whole(
    made_from: object, said: str, folder: Path
) -> None:
    """A whole file copied from elsewhere carries its own seal; what it was made from gives it away."""
    document = json.loads((folder / "result.json").read_text())
    del document["check"]
    write_sealed(folder / "result.json", {**document, "sha256": made_from})
    with pytest.raises(RunError, match=said):
        ruledsl.open_run(folder)


def test_a_training_at_work_can_be_read(folder: Path) -> None:
    """Rows below those that the checkpoint knows are news, not edits."""
    with (folder / "metrics.csv").open("a") as file:
        file.write((folder / "metrics.csv").read_text().splitlines()[-1] + "\n")
    assert ruledsl.open_run(folder).metrics.episodes == 3


def test_metrics_that_lack_a_run_are_refused_though_edits_are_accepted(tmp_path: Path) -> None:
    """`select` and `report` ask for every run of the configuration; found by `fuzz folders` 3402/1312."""
    train(tmp_path / "run", "--seeds", 2, episodes=2)
    path = tmp_path / "run" / "metrics.csv"
    kept = [line for line in path.read_text().splitlines() if not line.startswith("1,")]
    path.write_text("\n".join(kept) + "\n")
    for command in ("select", "report"):
        result = run(*(part.format(tmp_path / "run") for part in READERS[command]), "--accept-edited")
        assert result.exit_code == 2, result.output
        assert "does not hold every run that config.toml describes" in result.output


FORGED = {
    "no whole number": ("metrics.csv", lambda text: text.replace("\n0,0,", "\n0,inf,"), "cannot be read"),
    "part of an episode": (
        "metrics.csv", lambda text: text.replace("\n0,0,", "\n0,0.5,"), "of whole numbers",
    ),
    "a list for a number": (
        "checkpoint.json", lambda text: re.sub(r'"rate": [^,]+', '"rate": [1.0]', text), "stands in a state",
    ),
    "another length": (
        "checkpoint.json", lambda text: re.sub(r'"first": \[[^]]+', '"first": [1.0', text), "another length",
    ),
    "no finite number": (
        "checkpoint.json", lambda text: re.sub(r'"done": [^,]+', '"done": NaN', text), "stands in a state",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_state_that_no_trainer_wrote_is_refused_though_its_digests_fit(what: str, folder: Path) -> None:
    """A careful forger writes the digests anew; found by `fuzz folders` 3402."""
    name, edit, message = FORGED[what]
    path = folder / name
    text = path.read_text()
    path.write_text(edit(text))
    assert path.read_text() != text
    reseal(folder)
    result = run("resume", folder, "--episodes", 4)
    assert result.exit_code == 2, result.output
    assert message in result.output


def test_resume_refuses_metrics_below_other_columns_though_their_seal_fits(folder: Path) -> None:
    """A header flipped by one letter and sealed again: found by `fuzz folders` 2602/287 and 2602/3979."""
    edit(folder / "metrics.csv", "theta[", "thet\u00e1[")
    reseal(folder)
    before = contents(folder)
    result = run("resume", folder, "--episodes", 3)
    assert result.exit_code == 2, result.output
    assert "metrics.csv is not of the training that config.toml describes" in result.output
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("old", "new"), [("pseudo_gradient", "pseudo_gradienT"), ("terms = [", "terms = [] #")]
)
def test_terms_that_a_config_names_and_a_result_lacks_are_told(old: str, new: str, folder: Path) -> None:
    """Found by `fuzz folders` 2602/3545."""
    edit(folder / "config.toml", old, new)
    for command in ("select", "report", "show"):
        result = run(*(part.format(folder) for part in READERS[command]), "--accept-edited")
        assert not isinstance(result.exception, KeyError), command


def test_a_configuration_whose_runs_have_other_fields_is_told(folder: Path) -> None:
    """Found by `fuzz folders` 2602/2533: `train --config` took the runs as they stood."""
    for old, new in (("seed = 0", 'seed = "0"'), ("run = 0", "rum = 0")):
        edit(folder / "config.toml", old, new)
        result = run("train", "--config", folder / "config.toml", "--accept-edited", "--out", f"{folder}-2")
        assert result.exit_code == 2, result.output
        assert "config.toml is damaged: it needs" in result.output
