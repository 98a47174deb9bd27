"""What terms of a search move beside W: feedback weights, biases."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

import ruledsl
from ruledsl import Locality, SettingsError
from ruledsl.algebra import direction
from ruledsl.discovery import discover, library_of, read_question
from ruledsl.enumeration import Alphabet
from ruledsl.runs import Run
from tests.commands import run
from tests.discovery.small import ALPHABET, QUESTIONED, SMALL

START = ruledsl.load("feedback_alignment")


def test_a_library_has_terms_for_every_target_and_those_of_kolen_and_pollack_among_them() -> None:
    plain = library_of(START, Alphabet(), Locality.axon, 3)
    both = library_of(START, Alphabet(), Locality.axon, 3, ("B", "bias"))
    assert both.names[: len(plain.names)] == plain.names
    assert len(set(both.names)) == len(both.names)
    moved = [item.term.target for item in both.definition.terms]
    assert [target for target, _ in itertools.groupby(moved)] == ["W", "B", "bias"]
    known = {direction(p.form) for p in both.pieces if p.term.target == "B"}
    written = ruledsl.load("kolen_pollack")
    theirs = [p for p in written.pieces if p.term.target == "B"]
    assert len(theirs) == 2
    assert all(direction(piece.form) in known for piece in theirs)


def test_quantities_that_other_terms_may_not_read_are_left_out() -> None:
    assert Alphabet(("y_post", "e_pre", "W")).toward("B").quantities == ("y_post", "e_pre", "B")
    assert "W" not in Alphabet().toward("B").read


def test_a_search_finds_rules_that_move_feedback_weights_and_says_so(tmp_path: Path) -> None:
    question = dataclasses.replace(
        QUESTIONED,
        alphabet=dataclasses.replace(ALPHABET, quantities=("y_post", "y_pre")),
        search=dataclasses.replace(SMALL, rounds=1, proposers=("enumeration", "pairs")),
        also=("B",),
    )
    front = discover(question, tmp_path)
    moving = [rule for rule in front.archive if any(t.term.target == "B" for t in rule.rule.definition.terms)]
    assert moving
    assert all(" for B" in rule.text for rule in moving)
    assert read_question(tmp_path) == question
    for rule in front.rules:
        assert ruledsl.load(tmp_path / "found" / f"{rule.name}.rule").names == rule.terms


def test_a_search_with_a_pathway_that_has_coefficients_starts_them_where_they_belong(tmp_path: Path) -> None:
    few = dataclasses.replace(SMALL, rounds=1, beam=1, kept=2, proposers=("enumeration",), exchanges=0)
    settings = {**QUESTIONED.settings, "feedback": "mixture"}
    front = discover(dataclasses.replace(QUESTIONED, search=few, settings=settings), tmp_path)
    assert front.knock_outs
    heat = Run(tmp_path / "round-1-heat-1").config
    started = dict(zip(heat.terms, heat.runs[0].initial, strict=True))
    assert started["direct_1"] == 0.5


@pytest.mark.parametrize("also", [("W",), ("V",), ("B", "B")])
def test_what_nothing_may_also_move_is_refused(also: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="nothing that terms may also move; there are B, bias"):
        dataclasses.replace(QUESTIONED, also=also)


def test_a_mistyped_target_is_told(tmp_path: Path) -> None:
    refused = run("discover", "--also", "b", "--out", str(tmp_path / "found"))
    assert refused.exit_code == 2
    assert "`b` is nothing that terms may also move" in refused.output
    assert not (tmp_path / "found").exists()


def test_a_pathway_that_reads_no_feedback_weights_is_tried_with_rules_that_move_none(tmp_path: Path) -> None:
    few = dataclasses.replace(SMALL, rounds=1, proposers=("pathways",), other_feedback=("direct",))
    front = discover(dataclasses.replace(QUESTIONED, search=few, also=("B",)), tmp_path)
    assert any(dict(rule.ways) == {"feedback": "direct"} for rule in front.archive)


def test_an_alphabet_of_which_nothing_is_left_is_refused() -> None:
    with pytest.raises(SettingsError, match="terms for W may read none of noise_pre"):
        Alphabet(("noise_pre",), target="B").toward("W")
