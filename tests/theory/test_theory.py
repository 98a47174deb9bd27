"""What is derived of a rule is what is measured, and what theory is known says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch

import ruledsl
from ruledsl.algebra import index_text
from ruledsl.theory import (
    LOSS,
    MOMENTS,
    POST,
    PRE,
    SIGMA_Y,
    Analysed,
    Function,
    Rest,
    TermTheory,
    degrees,
    directions,
    expected_drift,
    invariants,
    numbers,
    pairings,
    rest_of,
)
from tests.commands import SMALL, run

SHIPPED = (
    "pool", "bcm", "covariance", "competition", "oja_single", "soft_bound", "kolen_pollack",
    "rules/discovered/balanced.rule", "rules/discovered/balanced_three.rule",
)  # fmt: skip


def piece(rule: str, term: str) -> tuple[ruledsl.Rule, int]:
    found = ruledsl.load(rule)
    return found, found.names.index(term)


def drift(rule: str, term: str, input_mean: bool = False) -> str:
    found, number = piece(rule, term)
    return index_text(expected_drift(found.pieces[number].form, input_mean))


def theory(rule: str, term: str) -> TermTheory:
    return next(t for t in ruledsl.explain(rule).terms if t.name == term)


def test_equation_13_falls_out_of_ehebb_with_its_size() -> None:
    """E[ΔW] = −σ² Bᵀ: paper, Eq. 13."""
    assert drift("ehebb", "error_hebb") == "-sigma_e^2·B[i,j]"


@pytest.mark.parametrize(
    ("rule", "term", "formula"),
    [
        ("pool", "pseudo_gradient", "0"),
        ("pool", "oja_subspace", "sigma_y^2·(Σ_p,k W[j,p]·W[k,i]·W[k,p]) - sigma_y^2·W[j,i]"),
        ("oja_single", "oja_single", "-sigma_y^2·(Σ_p W[j,p]^2)·W[j,i] + sigma_y^2·W[j,i]"),
        ("pool", "aligned_error", "-sigma_e^2·sigma_y^2·(Σ_p,k B[i,k]·W[j,p]·W[k,p])"),
        ("pool", "weight_decay", "-W[j,i]"),
    ],
)
def test_averages_that_can_be_done_by_hand(rule: str, term: str, formula: str) -> None:
    assert drift(rule, term) == formula


def test_an_input_with_a_mean_adds_its_moments() -> None:
    """E[y_i y_p] = σ² δ + μ²: the Hebbian part of Oja's rule then also reads the sum of a cell's weights."""
    text = drift("rules/discovered/balanced.rule", "outgoing_sum", input_mean=True)
    assert text == "mu_y·(Σ_p W[j,p])·(Σ_k W[k,i])"
    assert drift("rules/discovered/balanced.rule", "outgoing_sum") == "0"


def test_there_are_as_many_pairings_as_wick_says() -> None:
    cells = [sp.Symbol(f"i{n}") for n in range(6)]
    assert [len(list(pairings(cells[:n], False))) for n in range(7)] == [1, 0, 1, 0, 3, 0, 15]
    assert len(list(pairings(cells[:4], True))) == 10, "all ways to pair some of four"


@pytest.mark.parametrize("rule", SHIPPED)
def test_every_formula_is_what_is_measured(rule: str) -> None:
    """More than twenty terms, each in five networks, with and without a mean of the input."""
    for input_mean in (False, True):
        found = ruledsl.explain(rule, input_mean=input_mean)
        assert found.disagreements == []
        assert any(t.check is not None for t in found.terms)


def test_a_wrong_derivation_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pairing forgotten: Oja's average loses its cubic part."""

    def forgetful(cells: list[sp.Symbol], with_singles: bool) -> list[Any]:
        return list(pairings(cells, with_singles))[:1]

    monkeypatch.setattr("ruledsl.theory.expectation.pairings", forgetful)
    assert ruledsl.explain("bcm", input_mean=True).disagreements == ["bcm_term"]
    result = run("explain", "bcm", "--mean")
    assert result.exit_code == 1
    assert "DISAGREES" in result.output


