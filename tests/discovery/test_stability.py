"""What repeated searches agree on: parts of ΔW, whatever terms they stand in; and the page of it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

import ruledsl
from ruledsl.discovery import Front, Judged, parts_of, recurring, recurring_pairs
from ruledsl.statistics import Interval
from tests.commands import run

TOGETHER = """
term both = (e_post - 0.5 * y_post) * y_pre^T
rule together = both[init = 0.2]
"""
APART = """
term first = -e_post * y_pre^T
term second = y_post * y_pre^T
term third_one = W
rule apart = first[init = -0.4] + second[init = 0.3] + third_one[init = -0.01, layers = 1]
"""


def judged(text: str) -> Judged:
    rule = ruledsl.rule(text)
    theta = {t.name: Interval(t.initial) for t in rule.definition.terms}
    scores = {part: dict.fromkeys(range(3), 0.5) for part in ("choice", "test")}
    return Judged(name=rule.name, rule=rule, theta=theta, accuracy=scores, loss=scores)


def front_of(*texts: str) -> Front:
    return Front(Path("nowhere"), "glyphs", tuple(map(judged, texts)), (), 0.2)


def test_a_rule_multiplied_out_does_not_say_how_it_was_written() -> None:
    together, apart = ({p.text: v for p, v in parts_of(judged(t)).items()} for t in (TOGETHER, APART))
    assert together == pytest.approx({"e_post[j]·y_pre[i]": 0.2, "y_post[j]·y_pre[i]": -0.1})
    assert apart == pytest.approx(
        {"e_post[j]·y_pre[i]": 0.4, "y_post[j]·y_pre[i]": 0.3, "W[j,i] in layer 1": -0.01}
    )


def test_what_moves_other_weights_is_another_part() -> None:
    both = "term here = -e_post * y_pre^T\nterm back for B = y_pre * e_post^T\n"
    found = {
        p.text: v for p, v in parts_of(judged(both + "rule r = here[init=0.2] + back[init=0.1]")).items()
    }
    assert found == pytest.approx({"e_post[j]·y_pre[i]": -0.2, "e_post[j]·y_pre[i] for B": 0.1})


def test_what_recurs_is_counted_by_preferred_rules_and_by_fronts() -> None:
    fronts = [front_of(TOGETHER), front_of(TOGETHER, APART), front_of(APART)]
    found = {r.part.text: r for r in recurring(fronts)}
    error, own, decay = (
        found[text] for text in ("e_post[j]·y_pre[i]", "y_post[j]·y_pre[i]", "W[j,i] in layer 1")
    )
    assert (error.preferred, error.fronts, error.sign) == (3, 3, "+")
    assert (own.preferred, own.fronts, own.sign) == (3, 3, "±")
    assert (decay.preferred, decay.fronts, decay.sign) == (1, 2, "-"), "the smaller rule is preferred"
    assert decay.coefficients == (None, None, -0.01)
    assert recurring_pairs(fronts) == [("e_post[j]·y_pre[i]", "y_post[j]·y_pre[i]", 3)]


def test_a_part_of_no_preferred_rule_has_no_sign() -> None:
    (_, _, decay) = recurring([front_of(TOGETHER, APART)])
    assert (decay.preferred, decay.fronts, decay.sign) == (0, 1, "")


def test_several_searches_are_one_page(front: Front, tmp_path: Path) -> None:
    again = Path(shutil.copytree(front.out, tmp_path / "again"))
    result = run("report", front.out, again, "--out", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "What 2 searches agree on" in text
    assert text.count(f"<td>{front.best.name}<br>") == 2
    assert "<math" in text
    parts = recurring([front, dataclasses.replace(front)])
    assert text.count('<th scope="row"><math') == len(parts)
