"""A search read from its documents, and the page that is made of them."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest

import ruledsl
from ruledsl import RunError
from ruledsl.discovery import ARCHIVE, DISCOVERY, Front, discover, read_archive, read_front, read_question
from ruledsl.evidence import write_sealed
from ruledsl.meta import MetaTrainer
from ruledsl.settings import RunSpec
from ruledsl.statistics import Interval
from ruledsl.tasks import open_dataset
from tests.commands import run
from tests.discovery.small import SMALL


def test_what_is_read_is_what_was_found(front: Front) -> None:
    found = read_front(front.out)
    assert found.table() == front.table()
    assert found.best.name == front.best.name
    assert [rule.source for rule in (r.rule for r in found.rules)] == [r.rule.source for r in front.rules]
    assert str(found.knock_outs) == str(front.knock_outs)
    assert len(read_archive(front.out)) <= len(front.archive)


@pytest.mark.parametrize("change", [(",", ";"), ("0.", "zero ")])
def test_an_archive_that_a_spreadsheet_wrote_otherwise_is_told(
    change: tuple[str, str], front: Front, tmp_path: Path
) -> None:
    text = (front.out / ARCHIVE).read_text(encoding="utf-8")
    (tmp_path / ARCHIVE).write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(RunError, match="needs the columns products, locality"):
        read_archive(tmp_path)


def test_rules_of_a_longer_front_do_not_stay_behind(front: Front, tmp_path: Path) -> None:
    shorter = dataclasses.replace(front, out=tmp_path, rules=front.rules[:1], chosen=front.rules[0].name)
    dataclasses.replace(front, out=tmp_path).write()
    shorter.write()
    assert {p.name for p in (tmp_path / "found").iterdir()} == {"rule-1.rule", "rule-1-factored.rule"}


def test_a_search_that_was_read_prefers_what_its_document_says(front: Front, tmp_path: Path) -> None:
    """However rules are preferred today: its knock-outs are that rule's."""
    out = Path(shutil.copytree(front.out, tmp_path / "out"))
    document = json.loads((out / DISCOVERY).read_text())
    del document["check"]
    (other, *_) = (rule.name for rule in front.rules if rule.name != front.best.name)
    write_sealed(out / DISCOVERY, {**document, "best": other})
    assert read_front(out).best.name == other


def test_a_knock_out_is_the_rule_without_a_term_on_the_tests_classes(front: Front) -> None:
    best = front.best
    (first, *_) = best.terms
    trained = ruledsl.open_run(front.out / "refits-2")
    source = open_dataset("glyphs@test", Path())
    seeds = [spec.seed for spec in trained.config.runs if spec.run < SMALL.refit_seeds]

    def accuracy(gone: str) -> dict[int, float]:
        theta = tuple(0.0 if n == gone else best.means[n] for n in best.terms)
        runs = [RunSpec(n, seed, 0.0, best.terms, theta) for n, seed in enumerate(seeds)]
        rule = ruledsl.compile_rule(best.rule)
        trainer = MetaTrainer(rule, trained.config.settings, runs, source)
        judged = trainer.judge_fresh(SMALL.judged_tasks)
        return {seed: judged[n].accuracy for n, seed in enumerate(seeds)}

    expected = Interval.minus(accuracy(first), accuracy(""), paired=True)
    assert front.knock_outs[first].mean == pytest.approx(expected.mean, abs=1e-6)


def test_terms_are_knocked_out_on_the_classes_of_the_test(front: Front, tmp_path: Path) -> None:
    out = Path(shutil.copytree(front.out, tmp_path / "out"))
    with patch("ruledsl.discovery.discover.knock_outs", return_value={}) as asked:
        discover(read_question(out), out)
    *_, source = asked.call_args.args
    assert set(source.labels.tolist()) == set(open_dataset("glyphs@test", Path()).labels.tolist())


def test_a_search_has_a_page_of_its_own(front: Front, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    result = run("report", front.out, "--out", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    for rule in front.rules:
        assert rule.text.replace("&", "&amp;") in text
        assert rule.mean("test").text(".3f") in text
    assert "<math" in text
    assert "Of the rules that people wrote" in text
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', text, re.DOTALL)
    assert found
    charts = json.loads(found.group(1))
    assert [c["id"] for c in charts] == ["front", "race"]
    assert front.rules[0].text in charts[0]["data"][0]["text"][0], "what one points at says its formula"


def test_two_rules_with_as_many_terms_are_two_points(front: Front) -> None:
    twin = dataclasses.replace(front.rules[-1], name="rule-9")
    panel = dataclasses.replace(front, rules=(*front.rules, twin)).panel()
    assert len(set(panel.names)) == len(panel.names) == len(front.rules) + 1 + len(front.baselines)


def test_a_search_is_reported_beside_searches_alone(front: Front) -> None:
    result = run("report", front.out, front.out / "start")
    assert result.exit_code == 2
    assert "a search, which stands alone or beside other searches" in result.output


def test_a_search_that_has_not_ended_says_how_to_go_on(front: Front, tmp_path: Path) -> None:
    out = Path(shutil.copytree(front.out, tmp_path / "out"))
    (out / DISCOVERY).unlink()
    result = run("report", out)
    assert result.exit_code == 2
    assert "`discover --resume` goes on" in result.output


def test_documents_that_were_edited_or_damaged_are_refused(front: Front, tmp_path: Path) -> None:
    out = Path(shutil.copytree(front.out, tmp_path / "out"))
    document = json.loads((out / DISCOVERY).read_text())
    document["rules"][0]["accuracy"]["test"]["0"] = 1.0
    (out / DISCOVERY).write_text(json.dumps(document))
    with pytest.raises(RunError, match="was changed since"):
        read_front(out)
    del document["rules"][0]["theta"]
    write_sealed(out / DISCOVERY, {k: v for k, v in document.items() if k != "check"})
    with pytest.raises(RunError, match="is damaged"):
        read_front(out)
