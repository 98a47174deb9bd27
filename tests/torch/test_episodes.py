"""Attached to a chain of layers, and given one sample at a time, a rule does what an episode does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import ruledsl
from ruledsl import Network
from tests import calls
from tests.torch.models import largest_difference, learn, linear_layers, mlp, scaled

SIZES = (6, 5, 4, 3)
SAMPLES = 20
ON_WEIGHTS = [
    "pool", "bio", "ehebb", "bcm", "covariance", "competition", "oja_single", "soft_bound", "shrunk",
    "kolen_pollack", "rules/discovered/balanced.rule",
]  # fmt: skip


def stream() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.rand(SAMPLES, SIZES[0], dtype=torch.float64), torch.randint(0, SIZES[-1], (SAMPLES,))


def feedback_for(pathway: str) -> dict[str, Tensor]:
    above = [SIZES[-1]] * 3 if pathway == "direct" else list(SIZES[1:])
    return {f"B{n}": torch.randn(SIZES[n], above[n], dtype=torch.float64) for n in range(3)}


def attached(
    rule: ruledsl.Rule, pathway: str, B: dict[str, Tensor], bias: bool = False
) -> tuple[nn.Sequential, ruledsl.torch.RuleOptimizer]:
    model = mlp(*SIZES, bias=bias)
    opt = ruledsl.torch.attach(model, rule, theta=scaled(rule), feedback=pathway)
    for number, group in enumerate(opt.param_groups):
        opt.state[group["params"][0]]["B"] = B[f"B{number}"].clone()
    return model, opt


@pytest.mark.parametrize("pathway", ["fixed", "symmetric", "direct", "sign_fixed", "sign_uniform"])
@pytest.mark.parametrize("name", ON_WEIGHTS)
def test_the_weights_are_those_of_adapt(name: str, pathway: str) -> None:
    rule = ruledsl.load(name)
    if rule.program.trains("B") and pathway != "fixed":
        pytest.skip("these terms train the B of layered feedback")
    (x, y), B = stream(), feedback_for(pathway)
    model, opt = attached(rule, pathway, B)
    W = [layer.weight.detach().clone() for layer in linear_layers(model)]
    wanted = calls.adapt(ruledsl.compile_rule(rule), scaled(rule), W, B, x, y, feedback=pathway)
    for t in range(SAMPLES):
        learn(model, opt, x[t : t + 1], y[t : t + 1])
    assert largest_difference(wanted, [layer.weight for layer in linear_layers(model)]) < 1e-13
    assert largest_difference(wanted, W) > 1e-4  # it learned


def test_biases_learn_as_in_adapt() -> None:
    rule, (x, y), B = ruledsl.load("biased"), stream(), feedback_for("fixed")
    model, opt = attached(rule, "fixed", B, bias=True)
    with torch.no_grad():
        for layer in linear_layers(model):
            layer.bias.zero_()  # as in episodes
    W = [layer.weight.detach().clone() for layer in linear_layers(model)]
    network = Network(feedback="fixed", bias=True)
    wanted = calls.adapt(ruledsl.compile_rule(rule), scaled(rule), W, B, x, y, network=network)
    for t in range(SAMPLES):
        learn(model, opt, x[t : t + 1], y[t : t + 1])
    assert largest_difference(wanted, [layer.weight for layer in linear_layers(model)]) < 1e-13
    assert all(float(layer.bias.detach().abs().max()) > 1e-4 for layer in linear_layers(model))


def test_traces_and_third_factors_are_those_of_adapt() -> None:
    """Traces of cells and of synapses go on from sample to sample."""
    rule, (x, y), B = ruledsl.load("three_factor"), stream(), feedback_for("fixed")
    model, opt = attached(rule, "fixed", B)
    W = [layer.weight.detach().clone() for layer in linear_layers(model)]
    third = torch.rand(SAMPLES, dtype=torch.float64)
    wanted = calls.adapt(
        ruledsl.compile_rule(rule),
        scaled(rule),
        W,
        B,
        x,
        y,
        network=Network(third="task"),
        signals={"third": third},
    )
    for t in range(SAMPLES):
        learn(model, opt, x[t : t + 1], y[t : t + 1], third=third[t])
    assert largest_difference(wanted, [layer.weight for layer in linear_layers(model)]) < 1e-13


def test_terms_confined_to_layers_act_there_alone() -> None:
    rule = ruledsl.rule("rule deep = pseudo_gradient + oja_subspace[layers = 2]")
    (x, y), B = stream(), feedback_for("fixed")
    model, opt = attached(rule, "fixed", B)
    W = [layer.weight.detach().clone() for layer in linear_layers(model)]
    wanted = calls.adapt(ruledsl.compile_rule(rule), scaled(rule), W, B, x, y)
    for t in range(SAMPLES):
        learn(model, opt, x[t : t + 1], y[t : t + 1])
    assert largest_difference(wanted, [layer.weight for layer in linear_layers(model)]) < 1e-13


def test_a_linear_output_with_squared_error_is_that_of_adapt() -> None:
    rule, (x, _), B = ruledsl.load("bio"), stream(), feedback_for("fixed")
    targets = torch.randn(SAMPLES, SIZES[-1], dtype=torch.float64)
    model = mlp(*SIZES)
    opt = ruledsl.torch.attach(model, rule, theta=scaled(rule), feedback="fixed", output="linear")
    for number, group in enumerate(opt.param_groups):
        opt.feedback_of(group["name"])["B"].copy_(B[f"B{number}"])
    W = [layer.weight.detach().clone() for layer in linear_layers(model)]
    wanted = calls.adapt(
        ruledsl.compile_rule(rule), scaled(rule), W, B, x, targets, network=Network(output="linear")
    )
    for t in range(SAMPLES):
        half_squared = lambda out, y: 0.5 * (out - y).square().sum(-1).mean()  # noqa: E731
        learn(model, opt, x[t : t + 1], targets[t : t + 1], half_squared)
    assert largest_difference(wanted, [layer.weight for layer in linear_layers(model)]) < 1e-13
