"""Synapses that know nothing but their own two cells: NESTML's and Loihi's."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ruledsl
from ruledsl.exports import FORMATS, NotExpressible, signed_powers
from ruledsl.ir import InternalError
from tests.commands import run

LOCAL = {
    "feedback_alignment": "pseudo_gradient=0.0231",
    "oja_single": "oja_single=0.0131",
    "bcm": "pseudo_gradient=0.02,bcm_term=-0.003",
    "soft_bound": "pseudo_gradient=0.02,soft_potentiation=0.001,soft_depression=0.0007",
}
LEAST, MOST, TRACES = -7, 9, {"x1", "y1", "y2", "y3"}
"""Of Loihi: exponents of scales, and what a synapse's products may read besides its weight."""
SMALL: dict[str, Any] = {"sizes": (49, 10, 47)}


def by_hand(name: str, theta: dict[str, float], q: dict[str, float]) -> float:
    """ΔW of one synapse, written down from the rules' files."""
    hebb, w = q["y_post"] * q["y_pre"], q["W"]
    return sum(
        theta[term] * value
        for term, value in {
            "pseudo_gradient": -q["e_post"] * q["y_pre"],
            "oja_single": hebb - q["y_post"] ** 2 * w,
            "bcm_term": q["y_post"] * (q["y_post"] - 0.1) * q["y_pre"],
            "soft_potentiation": hebb * (1 - w),
            "soft_depression": -hebb * (1 + w),
        }.items()
        if term in theta
    )


def coefficients(name: str) -> dict[str, float]:
    return {k: float(v) for k, _, v in (part.partition("=") for part in LOCAL[name].split(","))}


