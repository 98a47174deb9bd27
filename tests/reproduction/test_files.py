"""Files of claims: they read well, or say where and why not;
what must fail is told before anything is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruledsl import RuleError
from ruledsl.reproduction import (
    MEASURES,
    Budget,
    LongStream,
    Planner,
    Training,
    locate_claims,
    profiles,
    read_claims,
    rehearse,
    shipped,
)
from tests import ROOT
from tests.commands import run

FILES = shipped() | profiles()


@pytest.mark.parametrize("name", FILES)
def test_every_shipped_file_reads_and_every_experiment_of_it_can_be_planned(
    name: str, tmp_path: Path
) -> None:
    file = read_claims(FILES[name])
    assert file.title
    assert file.text
    assert file.claims or file.alternatives
    planner = Planner(tmp_path, Budget(dataset="glyphs"))
    for experiment in file.experiments.values():
        if isinstance(experiment, Training) and not experiment.frozen_at:
            rule, config = planner.training_config(file, experiment)
            assert config.settings.recipe == experiment.settings.get("recipe", "paper")
            assert set(rule.names) <= set(config.terms)
        if isinstance(experiment, LongStream):
            assert experiment.theta or experiment.theta_of
    for claim in file.claims:
        assert claim.says
        assert claim.printed, claim.name
        assert "{}" not in f"{claim.name}{claim.says}{claim.measure}"


def test_files_share_the_runs_that_they_ask_alike(tmp_path: Path) -> None:
    planner = Planner(tmp_path, Budget(dataset="glyphs"))
    asked = [
        planner.place(file, name)
        for file in map(read_claims, FILES.values())
        for name, e in file.experiments.items()
        if isinstance(e, Training) and not e.frozen_at
    ]
    assert len(asked) > 45
    assert len(set(asked)) < 30


CLAIM = '[training.fixed]\nrule = "bio"\n[[claim]]\nname = "x"\nsays = "y"\n'
BAD = {
    "unknown key": (f'{CLAIM}namee = "z"\n', 6, "knows no `namee`", "did you mean `name`?"),
    "unknown experiment": (
        f'{CLAIM}of = "fxed"\nmeasure = "accuracy"\nat_least = 0\n',
        6, "there is no experiment `fxed`", "did you mean `fixed`?",
    ),
    "unknown measure": (
        f'{CLAIM}of = "fixed"\nmeasure = "acuracy"\nat_least = 0\n',
        7, "there is no measure `acuracy`", "did you mean `accuracy`?",
    ),
    "no test": (f'{CLAIM}of = "fixed"\nmeasure = "accuracy"\n', 3, "accepts every number", "at_least"),
    "a setting misspelt": (
        '[training.fa]\nrule = "bio"\nepisdes = 3\n', 3, "knows no `episdes`", "did you mean `episodes`?",
    ),
    "no rule": ("[training.fa]\nepisodes = 3\n", 1, "lacks `rule`", ""),
    "not TOML": ('title = "a"\n[training.fa\n', 2, "this is not TOML", ""),
    "wrong type": (
        '[training.fa]\nrule = "bio"\nl1 = "much"\n', 3, "`l1` of [training.fa] must be a number from 0", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_a_fault_in_a_file_is_told_with_its_line(fault: str, tmp_path: Path) -> None:
    text, line, message, help_ = BAD[fault]
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    result = run("reproduce", path, "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert f"mine.toml:{line}:" in result.output
    assert message in result.output
    assert help_ in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_names_of_claims_are_suggested() -> None:
    result = run("reproduce", "fig33")
    assert result.exit_code == 2
    assert "did you mean `fig3`?" in result.output
    with pytest.raises(RuleError, match="no such file of claims"):
        locate_claims("nowhere/mine.toml")


def test_the_example_of_the_documentation_is_a_file_that_can_be_run(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    file = read_claims(path)
    rehearse(Planner(tmp_path, Budget(2, dataset="glyphs")), [file])
    assert [c.name for c in file.claims] == ["accuracy", "better"]
    assert file.claims[1].if_not is not None
    assert file.claims[1].if_not.against == "fa"
    assert [m for m in MEASURES if f"`{m}" not in page] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('measure = "angle[9]"', "no column `alpha_9`"),
        ('measure = "theta[nope]"', "no column `theta[nope]`"),
        ('measure = "accuracy"\nepisodes = [600, 700]', "only 500 were run"),
        ('measure = "accuracy"\n[training.b]\nrule = "bio"\nfeedback = "fixd"', "did you mean `fixed`?"),
        (
            'measure = "accuracy"\n[stream.b]\nrule = "bio"\ntheta = {nope = 1}',
            "sets `nope`, which bio has not",
        ),
        (
            'measure = "accuracy"\n[training.b]\nrule = "oja"\nfrozen_at = "a"',
            "`oja_subspace` cannot be kept",
        ),
        ('measure = "accuracy"\n[training.b]\nrule = "bioo"', "did you mean `bio`?"),
    ],
)
def test_what_must_fail_is_told_before_anything_is_run(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[training.a]\nrule = "ehebb"\n[[claim]]\nname = "x"\nsays = "y"\nof = "a"\nat_least = 0\n'
        f"{change}\n",
        "utf-8",
    )
    result = run("reproduce", path, "--dataset", "glyphs", "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert not (tmp_path / "out").exists()
