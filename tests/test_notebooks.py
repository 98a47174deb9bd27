"""The notebooks run, cell by cell, at toy size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

from tests import ROOT

NOTEBOOKS = ROOT / "docs" / "notebooks"
TOY: dict[str, dict[str, Any]] = {
    "paper": {
        "EPISODES": 2,
        "SEEDS": 2,
        "SETTINGS": {
            "sizes": "784-12-8-8-8-47", "labels": 3, "shots": 4, "queries": 3, "threads": 1,
            "progress": False, "backend": "eager",
        },
    },
    "discover": {
        "SIZE": 3,
        "BUDGET": 1.0,
        "SEARCH": {
            "rounds": 1, "beam": 1, "kept": 2, "tries": 2, "heats": 2, "start_episodes": 2,
            "refit_episodes": 2, "refit_seeds": 2, "judged_tasks": 1, "search_seeds": 1,
        },
        "SETTINGS": {
            "sizes": "49-12-47", "labels": 3, "shots": 4, "queries": 3, "threads": 1, "backend": "eager",
        },
    },
}  # fmt: skip


def cells(name: str) -> list[dict[str, Any]]:
    return json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("name", TOY)
def test_a_notebook_runs_from_above_to_below(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    names: dict[str, Any] = {}
    replaced = 0
    for cell in (c for c in cells(name) if c["cell_type"] == "code"):
        exec("".join(cell["source"]), names)
        if "parameters" in cell["metadata"].get("tags", ()):
            assert set(TOY[name]) <= set(names), "what is made small is there to be"
            names |= TOY[name]
            replaced += 1
    assert replaced == 1


def test_every_notebook_is_run_and_kept_with_what_it_printed() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(TOY)
    for name in TOY:
        code = [c for c in cells(name) if c["cell_type"] == "code"]
        assert all(c["execution_count"] for c in code), name
        faults = [o for c in code for o in c["outputs"] if o["output_type"] == "error"]
        assert faults == []