@pytest.mark.parametrize("name", LOCAL)
def test_the_lava_file_does_what_the_rule_does_but_for_rounding(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rule.py"
    ruledsl.export(name, "lava", theta=LOCAL[name], out=path, **SMALL)
    names = runpy.run_path(str(path))
    held = {"y_pre": 0.7, "y_post": 0.4, "e_post": -0.3, "z_post": 0.2, "third": 1.0, "W": 0.25}
    exact, theta = by_hand(name, coefficients(name), held), coefficients(name)
    for layer in (1, 2):
        assert names["change"](layer, **held) == pytest.approx(
            exact, abs=0.03 * sum(map(abs, theta.values()))
        )
    assert names["change"](1, **held) != exact, "coefficients are rounded"


@pytest.mark.parametrize("name", LOCAL)
def test_every_scale_and_factor_is_one_that_loihi_has(name: str) -> None:
    text = ruledsl.export(name, "lava", theta=LOCAL[name], verify=False, **SMALL)
    sums = [
        line.strip().strip(",'") for line in text.splitlines() if "u0" in line and line.startswith("    '")
    ]
    assert len(sums) == 2
    for part in sums[0].replace(" - ", " + ").split(" + "):
        scale, epoch, *factors = part.removeprefix("-1*").split("*")
        assert scale.startswith("2^")
        assert LEAST <= int(scale.removeprefix("2^")) <= MOST
        assert epoch == "u0", "a product without a dependency never happens"
        assert set(factors) <= TRACES | {"w"}


@pytest.mark.parametrize("name", LOCAL)
def test_lavas_own_parser_reads_it(name: str, tmp_path: Path) -> None:
    pytest.importorskip("lava")
    ruledsl.export(name, "lava", theta=LOCAL[name], out=tmp_path / "rule.py", **SMALL)
    assert runpy.run_path(str(tmp_path / "rule.py"))["learning_rule"](1).dw.products


@given(st.floats(-100, 100, allow_subnormal=False).filter(lambda v: abs(v) > 1e-6))
def test_three_signed_powers_of_two_are_never_far(value: float) -> None:
    found = sum(sign * 2.0**k for sign, k in signed_powers(value))
    assert abs(found / value - 1) < 0.04


def test_rounding_is_measured_where_asked() -> None:
    text = ruledsl.export("feedback_alignment", "lava", theta="pseudo_gradient=0.0231", measure=True,
                          dataset="glyphs", **SMALL)  # fmt: skip
    assert "a coefficient is off by" in text
    assert "by the rounded coefficients 0." in text
    assert "(5 classes, 250 samples of glyphs, 6 seeds)" in text


@pytest.mark.parametrize("name", LOCAL)
def test_pynestml_reads_the_rule_in_the_nestml_model(name: str, tmp_path: Path) -> None:
    pytest.importorskip("pynestml")
    text = ruledsl.export(name, "nestml", theta=LOCAL[name])
    assert "Parsed and checked by PyNESTML" in text
    assert "onReceive(pre_spikes):" in text


def test_a_model_that_pynestml_reads_otherwise_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pynestml")
    usual = FORMATS["nestml"]
    for wrong, told in (
        (" * y_post", " * y_pre"),
        ("emit_spike(w)", "emit_spike(nobody)"),
        ("state:", "states:"),
    ):
        write = lambda s, proof, a=wrong, b=told: usual.write(s, proof).replace(a, b)  # noqa: E731
        monkeypatch.setattr("ruledsl.exports.formats.FORMATS", {"nestml": type(usual)(write, usual.prove)})
        with pytest.raises(InternalError, match="PyNESTML"):
            ruledsl.export("oja_single", "nestml", theta="oja_single=0.01")


@pytest.mark.parametrize(
    ("rule", "to", "told"),
    [
        (
            "bio",
            "nestml",
            "`error_hebb`: it reads e_pre: a synapse there reads its postsynaptic cell through",
        ),
        ("bio", "lava", "there is one presynaptic quantity"),
        ("oja", "lava", "ΔW[j,i] = y_post[j]^2·W[j,i] - y_post[j]·y_pre[i]"),
        ("covariance", "nestml", "is a sum over cells, and a synapse there knows its own two"),
        ("three_factor", "nestml", "trace(y_pre[i], 3) is no product of what a synapse holds"),
        ("weight_mirror", "lava", "it moves B, and only W is moved there"),
        ("oja_single", "lava", "every coefficient is 0"),
    ],
)
def test_a_refusal_names_the_factor_and_the_nearest_that_can_be_said(rule: str, to: str, told: str) -> None:
    result = run("export", rule, "--to", to)
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_the_caret_stands_under_the_factor() -> None:
    result = run("export", "bio", "--to", "lava")
    shown, caret = result.output.splitlines()[1:3]
    at = caret.index("^")
    assert shown[at : at + caret.count("^")] == "e_pre"


def test_the_nearest_rule_is_measured() -> None:
    """Oja's one-neuron form in place of the subspace form."""
    rule = ruledsl.rule("rule both = pseudo_gradient[init = 0.02] + oja_subspace[init = -0.001]")
    with pytest.raises(NotExpressible) as refused:
        ruledsl.export(rule, "lava", measure=True, dataset="glyphs", **SMALL)
    told = refused.value.diagnostics[0].help
    assert told is not None
    one = ruledsl.rule("rule both = pseudo_gradient[init = 0.02] + oja_single[init = 0.001]")
    asked: dict[str, Any] = {"samples": 250, "classes": 5, "seeds": 6, "progress": False, **SMALL}
    nearest, whole = (ruledsl.evaluate(r, **asked).accuracy[-1].text(".3f") for r in (one, rule))
    assert (
        f"with `oja_subspace` as a synapse can do it, Θ of the terms as it is, accuracy is {nearest}" in told
    )
    assert f"in place of {whole}" in told


def test_where_the_nearest_cannot_be_said_either_the_term_is_left_out() -> None:
    odd = "term odd = y_post * (e_pre .* (W^T * y_post))^T\nrule both = pseudo_gradient[init = 0.02] + odd"
    with pytest.raises(NotExpressible) as refused:
        ruledsl.export(ruledsl.rule(odd), "lava", measure=True, dataset="glyphs", **SMALL)
    told = refused.value.diagnostics[0].help
    assert told is not None
    assert "without `odd`, Θ of the others" in told
    assert "with `odd`" not in told


def test_weights_have_a_unit_where_traces_cannot_help(tmp_path: Path) -> None:
    """A drift that reads no trace: 0.006 is below 2^-7, and three powers of two reach further down."""
    rule = ruledsl.rule("term drift = 1_post * 1_pre^T\nrule r = drift[init = 0.006]")
    path = tmp_path / "drift.py"
    ruledsl.export(rule, "lava", out=path, **SMALL)
    names = runpy.run_path(str(path))
    assert names["UNITS"]["w"][1] > 1
    assert names["change"](1, W=0.3) == pytest.approx(0.006, rel=0.04)


def test_layers_with_other_rules_are_other_synapses() -> None:
    rule = ruledsl.rule("rule deep = pseudo_gradient[init = 0.02] + oja_single[init = 0.001, layers = 2]")
    with pytest.raises(NotExpressible, match="a model there is one synapse"):
        ruledsl.export(rule, "nestml", **SMALL)
    text = ruledsl.export(rule, "lava", **SMALL)
    first, second = (line for line in text.splitlines() if line.startswith("    '"))
    assert "*w" not in first
    assert "*w" in second