def test_the_signs_that_the_paper_found_come_out() -> None:
    """θ_2 < 0 and θ_9 < 0 in its convention, and θ_0 > 0."""
    wanted = {
        "pseudo_gradient": {LOSS: 1},
        "error_hebb": {"turns W towards Bᵀ": -1},
        "oja_subspace": {"makes the rows of W more orthonormal": -1},
    }
    for term, signs in wanted.items():
        found, number = piece("pool", term)
        assert {d.what: d.sign for d in directions(found.pieces[number].form) if d.sign} == signs


@pytest.mark.parametrize("rule", ["pool", "soft_bound", "bcm", "rules/discovered/balanced.rule"])
def test_a_term_grows_by_the_powers_that_are_told(rule: str) -> None:
    found = ruledsl.load(rule)
    F = ruledsl.compile_rule(found)
    torch.manual_seed(0)
    named = {q: torch.randn(POST if q.endswith("post") else PRE, dtype=torch.float64) for q in F.reads}
    named["W"] = torch.randn(POST, PRE, dtype=torch.float64)
    for number, p in enumerate(found.pieces):
        theta = torch.eye(len(found.names), dtype=torch.float64)[number]
        for letter, power in degrees(p.form.entry).items():
            twice = {q: 2 * v if q.partition("_")[0] == letter else v for q, v in named.items()}
            before, after = F.update(theta, **named), F.update(theta, **twice)
            ratio = (after / before)[before.abs() > 1e-9]
            if power is None:
                assert float(ratio.std()) > 1e-6
            else:
                assert torch.allclose(ratio, torch.full_like(ratio, 2.0**power))


def rest(rule: str, term: str, theta: float, seed: int = 0) -> Rest:
    found, number = piece(rule, term)
    drifts = {number: expected_drift(found.pieces[number].form)}
    return rest_of(found.program, drifts, {number: theta}, seed=seed)


@pytest.mark.parametrize("seed", range(5))
def test_ojas_subspace_rule_rests_where_theory_says(seed: int) -> None:
    """W Wᵀ = 1 on the Stiefel manifold, whose dimension is n m − m(m+1)/2; off it errors shrink at 2 σ_y²."""
    found = rest("pool", "oja_subspace", -1.0, seed)
    assert found.end == "rests"
    assert found.relations == ("W Wᵀ = 1",)
    assert found.neutral == POST * PRE - POST * (POST + 1) // 2
    rate = -2.0 * MOMENTS[SIGMA_Y] ** 2
    assert np.allclose([found.fastest, found.slowest], rate, rtol=1e-3)
    assert np.isclose(found.largest_step, 1.0 / MOMENTS[SIGMA_Y] ** 2, rtol=1e-3)
    assert found.farthest < 5.0


@pytest.mark.parametrize("seed", range(5))
def test_ojas_rule_of_one_neuron_rests_on_rows_of_length_one(seed: int) -> None:
    found = rest("oja_single", "oja_single", 1.0, seed)
    assert found.relations == ("every row of W has length 1",)
    assert found.neutral == POST * PRE - POST


@pytest.mark.parametrize("seed", range(5))
def test_terms_that_do_not_rest_say_how_they_end(seed: int) -> None:
    assert str(rest("pool", "weight_decay", 1.0, seed)) == "W vanishes"
    assert str(rest("pool", "error_hebb", -1.0, seed)) == "W grows without bound, at 0° from Bᵀ"
    assert rest("pool", "error_hebb", 1.0, seed).alignment > 179.0


