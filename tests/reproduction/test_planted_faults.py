"""Planted faults turn claims red; without them the same claims, at the same budget, agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruledsl.plugin import Pathway
from tests.claims import planted, toy_planner, verdicts


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


def test_healthy_theory_agrees(tmp_path: Path) -> None:
    """The control of the faults below: the same files, the same budget."""
    planner = toy_planner(tmp_path)
    assert verdicts(planner, "eq4", "gradient") == {"gradient": "agrees"}
    assert set(verdicts(planner, "eq13", "output", "below-3", "exact-3").values()) == {"agrees"}
    assert verdicts(planner, "fig7", "sign") == {"sign": "agrees"}


def test_b_redrawn_inside_an_episode_turns_claims_red(tmp_path: Path) -> None:
    with planted("fixed", redrawn):
        found = verdicts(toy_planner(tmp_path), "eq13", "output", "below-3", "exact-3")
    assert set(found.values()) == {"disagrees"}


def test_errors_taken_after_the_update_turn_a_claim_red(tmp_path: Path) -> None:
    with planted("symmetric", late):
        assert verdicts(toy_planner(tmp_path), "eq4", "gradient") == {"gradient": "disagrees"}


def test_a_flipped_sign_of_ehebb_turns_claims_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flipped(tmp_path, monkeypatch, 'term error_hebb "flipped" = e_post * e_pre^T\n')
    found = verdicts(toy_planner(tmp_path / "out"), "eq13", "output", "below-3", "exact-3")
    assert set(found.values()) == {"disagrees"}


def test_a_flipped_sign_of_oja_turns_a_claim_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flipped(tmp_path, monkeypatch, 'term oja_subspace "flipped" = y_post * y_pre^T - y_post * y_post^T * W\n')
    assert verdicts(toy_planner(tmp_path / "out"), "fig7", "sign") == {"sign": "disagrees"}


def flipped(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A user's term in the place of the shipped one."""
    (folder / "rules").mkdir()
    (folder / "rules" / "mine.rule").write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
