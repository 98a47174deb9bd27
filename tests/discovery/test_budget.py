"""How long a search may take, and on which classes."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ruledsl.discovery import QUESTION, discover, read_question
from ruledsl.runs import Run
from ruledsl.selection import Stage
from ruledsl.settings import EpisodeRecord
from ruledsl.tasks import ImageSource, open_dataset
from tests.discovery.small import QUESTIONED, SMALL, Stop, stop_at


def test_growth_that_ended_for_want_of_time_stays_ended(tmp_path: Path) -> None:
    """Or a search with a budget, gone on with without one, would refit another front."""
    out = tmp_path / "out"
    found = discover(QUESTIONED, out, seconds=1e-9)
    assert discover(read_question(out), out).table() == found.table()
    assert not list(out.glob("round-*"))
    with pytest.raises(Stop):
        discover(QUESTIONED, tmp_path / "other", seconds=1e-9, listen=stop_at("refits-0"))
    assert discover(QUESTIONED, tmp_path / "other").table() == found.table()
    assert not list((tmp_path / "other").glob("round-*"))


@pytest.mark.parametrize(("minutes", "rounds"), [(40.1, 1), (50.1, 2)])
def test_no_round_begins_that_would_leave_too_little_for_what_comes_after(
    minutes: float, rounds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a round takes ten minutes, and all that comes after growth half an hour."""
    clock = time.monotonic
    passed = [clock()]
    monkeypatch.setattr("ruledsl.discovery.search.time.monotonic", lambda: passed[0])

    def pass_time(stage: Stage, records: Sequence[EpisodeRecord]) -> None:
        if re.fullmatch(r"round-\d-heat-1", stage.name) and records[0].episode == 0:
            passed[0] += 600.0

    few = replace(SMALL, rounds=0, beam=1, kept=1, proposers=("enumeration",), exchanges=0)
    discover(replace(QUESTIONED, search=few), tmp_path, seconds=60 * minutes, listen=pass_time)
    assert len(list(tmp_path.glob("round-*-ideas.json"))) == rounds
    # Gone on with, it knows how long a round takes: twenty minutes more are not enough for another.
    passed[0] = clock()
    discover(replace(QUESTIONED, search=few), tmp_path, seconds=60 * 20, listen=pass_time)
    assert len(list(tmp_path.glob("round-*-ideas.json"))) == rounds


def test_another_split_searches_chooses_and_tests_on_other_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = list[str]()
    module = importlib.import_module("ruledsl.discovery.discover")

    def noted(name: str, root: Path) -> ImageSource:
        opened.append(name)
        return open_dataset(name, root)

    monkeypatch.setattr(module, "open_dataset", noted)
    asked = replace(QUESTIONED, search=replace(SMALL, split=1))
    with pytest.raises(Stop):
        discover(asked, tmp_path, listen=stop_at("start"))
    assert opened == ["glyphs@choice:1", "glyphs@test:1"]
    assert Run(tmp_path / "start").config.dataset == "glyphs@search:1"
    assert read_question(tmp_path) == asked


def test_a_search_that_was_begun_before_classes_could_be_split_otherwise_goes_on(tmp_path: Path) -> None:
    QUESTIONED.keep(tmp_path)
    assert "split" not in (tmp_path / QUESTION).read_text(encoding="utf-8")
    assert read_question(tmp_path) == QUESTIONED