@pytest.mark.parametrize(("theta", "lives"), [(0.05, True), (0.4, False)])
def test_single_samples_allow_a_tenth_of_the_averaged_step(theta: float, lives: bool) -> None:
    """Oja's subspace rule in plain numpy: docs/theory.md says up to 0.11, and 1.23 on average."""
    subject, size = Analysed(ruledsl.load("oja"), {}), 0.0
    for seed in range(5):
        W, random = subject.draw(seed, 1)["W"], np.random.default_rng(seed)
        for _ in range(1_000):
            y = MOMENTS[SIGMA_Y] * random.standard_normal(PRE)
            z = W @ y
            W = W + theta * np.outer(z, y - W.T @ z)
            if not (np.abs(W) < 1e3).all():
                break
        size = max(size, float(np.nan_to_num(np.abs(W), nan=np.inf).max()))
    assert (size < 1e3) is lives


def test_what_cannot_be_derived_is_said() -> None:
    told = {t.name: t.reason for t in ruledsl.explain("three_factor").terms if t.drift is None}
    assert told["surprise_gradient"] == "nothing is assumed of `third`"
    assert "trace" in told["lasting_activity"]
    assert "is no product of quantities" in theory("shrunk", "shrunk_gradient").reason
    assert "it moves B" in theory("weight_mirror", "mirror").reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(e_post.^9) * y_pre^T", "`e_post[j]^9` is a power above 8"),
        ("(y_post.^5) * (y_pre.^5)^T", "more than 8 factors of one vector"),
        ("-y_post * y_post^T * W * W^T * W * e_pre * e_pre^T", "sums over more than five populations"),
        ("(y_post^T * y_post)^0.5 * W", "`sqrt((Σ_k y_post[k]^2))` is no product of quantities"),
    ],
)
def test_what_is_too_large_to_derive_is_said(text: str, reason: str) -> None:
    rule = ruledsl.rule(f"term t = {text}\nrule r = t")
    assert reason in ruledsl.explain(rule).terms[0].reason


def test_a_term_that_nothing_random_enters_agrees_exactly() -> None:
    assert ruledsl.explain(ruledsl.rule("term t = W * W^T * W * W^T * W\nrule r = t")).disagreements == []


def test_a_run_is_compared_with_what_was_derived(tmp_path: object) -> None:
    ruledsl.train("bio", out=tmp_path, progress=False, **{**SMALL, "seeds": 2})  # type: ignore[arg-type]
    result = run("explain", tmp_path)
    assert result.exit_code == 0, result.output
    assert result.output.count("learned: θ = ") == 3


def test_what_fades_by_a_power_of_itself_vanishes_and_does_not_rest() -> None:
    """dW/dt = −W³ never reaches zero, and its eigenvalues there say nothing."""
    rule = ruledsl.rule("term cubed = -W .* W .* W\nrule r = cubed")
    (found,) = ruledsl.explain(rule).terms
    assert found.sign == 1
    assert str(found.rest) == "W vanishes"


def test_signs_are_derived_under_the_mean_that_is_assumed() -> None:
    """Input of mean μ_y that meets W entry by entry is, on average, W itself."""
    rule = ruledsl.rule("term met = (1_post * y_pre^T) .* W\nrule r = met")
    without, with_mean = (ruledsl.explain(rule, input_mean=m).terms[0] for m in (False, True))
    assert [d.sign for d in without.directions if d.sign] == []
    plain = ruledsl.explain(ruledsl.rule("term plain = W\nrule r = plain")).terms[0]
    assert {d.what: d.sign for d in with_mean.directions} == {d.what: d.sign for d in plain.directions}


def test_a_drift_is_given_though_its_slope_is_too_large() -> None:
    rule = ruledsl.rule("term high = (y_post.^4) * (y_pre.^4)^T\nrule r = high")
    (found,) = ruledsl.explain(rule).terms
    assert found.check is not None
    assert found.directions == ()


def test_what_kolen_and_pollack_keep_is_derived_and_followed() -> None:
    """W − Bᵀ only decays: Kolen & Pollack (1994)."""
    found = ruledsl.explain("kolen_pollack")
    assert [str(f) for f in found.findings if not f.term] == [
        "W − Bᵀ shrinks by the factor 1 − θ_kp_decay at every sample, whatever is learned (as measured)"
    ]
    assert "W − Bᵀ shrinks" in str(found)


