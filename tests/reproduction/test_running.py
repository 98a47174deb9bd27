"""Experiments that are run: judged, drawn, resumed, shared between processes."""

from __future__ import annotations

import json
from math import isnan
from pathlib import Path

import pytest

from ruledsl.progress import Standing
from ruledsl.reproduction import (
    Measure,
    Planner,
    measured,
    read_claims,
    reproduce,
    run_experiments,
)
from tests.claims import Heard, done, shipped_file, toy_planner, trained
from tests.commands import run

CLAIM_OF = '[[claim]]\nname = "x"\nsays = "y"\nof = "OF"\nmeasure = "accuracy"\nat_least = 0\n'


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Planner:
    return toy_planner(tmp_path_factory.mktemp("healthy"))


def test_a_file_is_run_judged_drawn_and_written(healthy: Planner, tmp_path: Path) -> None:
    file = shipped_file("fig7")
    done(healthy, file, *file.experiments)
    found = reproduce(healthy, file, tmp_path)
    assert {p.suffix for p in found.figures} == {".png", ".pdf"}
    late = []
    for name in ("oja", "fa"):
        result = healthy.trained(file, name)
        # Episodes 100 … 500 of the paper, at a tenth: 10 … 50 of the sixty that were run.
        late.append([sum(result.metrics.column(r, "meta_accuracy")[10:50]) / 40 for r in range(3)])
    by_hand = [a - b for a, b in zip(*late, strict=True)]
    above = next(j for j in found.judged if j.claim.name == "above-fa")
    assert above.by_seed == pytest.approx(by_hand)


class Stopping(Heard):
    """Presses Ctrl-C after some episodes."""

    def __call__(self, standing: Standing) -> None:
        super().__call__(standing)
        if standing.episodes == 12:
            raise KeyboardInterrupt


def test_reproductions_that_were_interrupted_go_on_where_they_were(healthy: Planner, tmp_path: Path) -> None:
    file = shipped_file("fig7")
    with pytest.raises(KeyboardInterrupt):
        done(toy_planner(tmp_path), file, "oja", heard=Stopping())
    whole, resumed = trained(healthy, file, "oja"), trained(toy_planner(tmp_path), file, "oja")
    assert resumed.run.folder != whole.run.folder
    assert (resumed.run.folder / "metrics.csv").read_bytes() == (
        whole.run.folder / "metrics.csv"
    ).read_bytes()


def test_long_streams_use_what_trainings_learned(healthy: Planner) -> None:
    file = shipped_file("fig1")
    done(healthy, file, "bio")
    stream = healthy.result(file, "bio")
    learned = healthy.trained(file, "meta_bio").final_theta()
    assert dict(getattr(stream, "theta")) == pytest.approx(learned)  # noqa: B009
    scores = measured(stream, Measure("angle_at", "8000"), None, healthy.budget.share)
    assert len(scores) == 3
    # The toy’s Θ is large: whether 8 000 samples survive it hangs on the last bits of a machine.
    survived = [angle for angle in scores.values() if not isnan(angle)]
    assert survived
    assert all(0 < angle < 180 for angle in survived)


def test_a_frozen_training_keeps_the_rule_of_another(healthy: Planner) -> None:
    text = '[training.a]\nrule = "pseudo_gradient"\n[training.b]\nrule = "pseudo_gradient"\nfrozen_at = "a"\n'
    text += CLAIM_OF.replace("OF", "b")
    path = healthy.out / "frozen.toml"
    path.write_text(text, encoding="utf-8")
    file = read_claims(path)
    learned, frozen = (trained(healthy, file, name) for name in "ab")
    kept = {v for run in frozen.metrics.runs for v in frozen.metrics.column(run, "theta[pseudo_gradient]")}
    assert kept == {learned.final_theta()["pseudo_gradient"]}


def test_the_command_prints_every_verdict_and_writes_the_document(tmp_path: Path) -> None:
    result = run("reproduce", "eq4", "--quick", "--executor", "here", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "agrees" in result.output
    assert "1 claim: 1 agree, 0 disagree, 0 open" in result.output
    text = (tmp_path / "eq4.md").read_text(encoding="utf-8")
    assert (
        "| F⁰ through Wᵀ is minus ∂𝓛/∂W, in every layer (digits in which they agree) | equal | ≥ 12 |" in text
    )
    (row,) = json.loads((tmp_path / "eq4.json").read_text(encoding="utf-8"))
    assert row["verdict"] == "agrees"
    assert len(row["by_seed"]) == 3


def test_a_file_that_cannot_be_run_does_not_cost_the_others(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[theory.g]\nkind = "gradient"\nactivation = "tanh"\n[[claim]]\nname = "x"\nsays = "y"\nof = "g"\n'
        'measure = "gradient_digits"\nat_least = 1\n',
        encoding="utf-8",
    )
    result = run("reproduce", path, "eq4", "--quick", "--executor", "here", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "error: mine: theory `gradient` is about networks with activation = 'softplus'" in result.output
    assert "agrees" in result.output
    assert (tmp_path / "out" / "eq4.md").exists()


def test_claims_that_disagree_fail_a_strict_run_and_say_why(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[theory.g]\nkind = "gradient"\nsamples = 2\n[[claim]]\nname = "wrong"\nsays = "it is far '
        'off"\nprinted = "1"\n'
        'of = "g"\nmeasure = "gradient_digits"\nat_most = 1\n'
        'if_not = {reason = "it is exact", of = "g"}\n',
        encoding="utf-8",
    )
    arguments = ("reproduce", path, "--executor", "here", "--seeds", 2, "--out", tmp_path / "out")
    assert run(*arguments).exit_code == 0
    result = run(*arguments, "--strict")
    assert result.exit_code == 1
    assert "suspected, but not shown: it is exact" in result.output
    assert "**disagrees**" in (tmp_path / "out" / "mine.md").read_text(encoding="utf-8")


def test_experiments_side_by_side_give_the_numbers_of_one_after_another(
    healthy: Planner, tmp_path: Path
) -> None:
    """In processes of their own; and their folders are found finished afterwards."""
    path = tmp_path / "two.toml"
    text = '[training.fa]\nrule = "feedback_alignment"\n[training.oja]\nrule = "oja"\n'
    path.write_text(text + CLAIM_OF.replace("OF", "fa"), encoding="utf-8")
    file, heard, planner = read_claims(path), Heard(), toy_planner(tmp_path)
    failures = run_experiments(planner, [file], "processes:2", heard)
    assert heard.last == (120, 120)
    assert not failures
    assert not heard.failures
    assert planner.is_done(file, "fa")
    fig7 = shipped_file("fig7")
    for name in ("fa", "oja"):
        alone, beside = trained(healthy, fig7, name).run, planner.trained(file, name).run
        assert (alone.folder / "metrics.csv").read_bytes() == (beside.folder / "metrics.csv").read_bytes()


def test_one_process_tells_of_every_episode(tmp_path: Path) -> None:
    class Each(Heard):
        def __init__(self) -> None:
            super().__init__()
            self.seen: set[int] = set()

        def __call__(self, standing: Standing) -> None:
            self.seen.add(standing.episodes)

    each = Each()
    done(toy_planner(tmp_path), shipped_file("fig7"), "fa", heard=each)
    assert {1, 2, 30, 60} <= each.seen
