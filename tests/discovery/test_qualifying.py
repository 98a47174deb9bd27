"""Heats: who starts where too many are proposed, and how many are trained at once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from ruledsl import RunError
from ruledsl.discovery import discover, read_question
from ruledsl.runs import Run
from tests.discovery.small import QUESTIONED, SMALL, Stop, stop_at


def until(stage: str, folder: Path, settings: Mapping[str, Any] | None = None, **search: Any) -> None:
    """A search's folder, stopped in a stage."""
    settings = {**QUESTIONED.settings, **(settings or {})}
    narrow = dataclasses.replace(SMALL, beam=1, **search)
    question = dataclasses.replace(QUESTIONED, search=narrow, settings=settings)
    with pytest.raises(Stop):
        discover(question, folder, listen=stop_at(stage))


def test_where_too_many_are_proposed_a_short_heat_says_who_starts(tmp_path: Path) -> None:
    until("round-1-heat-2", tmp_path, starters=3, qualifying=2, proposers=("enumeration", "pairs"))
    everybody, starters = (Run(tmp_path / f"round-1-heat-{n}") for n in (0, 1))
    ideas = json.loads((tmp_path / "round-1-ideas.json").read_text())["ideas"]
    runs = everybody.config.runs
    assert len(runs) == len(ideas) > 3, "one seed each"
    scored = {r.terms: -fmean(everybody.metrics.column(r.run, "meta_loss")[1:]) for r in runs}
    assert len(set(scored.values())) > 3
    chosen = {r.terms for r in starters.config.runs}
    assert len(chosen) == 3
    assert min(scored[terms] for terms in chosen) >= max(s for t, s in scored.items() if t not in chosen)
    assert not {r.seed for r in runs} & {r.seed for r in starters.config.runs}, "luck does not last"


def test_where_few_are_proposed_all_of_them_start(tmp_path: Path) -> None:
    until("round-1-heat-2", tmp_path, proposers=("enumeration",))
    assert not (tmp_path / "round-1-heat-0").exists()


def test_however_many_rules_there_are_some_are_trained_at_a_time(tmp_path: Path) -> None:
    learned: list[dict[Any, Any]] = []
    for streams in (128, 2):
        folder = tmp_path / str(streams)
        until("round-1-heat-2", folder, proposers=("enumeration",), together=streams)
        heat = [Run(f) for f in sorted(folder.glob("round-1-heat-1*"))]
        assert max(len(run.config.runs) for run in heat) <= streams
        found: dict[Any, Any] = {}
        for run in heat:
            said = {r["run"]: r["theta"] for r in run.result["runs"]}
            found |= {(r.terms, r.seed): said[r.run] for r in run.config.runs}
        learned.append(found)
    one, parts = learned
    assert one.keys() == parts.keys()
    for key, theta in one.items():
        own = {name: value for name, value in theta.items() if name in key[0]}
        assert own == pytest.approx({name: parts[key][name] for name in own}, rel=1e-4, abs=1e-8)


def test_a_batch_counts_streams_not_runs(tmp_path: Path) -> None:
    until("round-1-heat-2", tmp_path, {"meta_batch": 2}, proposers=("enumeration",), together=4)
    assert max(len(Run(f).config.runs) for f in tmp_path.glob("round-1-heat-1*")) == 2


def test_a_search_that_earlier_code_began_is_refused_as_such(tmp_path: Path) -> None:
    until("start", tmp_path)
    text = (tmp_path / "search.toml").read_text()
    older = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("starters ="))
    assert older != text
    (tmp_path / "search.toml").write_text(older)
    question = read_question(tmp_path)
    with pytest.raises(RunError, match="begun by earlier code"):
        discover(question, tmp_path)