def test_feedback_that_learns_twice_as_fast_keeps_another_combination() -> None:
    text = (
        "term fast for B = -2 * y_pre * e_post^T\nrule own = pseudo_gradient + fast[same = pseudo_gradient]"
    )
    found = invariants(Analysed(ruledsl.rule(text), {}))
    assert [str(f) for f in found] == ["(2) W − Bᵀ stays as it is, whatever is learned (as measured)"]


def test_coefficients_of_their_own_enter_the_combination() -> None:
    text = "term back for B = -y_pre * e_post^T\nrule own = pseudo_gradient + back"
    (found,) = invariants(Analysed(ruledsl.rule(text), {}))
    assert found.text.startswith("(θ_back/θ_pseudo_gradient) W − Bᵀ stays")
    assert found.agrees


@pytest.mark.parametrize(
    ("rule", "told"),
    [("weight_mirror", ["no combination κ W − Bᵀ is kept"]), ("bio", [])],
)
def test_what_keeps_nothing_is_not_said_to(rule: str, told: list[str]) -> None:
    assert [f.text for f in invariants(Analysed(ruledsl.load(rule), {}))] == told


def test_a_wrong_invariant_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ruledsl.theory.conserved.sp.cancel", lambda _: sp.Integer(2))
    found = ruledsl.explain("kolen_pollack")
    assert found.disagreements == ["kolen_pollack"]
    assert "DISAGREES" in str(found)


def test_signs_that_change_together_are_followed_to_the_update() -> None:
    told = {f.term: f.text for f in ruledsl.explain("bio").findings if f.term}
    assert told["error_hebb"] == "e → −e leaves it as it is, W → −W leaves it as it is"
    assert told["pseudo_gradient"].startswith("y → −y turns it round, e → −e turns it round")
    assert told["oja_subspace"] == "y → −y leaves it as it is, W → −W makes it another"


def test_terms_that_remember_or_hear_are_not_analysed_by_single_samples() -> None:
    assert list(Analysed(ruledsl.load("three_factor"), {}).terms) == ["pseudo_gradient"]


@pytest.mark.parametrize("rule", ["pool", "competition", "rules/discovered/balanced.rule"])
def test_no_rule_knows_the_number_of_a_cell(rule: str) -> None:
    """Cells that change places take their synapses' updates with them."""
    subject = Analysed(ruledsl.load(rule), {})
    random = np.random.default_rng(0)
    drawn = subject.draw(0, 3)
    post, pre = random.permutation(POST), random.permutation(PRE)
    moved = {n: v[:, post if n.endswith("post") else pre] for n, v in drawn.items() if n not in ("W", "B")}
    moved["W"] = drawn["W"][post][:, pre]
    for term in subject.terms:
        before = subject.update(term, **drawn)
        np.testing.assert_allclose(subject.update(term, **moved), before[:, post][:, :, pre], atol=1e-12)


def test_a_rule_is_shown_as_what_theory_says() -> None:
    shown, explained = run("show", "ehebb", "--as", "explain"), run("explain", "ehebb")
    assert shown.exit_code == 0
    assert shown.output == explained.output


@pytest.mark.parametrize(("factor", "returns"), [(0.95, True), (1.05, False)])
def test_the_largest_step_that_is_told_is_the_largest(factor: float, returns: bool) -> None:
    """W + s E[ΔW] near Oja's rest: below the bound it comes back, above it does not."""
    found, number = piece("oja_single", "oja_single")
    step = factor * rest("oja_single", "oja_single", 1.0).largest_step
    average = Function(expected_drift(found.pieces[number].form), numbers(POST, PRE))
    rows = np.random.default_rng(0).normal(size=(POST, PRE))
    W = rows / np.linalg.norm(rows, axis=1, keepdims=True) * 1.001
    for _ in range(200):
        W = W + step * average(W=W, B=np.zeros((PRE, POST)))
    assert np.allclose(np.linalg.norm(W, axis=1), 1.0, atol=1e-6) is returns
