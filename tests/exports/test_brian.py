"""The Brian2 file, run in Brian2: cells and synapses come to the weights of `adapt`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import ruledsl
from ruledsl.exports import NotExpressible
from tests import ROOT
from tests.exports.test_exports import proof_in

needs_brian = pytest.mark.skipif(importlib.util.find_spec("brian2") is None, reason="Brian2 is not installed")
LAYER_CLASS = ["pool", "competition", "covariance"]


@needs_brian
@pytest.mark.parametrize(
    "arguments",
    [
        ["soft_bound", "--feedback", "symmetric", "--activation", "tanh", "--output", "linear"],
        ["rules/discovered/balanced.rule", "--activation", "relu"],
    ],
    ids=lambda a: a[0],
)
def test_an_episode_in_brian2_is_that_of_adapt(arguments: list[str], tmp_path: Path) -> None:
    """In a process of its own: Brian2 takes logging and warnings into its own hands."""
    out = tmp_path / "network.py"
    options = ["--to", "brian2", "--sizes", "9-8-7-6", "--out", str(out)]
    command = [sys.executable, "cli.py", "export", *arguments, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert proof_in(out.read_text(encoding="utf-8")) < 1e-10


@pytest.mark.parametrize("rule", LAYER_CLASS)
def test_a_sum_over_a_population_is_refused_where_it_stands(rule: str) -> None:
    with pytest.raises(NotExpressible) as refused:
        ruledsl.export(rule, "brian2")
    told = str(refused.value)
    assert (
        "is a sum over the postsynaptic cells: every synapse would have to know the whole population" in told
    )
    assert "    | " not in told.splitlines()[0]
    assert "^^^" in told, "the term, with a caret"
    assert "help: leave it out of the rule" in told


@pytest.mark.parametrize(
    ("rule", "wiring", "reason"),
    [
        ("kolen_pollack", {}, "the term `kp_feedback`: it moves B"),
        ("three_factor", {}, "the term `surprise_gradient`: it reads third"),
        ("bio", {"feedback": "direct"}, "errors are carried by fixed or symmetric feedback there"),
        ("bio", {"inhibitory": 0.2}, "Dale's law"),
    ],
)
def test_what_cells_and_synapses_do_not_hold_is_refused(
    rule: str, wiring: dict[str, object], reason: str
) -> None:
    with pytest.raises(NotExpressible, match=reason):
        ruledsl.export(rule, "brian2", **wiring)  # type: ignore[arg-type]


def test_terms_act_in_their_layers_alone() -> None:
    rule = ruledsl.rule("rule deep = pseudo_gradient + oja_subspace[layers = 2]")
    text = ruledsl.export(rule, "brian2", sizes="9-8-7-6", verify=False)
    moves = [line for line in text.splitlines() if "run_regularly" in line]
    assert [line.count("y_post") for line in moves] == [0, 1, 0]
