"""A whole search at toy size: it goes on where it was, and never judges on what it saw."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import ruledsl
from ruledsl import Locality, RunError, SettingsError, compile_rule
from ruledsl.algebra import Independent
from ruledsl.compiler import normal_form
from ruledsl.discovery import (
    ARCHIVE,
    QUESTION,
    Candidate,
    Family,
    Front,
    Question,
    Requirement,
    best_of_kinds,
    discover,
    library_of,
    read_question,
)
from ruledsl.enumeration import Alphabet
from ruledsl.language import print_expression
from ruledsl.meta import MetaTrainer
from ruledsl.runs import Metrics, Run, read_metrics
from ruledsl.settings import OPTIONS
from ruledsl.tasks import open_dataset
from tests.commands import run
from tests.discovery.screening import slopes
from tests.discovery.small import QUESTIONED, SMALL, Stop, stop_at


def files(folder: Path) -> dict[str, bytes]:
    texts = (
        p for p in folder.rglob("*") if p.suffix in (".csv", ".rule", ".toml") or p.name == "discovery.json"
    )
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(texts)}


def test_a_front_holds_rules_beside_those_of_people_on_classes_never_searched(front: Front) -> None:
    assert [b.name for b in front.baselines] == ["backprop", "feedback alignment", "bio"]
    assert front.rules[0].terms == ("pseudo_gradient",)
    assert all(set(r.accuracy) == {"choice", "test"} for r in (*front.rules, *front.baselines))
    seeds = {tuple(r.accuracy["test"]) for r in (*front.rules, *front.baselines)}
    assert len(seeds) == 1, "every rule is judged on the same networks and tasks"
    assert all(r.locality <= Locality.axon for r in front.rules)


def test_a_rule_of_the_front_is_a_file_that_says_what_it_scored_and_can_be_trained(front: Front) -> None:
    rule = front.rules[-1]
    found = ruledsl.load(front.out / "found" / f"{rule.name}.rule")
    assert found.names == rule.terms
    expected = [rule.theta[name].mean for name in rule.terms]
    assert list(found.program.initial) == pytest.approx(expected, rel=1e-5)
    text = front.source(rule)
    assert f"accuracy on classes never searched\n# {rule.mean('test').text('.3f')}" in text


def test_the_table_is_the_front(front: Front) -> None:
    rows = list(csv.DictReader((front.out / "front.csv").read_text().splitlines()))
    assert [r["rule"] for r in rows] == [r.name for r in (*front.rules, *front.baselines)]
    assert float(rows[0]["test_accuracy"]) == pytest.approx(front.rules[0].mean("test").mean)
    backprop = next(r for r in rows if r["rule"] == "backprop")
    assert float(backprop["above_backprop"]) == 0.0
    assert (front.out / "front.png").stat().st_size > 1000


def test_the_archive_holds_the_best_of_each_kind_that_raced(front: Front) -> None:
    entries = front.archive
    assert len({e.terms for e in entries}) == len(entries) > 3
    best = best_of_kinds(entries)
    assert len({e.kind for e in best}) == len(best) > 1
    for entry in entries:
        (leader,) = (e for e in best if e.kind == entry.kind)
        assert leader.fit.mean >= entry.fit.mean
        assert ("e_pre" in entry.reads) == ("e_pre" in named_in(entry))
    with (front.out / ARCHIVE).open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["products"], r["locality"], r["reads"]) for r in rows] == [
        (str(len(e.products)), str(e.locality), e.reads) for e in best
    ]


def test_as_many_as_are_kept_go_on_to_the_second_heat(front: Front) -> None:
    def contenders(stage: str) -> int:
        folders = [folder for folder in front.out.glob(f"{stage}*") if folder.is_dir()]
        return sum(len({spec.terms for spec in Run(folder).config.runs}) for folder in folders)

    for number in (1, 2):
        assert contenders(f"round-{number}-heat-2") == SMALL.kept < contenders(f"round-{number}-heat-1")


def test_of_two_rules_of_a_kind_the_better_one_is_kept(front: Front) -> None:
    (first, *_) = front.archive
    fit = first.fit
    scored = [replace(fit, scores=(score,)) for score in (0.1, 0.3, 0.2)]
    entries = [replace(first, fit=one) for one in scored]
    assert [e.fit.mean for e in best_of_kinds(entries)] == [0.3]


def named_in(entry: Candidate) -> set[str]:
    """What the written terms name."""
    terms = entry.rule.definition.terms
    return {word for t in terms for word in re.findall(r"\w+", print_expression(t.term.expression))}


def test_a_family_is_all_rules_that_meet_what_is_required(front: Front) -> None:
    angles = sorted(e.values["alpha_1"] for e in front.archive)
    middle = angles[len(angles) // 2]
    assert angles[0] < middle
    asked = [Requirement.read(f"alpha_1 < {middle!r}"), Requirement.read("terms < 3")]
    family = Family.of(front.archive, asked)
    own = [e for e in front.archive if e.values["alpha_1"] < middle and len(e.terms) < 3]
    assert {e.terms for e in family.members} == {e.terms for e in own}
    assert family.terms["pseudo_gradient"] == sum("pseudo_gradient" in e.terms for e in own)
    (run_folder,) = front.out.glob("round-1-heat-2")
    recorded = Run(run_folder).metrics
    known = {e.terms: e.values["alpha_1"] for e in front.archive if e.round == 1}
    spec = Run(run_folder).config.runs[0]
    own_rows = [n.run for n in Run(run_folder).config.runs if n.terms == spec.terms]
    late = [v for n in own_rows for v in recorded.column(n, "alpha_1")[recorded.episodes // 2 :]]
    assert known[spec.terms] == pytest.approx(sum(late) / len(late))


def test_requirements_are_asked_of_a_search_that_is_done(front: Front) -> None:
    asked = ("--require", "accuracy >= 0", "--require", "terms < 3")
    result = run("discover", "--resume", front.out, "--quiet", *asked)
    assert result.exit_code == 0, result.output
    assert "rules of the race meet what is required" in result.output
    assert "terms, by how many have them: pseudo_gradient" in result.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accuracy", "a requirement is a measure, a sign and a number"),
        ("accuracy > much", "a requirement is a measure, a sign and a number"),
        ("acuracy > 0.7", "there is no measure `acuracy`; did you mean `accuracy`?"),
    ],
)
def test_a_requirement_that_means_nothing_is_refused(text: str, message: str, front: Front) -> None:
    result = run("discover", "--resume", front.out, "--quiet", "--require", text)
    assert result.exit_code == 2
    assert message in result.output


def test_no_class_is_searched_on_and_judged_by(front: Front) -> None:
    searched = ruledsl.open_run(front.out / "start").source()
    whole = {part: open_dataset(f"glyphs@{part}", Path()) for part in ("search", "choice", "test")}
    classes = {part: set(source.labels.tolist()) for part, source in whole.items()}
    assert set(searched.labels.tolist()) == classes["search"]
    assert not classes["search"] & (classes["choice"] | classes["test"])
    assert not classes["choice"] & classes["test"]
    assert set.union(*classes.values()) == set(range(47))


@pytest.mark.parametrize("part", ["choice", "test"])
def test_what_is_told_of_a_part_was_measured_on_that_part(part: str, front: Front) -> None:
    trained = ruledsl.open_run(front.out / "refits-2")
    learned = {r["run"]: tuple(r["theta"].values()) for r in trained.result["runs"]}
    runs = [replace(spec, initial=learned[spec.run]) for spec in trained.config.runs]
    source = open_dataset(f"glyphs@{part}", Path())
    trainer = MetaTrainer(compile_rule(trained.rule), trained.config.settings, runs, source)
    found = list(trainer.judge_fresh(SMALL.judged_tasks).values())
    assert [f.accuracy for f in found] == [a for rule in front.rules for a in rule.accuracy[part].values()]
    assert [f.loss for f in found] == [a for rule in front.rules for a in rule.loss[part].values()]


def test_what_people_wrote_is_trained_for_as_long_as_what_was_found(front: Front) -> None:
    behind = {stage.name: ruledsl.open_run(stage).metrics.episodes for stage in front.out.glob("*-*") if
              stage.is_dir()}  # fmt: skip
    grown = sum(count for name, count in behind.items() if re.fullmatch(r"round-\d-heat-\d", name))
    start, refits = (ruledsl.open_run(front.out / name).metrics.episodes for name in ("start", "refits-2"))
    for name in ("backprop", "feedback-alignment", "bio"):
        ends = behind["exchange-2-1-heat-0"] + behind["pruning-2-1"] + refits
        assert behind[f"baseline-{name}-2"] == start + grown + ends


def test_a_finished_search_is_only_read(front: Front) -> None:
    before, told = files(front.out), []
    again = discover(read_question(front.out), front.out, listen=lambda stage, records: told.append(stage))
    assert told == []
    assert files(front.out) == before
    assert again.table() == front.table()


@pytest.mark.parametrize("stage", ["round-2-heat-1", "exchange-2-1", "refits-2"])
def test_a_search_that_was_stopped_ends_as_if_it_had_not_been(
    stage: str, front: Front, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Stop):
        discover(QUESTIONED, out, listen=stop_at(stage))
    discover(read_question(out), out)
    assert files(out) == files(front.out)


def test_another_seed_sees_other_tasks(front: Front, tmp_path: Path) -> None:
    other = replace(QUESTIONED, search=replace(SMALL, seed=1, rounds=1, exchanges=0))
    found = discover(other, tmp_path / "out")
    assert not set(found.rules[0].accuracy["test"]) & set(front.rules[0].accuracy["test"])


def test_a_folder_holds_one_search(front: Front) -> None:
    other = replace(QUESTIONED, size=1)
    with pytest.raises(RunError, match="a search with other options"):
        discover(other, front.out)


def test_no_round_begins_after_its_share_of_the_budget(tmp_path: Path) -> None:
    found = discover(QUESTIONED, tmp_path / "out", seconds=1e-9)
    assert [r.terms for r in found.rules] == [("pseudo_gradient",)]


def test_results_that_were_edited_are_refused(front: Front, tmp_path: Path) -> None:
    out = Path(shutil.copytree(front.out, tmp_path / "out"))
    document = json.loads((out / "refits-2.json").read_text())
    document["fresh"]["test"]["accuracy"]["0"] = 1.0
    (out / "refits-2.json").write_text(json.dumps(document))
    with pytest.raises(RunError, match=r"refits-2\.json was changed since"):
        discover(QUESTIONED, out)


def test_a_question_is_kept_as_text(tmp_path: Path) -> None:
    QUESTIONED.keep(tmp_path)
    assert read_question(tmp_path) == QUESTIONED


@pytest.mark.parametrize(
    ("old", "new"),
    [('allow = "axon"', 'allow = "axn"'), ("rounds = 2", "rounds = -2"), ("shots = 4", 'shots = "x"'),
     ("[settings]", "[settings]\nepisodes = 3"), ("size = 3", "size = 3000"), ('"y_post",', '"y_past",'),
     ("traces = []", "traces = 3"), ("[search]", "[search]\nhops = 3"), ("sizes", "dataset = 3\nsizes")],
)  # fmt: skip
def test_a_question_that_was_damaged_is_named(old: str, new: str, tmp_path: Path) -> None:
    QUESTIONED.keep(tmp_path)
    text = (tmp_path / QUESTION).read_text()
    assert old in text
    (tmp_path / QUESTION).write_text(text.replace(old, new, 1))
    result = run("discover", "--resume", tmp_path)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--from", "nothing"], "nothing"),
        (["--dataset", "glyphs@search"], "a search splits it itself"),
        (["--dataset", "glyfs"], "did you mean `glyphs`?"),
        (["--budget", "soon"], "`soon` is no time such as 90s, 30m or 8h"),
        (["--labels", "30"], "--labels"),
        (["--labels", "15"], "12 classes"),
        (["--allow", "synapse", "--from", "bio"], "oja_subspace"),
        (["--resume", "nowhere", "--rounds", "8"], "--rounds cannot be changed"),
        (["--finalists", "1"], "--finalists"),
        (["--rounds", "-1"], "--rounds needs a whole number from 0"),
        (["--proposers", "enumeration,mutaton"], "did you mean `mutation`?"),
        (["--other-feedback", "sideways"], "there is no feedback `sideways`"),
        (["--resume", "nowhere"], "nowhere is not the folder of a search"),
        (["--quantities", "q"], "`q` is no quantity"),
        (["--require", "acuracy > 0.7"], "did you mean `accuracy`?"),
        (["--require", "alpha_9 < 60"], "there is no measure `alpha_9`"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_a_folder_is_made(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = [] if "--resume" in options else ["--size", "1"]
    result = run("discover", *options, *small)
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_library_can_be_undone_step_by_step_and_holds_the_start() -> None:
    start = ruledsl.load("bio")
    library = library_of(start, Alphabet(), Locality.axon, 5)
    assert library.names[: len(start.names)] == start.names
    assert not normal_form(list(enumerate(library.forms))).dense
    independent = Independent()
    assert all(independent.add(form) for form in library.forms)
    assert len(library.names) == 48


def test_the_gradient_of_an_absent_term_is_that_of_a_term_held_at_zero() -> None:
    """What the screen is made of, against a difference of losses."""
    exact, measured = slopes()
    assert exact == pytest.approx(measured, rel=1e-4, abs=1e-7)


def test_settings_that_a_search_decides_itself_are_no_settings_of_it() -> None:
    with pytest.raises(SettingsError, match="episodes"):
        Question(settings={"episodes": 3})


def test_a_search_whose_start_was_edited_on_the_way_is_not_gone_on_with(tmp_path: Path) -> None:
    """Its Θ would stand beside a formula that nobody trained."""
    start = tmp_path / "mine.rule"
    start.write_text("term own = -e_post * e_pre^T [init = 0.01]\nrule mine = own", encoding="utf-8")
    asked = replace(QUESTIONED, start=str(start))
    with pytest.raises(Stop):
        discover(asked, tmp_path / "out", listen=stop_at("round-1-heat-1"))
    start.write_text("term own = -e_post * 1_pre^T [init = 0.01]\nrule mine = own", encoding="utf-8")
    with pytest.raises(RunError, match="training of another rule"):
        discover(asked, tmp_path / "out")


def test_a_question_about_networks_with_convolutions_is_read_again(tmp_path: Path) -> None:
    asked = Question(settings={"sizes": OPTIONS["sizes"].parse("784-8x5/2-47")})
    asked.keep(tmp_path)
    assert read_question(tmp_path) == asked


def test_a_start_that_moves_more_than_w_takes_nothing_from_the_library() -> None:
    start = ruledsl.rule(
        "term threshold for bias = -e_post\nterm back for B = y_pre * y_post^T\n"
        "rule start = pseudo_gradient + threshold + back"
    )
    library = library_of(start, Alphabet(), Locality.axon, 3)
    texts = {print_expression(t.term.expression) for t in library.definition.terms}
    assert {"e_post * 1_pre^T", "y_post * y_pre^T"} <= texts


def test_a_term_that_does_nothing_is_left_out_of_the_rule_that_is_preferred(tmp_path: Path) -> None:
    idle = tmp_path / "idle.rule"
    idle.write_text(
        "term f = -e_post * y_pre^T [init = 0.02]\n"
        "term idle = y_post * y_pre^T [fixed = 0.0]\n"
        "rule r = f + idle\n"
    )
    few = replace(SMALL, rounds=1, beam=1, kept=1, proposers=("merging",))
    front = discover(replace(QUESTIONED, start=str(idle), search=few), tmp_path / "found")
    assert front.rules[0].terms == ("f", "idle")
    left_out = {rule.why: rule for rule in front.rules if rule.why.startswith("leaves out")}
    assert set(left_out) >= {"leaves out -e_post * y_pre^T", "leaves out y_post * y_pre^T"}
    lean = left_out["leaves out y_post * y_pre^T"]
    assert lean.terms == ("f",)
    assert lean.accuracy == front.rules[0].accuracy, "the same networks, tasks and episodes, and the same Θ"
    assert front.best.terms in {("f",), ("idle",)}
    assert [rule.name for rule in front.rules] == [f"rule-{n}" for n in range(1, len(front.rules) + 1)]
    sizes = [rule.complexity for rule in front.rules[1:]]
    assert sizes == sorted(sizes)


def test_a_heat_is_read_once_however_many_rules_it_holds(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read for each of its rules, hundreds of megabytes of metrics took minutes of every round."""
    folder = shutil.copytree(front.out, tmp_path / "found")
    read: list[str] = []

    def counted(path: Path) -> Metrics:
        read.append(path.name)
        return read_metrics(path)

    monkeypatch.setattr("ruledsl.runs.run.read_metrics", counted)
    discover(QUESTIONED, folder)
    assert read.count("round-1-heat-1") == 1
    assert read.count("round-2-heat-2") == 1
