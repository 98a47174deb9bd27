"""The paper's claims: files that read well or say why not, verdicts from intervals, planted faults that turn red."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ruledsl.cli import main
from ruledsl.errors import RunError
from ruledsl.ir import RuleError
from ruledsl.network import compiled, programs_for
from ruledsl.plugin import Pathway
from ruledsl.registry import Registered, declarations, find, loading
from ruledsl.reproduction import (
    MEASURES,
    Budget,
    Interval,
    Job,
    LongStream,
    Measure,
    Theory,
    Training,
    TrainingResult,
    Workshop,
    episodes_of,
    judge,
    locate_claims,
    measured,
    profiles,
    read_claims,
    rehearse,
    reproduce,
    run_ahead,
    settling_episode,
    shipped,
    verdict_of,
)
from ruledsl.settings import EpisodeRecord
from tests import ROOT

FILES = shipped() | profiles()
TOY = {
    "sizes": (100, 16, 12, 47), "labels": 3, "shots": 8, "queries": 6, "episodes": 60, "threads": 1,
    "learning_rate": 3e-3,
}  # fmt: skip


def silent(_job: Job, _records: Sequence[EpisodeRecord]) -> None:
    """Shows nothing."""


def toy_workshop(out: Path, listen: Callable[[Job, Sequence[EpisodeRecord]], None] = silent) -> Workshop:
    return Workshop(out, Budget(3, 0.1, dataset="glyphs", overrides=TOY), listen)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def verdicts(workshop: Workshop, file: str, *names: str) -> dict[str, str]:
    """Some claims of a shipped file, at toy size: theory with a tenth of its samples."""
    found = read_claims(locate_claims(file))
    shorter = {
        n: replace(e, samples=min(e.samples, 2000))
        for n, e in found.experiments.items()
        if isinstance(e, Theory)
    }
    found = replace(found, experiments={**found.experiments, **shorter})
    return {c.name: judge(workshop, found, c).verdict for c in found.claims if c.name in names}


# Files of claims


@pytest.mark.parametrize("name", FILES)
def test_every_shipped_file_reads_and_every_experiment_of_it_can_be_planned(
    name: str, tmp_path: Path
) -> None:
    file = read_claims(FILES[name])
    assert file.title
    assert file.text
    assert file.claims or file.alternatives
    workshop = Workshop(tmp_path, Budget(dataset="glyphs"), silent)
    for experiment in file.experiments.values():
        if isinstance(experiment, Training) and not experiment.frozen_at:
            rule, config = workshop.training_plan(file, experiment)
            assert config.settings.recipe == experiment.settings.get("recipe", "paper")
            assert set(rule.names) <= set(config.terms)
        if isinstance(experiment, LongStream):
            assert experiment.theta or experiment.theta_of
    for claim in file.claims:
        assert claim.says
        assert claim.printed, claim.name
        assert "{}" not in f"{claim.name}{claim.says}{claim.measure}"


def test_files_share_the_runs_that_they_ask_alike(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, Budget(dataset="glyphs"), silent)
    asked = [
        workshop.unfinished(file, name)[0]
        for file in map(read_claims, FILES.values())
        for name, e in file.experiments.items()
        if isinstance(e, Training) and not e.frozen_at
    ]
    assert len(asked) > 45
    assert len(set(asked)) < 30


CLAIM = '[training.fixed]\nrule = "bio"\n[[claim]]\nname = "x"\nsays = "y"\n'
CLAIM_OF = '[[claim]]\nname = "x"\nsays = "y"\nof = "OF"\nmeasure = "accuracy"\nat_least = 0\n'
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
        '[training.fa]\nrule = "bio"\nl1 = "much"\n', 3, "`l1` of [training.fa] must be a finite number", "",
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
    rehearse(Workshop(tmp_path, Budget(2, dataset="glyphs"), silent), [file])
    assert [c.name for c in file.claims] == ["accuracy", "better"]
    assert file.claims[1].if_not is not None
    assert file.claims[1].if_not.against == "fa"
    kinds = {**MEASURES["Training"], **MEASURES["LongStream"], **MEASURES["Theory"]}
    assert [m for m in kinds if f"`{m}" not in page] == []


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
        f'[training.a]\nrule = "ehebb"\n[[claim]]\nname = "x"\nsays = "y"\nof = "a"\nat_least = 0\n{change}\n',
        "utf-8",
    )
    result = run("reproduce", path, "--dataset", "glyphs", "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert not (tmp_path / "out").exists()


# Verdicts and measures


@pytest.mark.parametrize(
    ("mean", "half", "verdict"),
    [
        (0.25, 0.02, "agrees"),
        (0.29, 0.02, "open"),
        (0.40, 0.02, "disagrees"),
        (0.10, 0.30, "open"),
        (0.25, math.nan, "open"),
    ],
)
def test_a_claim_agrees_when_the_whole_interval_is_accepted(mean: float, half: float, verdict: str) -> None:
    assert verdict_of(Interval(mean, half, (mean,)), 0.2, 0.3) == verdict


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_seed_that_is_not_finite_leaves_a_claim_open(value: float) -> None:
    assert verdict_of(Interval.of([0.25, 0.26, value]), 0.2, 0.3) == "open"


def test_a_claim_about_a_sign_is_open_where_nothing_happened() -> None:
    assert verdict_of(Interval.of([0.0, 0.0, 0.0]), -math.inf, 0.0) == "open"
    assert verdict_of(Interval.of([0.3, 0.3, 0.3]), 0.0, math.inf) == "agrees"


def test_a_coefficient_settles_where_it_stays_near_its_last_value() -> None:
    climb = [min(1.0, n / 50) for n in range(300)]
    assert 35 <= settling_episode(climb) <= 45
    assert settling_episode([(-1.0) ** (n // 50) for n in range(300)]) == 300
    assert math.isnan(settling_episode([(-1.0) ** (n // 7) for n in range(150)], share=0.3))
    assert settling_episode([2.0] * 50) == 0


def test_windows_shrink_with_the_budget_and_never_lie_past_the_end() -> None:
    assert episodes_of((100, 500), 500, 1.0) == (100, 500)
    assert episodes_of((100, 500), 150, 0.3) == (30, 150)
    with pytest.raises(RunError, match="only 60 were run"):
        episodes_of((300, 350), 60, 1.0)
    assert episodes_of(None, 7, 1.0) == (0, 7)


# Running


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return toy_workshop(tmp_path_factory.mktemp("healthy"))


def test_a_file_is_run_judged_drawn_and_written(healthy: Workshop, tmp_path: Path) -> None:
    file = read_claims(locate_claims("fig7"))
    found = reproduce(healthy, file, tmp_path)
    assert {p.suffix for p in found.figures} == {".png", ".pdf"}
    late = []
    for name in ("oja", "fa"):
        result = healthy.result(file, name)
        assert isinstance(result, TrainingResult)
        # Episodes 100 … 500 of the paper, at a tenth: 10 … 50 of the sixty that were run.
        late.append([sum(result.metrics.column(r, "meta_accuracy")[10:50]) / 40 for r in range(3)])
    by_hand = [a - b for a, b in zip(*late, strict=True)]
    above = next(j for j in found.judged if j.claim.name == "above-fa")
    assert above.ours.by_seed == pytest.approx(by_hand)


def test_reproductions_that_were_interrupted_go_on_where_they_were(healthy: Workshop, tmp_path: Path) -> None:
    file = read_claims(locate_claims("fig7"))

    def stop(_job: Job, records: Sequence[EpisodeRecord]) -> None:
        if records and records[0].episode == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy_workshop(tmp_path, stop).result(file, "oja")
    whole, resumed = healthy.result(file, "oja"), toy_workshop(tmp_path).result(file, "oja")
    assert isinstance(whole, TrainingResult)
    assert isinstance(resumed, TrainingResult)
    assert (resumed.folder / "metrics.csv").read_bytes() == (whole.folder / "metrics.csv").read_bytes()


def test_long_streams_use_what_trainings_learned(healthy: Workshop) -> None:
    file = read_claims(locate_claims("fig1"))
    trained = healthy.result(file, "meta_bio")
    assert isinstance(trained, TrainingResult)
    stream = healthy.result(file, "bio")
    assert dict(getattr(stream, "theta")) == pytest.approx(trained.final_theta())  # noqa: B009
    scores = measured(stream, Measure("angle_at", "8000"), None, healthy.budget.share)
    assert len(scores) == 3
    assert all(0 < angle < 180 for angle in scores.values())


def test_a_frozen_training_keeps_the_rule_of_another(healthy: Workshop) -> None:
    text = '[training.a]\nrule = "pseudo_gradient"\n[training.b]\nrule = "pseudo_gradient"\nfrozen_at = "a"\n'
    text += CLAIM_OF.replace("OF", "b")
    path = healthy.out / "frozen.toml"
    path.write_text(text, encoding="utf-8")
    file = read_claims(path)
    learned, frozen = (healthy.result(file, name) for name in "ab")
    assert isinstance(learned, TrainingResult)
    assert isinstance(frozen, TrainingResult)
    kept = {v for run in frozen.metrics.runs for v in frozen.metrics.column(run, "theta[pseudo_gradient]")}
    assert kept == {learned.final_theta()["pseudo_gradient"]}


def test_the_command_prints_every_verdict_and_writes_the_document(tmp_path: Path) -> None:
    result = run("reproduce", "eq4", "--quick", "--jobs", 1, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "agrees" in result.output
    assert "1 claims: 1 agree, 0 disagree, 0 open" in result.output
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
    result = run("reproduce", path, "eq4", "--quick", "--jobs", 1, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "error: mine: theory `gradient` is about networks with activation = 'softplus'" in result.output
    assert "agrees" in result.output
    assert (tmp_path / "out" / "eq4.md").exists()


def test_claims_that_disagree_fail_a_strict_run_and_say_why(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[theory.g]\nkind = "gradient"\nsamples = 2\n[[claim]]\nname = "wrong"\nsays = "it is far off"\nprinted = "1"\n'
        'of = "g"\nmeasure = "gradient_digits"\nat_most = 1\n'
        'if_not = {reason = "it is exact", of = "g"}\n',
        encoding="utf-8",
    )
    arguments = ("reproduce", path, "--jobs", 1, "--seeds", 2, "--out", tmp_path / "out")
    assert run(*arguments).exit_code == 0
    result = run(*arguments, "--strict")
    assert result.exit_code == 1
    assert "suspected, but not shown: it is exact" in result.output
    assert "**disagrees**" in (tmp_path / "out" / "mine.md").read_text(encoding="utf-8")


class Heard:
    """What a run of many experiments told."""

    def __init__(self) -> None:
        self.last = (0, 0)
        self.failures: list[str] = []

    def __call__(self, done: int, total: int) -> None:
        self.last = (done, total)

    def failed(self, name: str, message: str) -> None:
        self.failures.append(f"{name}: {message}")


def test_experiments_side_by_side_give_the_numbers_of_one_after_another(
    healthy: Workshop, tmp_path: Path
) -> None:
    """In processes of their own; and their folders are found finished afterwards."""
    path = tmp_path / "two.toml"
    text = '[training.fa]\nrule = "feedback_alignment"\n[training.oja]\nrule = "oja"\n' + CLAIM_OF.replace(
        "OF", "fa"
    )
    path.write_text(text, encoding="utf-8")
    file, heard, workshop = read_claims(path), Heard(), toy_workshop(tmp_path)
    run_ahead(workshop, [file], 2, heard)
    assert heard.last == (120, 120)
    assert not heard.failures
    assert not workshop.unfinished(file, "fa")[1]
    fig7 = read_claims(locate_claims("fig7"))
    for name in ("fa", "oja"):
        alone, beside = healthy.result(fig7, name), workshop.result(file, name)
        assert isinstance(alone, TrainingResult)
        assert isinstance(beside, TrainingResult)
        assert (alone.folder / "metrics.csv").read_bytes() == (beside.folder / "metrics.csv").read_bytes()


# Planted faults


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Callable[[Pathway], None]], None]]:
    """Put a faulty pathway in the place of a shipped one."""

    def put(name: str, pathway: Callable[[Pathway], None]) -> None:
        find("feedback", name)
        key = ("feedback", name, *declarations.search_key())
        monkeypatch.setitem(loading._found, key, Registered("feedback", name, pathway))
        forget()

    def forget() -> None:
        for cache in (programs_for, compiled.kernel_source, compiled._kernel):
            cache.cache_clear()

    yield put
    forget()


def redrawn(net: Pathway) -> None:
    """B drawn anew, signs and all, for every sample."""
    for n in net.hidden:
        heard = net.random(n + 1, "fault") * net.error(n + 1)
        net.carry(n, net.random(n, "fault") * (net.back(n) @ heard))


def late(net: Pathway) -> None:
    """Errors taken after the update W − e yᵀ of the layer above."""
    for n in net.hidden:
        e, y = net.error(n + 1), net.activity.y[n]
        net.carry(n, net.weights(n).T @ e - y * e.dot(e))


def test_healthy_theory_agrees(healthy: Workshop) -> None:
    """The control of the three faults below: the same files, the same budget."""
    assert verdicts(healthy, "eq4", "gradient") == {"gradient": "agrees"}
    assert set(verdicts(healthy, "eq13", "output", "below-3", "exact-3").values()) == {"agrees"}
    assert verdicts(healthy, "fig7", "sign") == {"sign": "agrees"}


def test_b_redrawn_inside_an_episode_turns_claims_red(
    plant: Callable[[str, Callable[[Pathway], None]], None], tmp_path: Path
) -> None:
    plant("fixed", redrawn)
    found = verdicts(toy_workshop(tmp_path), "eq13", "output", "below-3", "exact-3")
    assert set(found.values()) == {"disagrees"}


def test_errors_taken_after_the_update_turn_a_claim_red(
    plant: Callable[[str, Callable[[Pathway], None]], None], tmp_path: Path
) -> None:
    plant("symmetric", late)
    assert verdicts(toy_workshop(tmp_path), "eq4", "gradient") == {"gradient": "disagrees"}


def test_a_flipped_sign_of_ehebb_turns_claims_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flipped(tmp_path, monkeypatch, 'term error_hebb "flipped" = e_post * e_pre^T\n')
    found = verdicts(toy_workshop(tmp_path / "out"), "eq13", "output", "below-3", "exact-3")
    assert set(found.values()) == {"disagrees"}


def test_a_flipped_sign_of_oja_turns_a_claim_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flipped(tmp_path, monkeypatch, 'term oja_subspace "flipped" = y_post * y_pre^T - y_post * y_post^T * W\n')
    assert verdicts(toy_workshop(tmp_path / "out"), "fig7", "sign") == {"sign": "disagrees"}


def flipped(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A user's term in the place of the shipped one."""
    (folder / "rules").mkdir()
    (folder / "rules" / "mine.rule").write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
