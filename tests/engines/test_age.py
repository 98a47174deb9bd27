"""Rules that read `age`: every synapse counts the samples that it has seen."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import ruledsl
from ruledsl import Alphabet, Episode, Locality, Network, enumerate_terms
from ruledsl.engines import Learner, meta_gradient
from tests.literal_network import Literal, layered
from tests.torch.models import largest_difference, learn, linear_layers, mlp

RULE = """
term soon = -e_post / (1 + age / 5) * y_pre^T
term late = sqrt(age) * (y_post - W * y_pre) * y_pre^T
term offset for bias = -e_post / age
term mirror for B = -e_pre * y_post^T / age^0.5
rule aging = soon[init = 0.05] + late[init = -0.003] + offset[init = 0.02] + mirror[init = 0.04]
"""
SIZES = (6, 5, 4, 3)
SAMPLES = 14
BIASED = Network(bias=True)
RULES = ruledsl.rule(RULE)
F = ruledsl.compile_rule(RULES)
THETA = torch.tensor([t.initial for t in RULES.definition.terms], dtype=torch.float64)


def drawn() -> Episode:
    torch.manual_seed(0)
    pairs = list(pairwise(SIZES))
    W = [0.4 * torch.randn(b, a, dtype=torch.float64) for a, b in pairs]
    B = [0.4 * torch.randn(a, b, dtype=torch.float64) for a, b in pairs]
    x, y = torch.rand(SAMPLES, SIZES[0], dtype=torch.float64), torch.randint(3, (SAMPLES,))
    return Episode(W, B, x, y, x, y)


def by_hand(net: Literal) -> None:
    """Every term with its age written out: t counts from 0."""
    a, late, offset, mirror = net.theta
    age = net.t + 1
    layers = range(len(net.W))
    products = [net.W[n] @ net.y[n] for n in layers]
    net.B = {f"B{n}": net.B[f"B{n}"] - mirror / age**0.5 * net.e[n].outer(net.y[n + 1]) for n in layers}
    net.bias = [b - offset * e / age for b, e in zip(net.bias, net.e[1:], strict=True)]
    net.W = [
        net.W[n]
        - a / (1 + age / 5) * net.e[n + 1].outer(net.y[n])
        + late * age**0.5 * (net.y[n + 1] - products[n]).outer(net.y[n])
        for n in layers
    ]


@pytest.mark.parametrize(
    ("engine", "backend"),
    [
        ("rebuild", "eager"),
        ("rebuild", "compiled"),
        ("checkpoint", "eager"),
        ("checkpoint", "compiled"),
        ("forward", "eager"),
    ],
)
def test_every_engine_has_the_gradient_of_loops_that_count(engine: str, backend: str) -> None:
    given, theta = drawn(), THETA.clone().requires_grad_()
    zero = [torch.zeros(n, dtype=torch.float64) for n in SIZES[1:]]
    net = Literal(list(given.W), dict(given.feedback), theta, layered, by_hand, bias=zero)
    net.learn(given.x, torch.eye(3, dtype=torch.float64)[given.y])
    weights = [w.detach() for w in net.W]
    loss = net.query_loss(given.x, torch.eye(3, dtype=torch.float64)[given.y])
    (expected,) = torch.autograd.grad(loss, theta)
    assert float(expected.abs().min()) > 1e-6
    found = meta_gradient(F, THETA, given, BIASED, engine=engine, backend=backend)  # type: ignore[arg-type]
    assert found.engine == engine
    assert largest_difference(weights, found.weights) < 1e-12
    torch.testing.assert_close(found.grad, expected, rtol=1e-9, atol=1e-12)


def test_samples_seen_before_an_episode_count() -> None:
    given = drawn()
    learner = Learner(F, THETA[None], BIASED, *([p[None] for p in parts] for parts in (given.W, given.B)))  # type: ignore[union-attr]
    learner.see(given.x[None, :8], given.y[None, :8])
    learner.see(given.x[None, 8:], given.y[None, 8:])
    whole = meta_gradient(F, THETA, given, BIASED).weights
    assert largest_difference([learner.state[f"W{n}"][0] for n in range(3)], whole) < 1e-15
    later = meta_gradient(F, THETA, replace(given, seen=100), BIASED).weights
    assert largest_difference(later, whole) > 1e-3


def test_a_row_of_a_batch_is_as_old_as_the_batch() -> None:
    given = drawn()
    W, x, y = [torch.stack([w, w]) for w in given.W], torch.stack([given.x] * 2), torch.stack([given.y] * 2)
    stacked = Episode(W, None, x, y, x, y, seen=7)
    assert stacked.rows(torch.tensor([1])).seen == 7


def attached(model: nn.Sequential, given: Episode) -> ruledsl.torch.RuleOptimizer:
    opt = ruledsl.torch.attach(model, RULES, theta=THETA, feedback="fixed")
    for number, group in enumerate(opt.param_groups):
        opt.state[group["params"][0]]["B"] = given.feedback[f"B{number}"].clone()
    return opt


def weights(model: nn.Sequential) -> list[Tensor]:
    return [layer.weight.detach() for layer in linear_layers(model)]


def biased_model(given: Episode) -> nn.Sequential:
    model = mlp(*SIZES, bias=True)
    with torch.no_grad():
        for layer, w in zip(linear_layers(model), given.W, strict=True):
            layer.weight.copy_(w)
            layer.bias.zero_()
    return model


def test_an_attached_rule_counts_steps_saves_them_and_begins_anew() -> None:
    given = drawn()
    model = biased_model(given)
    opt = attached(model, given)
    for t in range(SAMPLES):
        learn(model, opt, given.x[t : t + 1], given.y[t : t + 1])
        if t == 5:  # as after a break
            kept, model_kept = opt.state_dict(), model
            opt.detach()
            opt = ruledsl.torch.attach(model_kept, RULES, theta=THETA, feedback="fixed")
            opt.load_state_dict(kept)
    assert largest_difference(meta_gradient(F, THETA, given, BIASED).weights, weights(model)) < 1e-13
    assert set(opt.feedback_of("0")) == {"B"}, "an age is no feedback"
    first = next(iter(opt.state.values()))
    assert float(first["age"]) == SAMPLES
    opt.reset_traces()
    assert "age" not in first


@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_an_exported_file_counts_by_itself(form: str) -> None:
    """`export` runs the file beside `adapt`, or `attach`, and refuses to write what differs."""
    text = ruledsl.export(ruledsl.rule("term t = -e_post / age^0.5 * y_pre^T\nrule r = t[init = 0.1]"), form)
    assert "largest difference" in text


def test_age_is_a_synapses_own_and_positive() -> None:
    assert {RULES.locality[name] for name in ("soon", "offset", "mirror")} == {Locality.synapse}
    reads = RULES.pieces[0].certificate.reads
    assert reads["age"] == frozenset({"own"})
    alphabet = Alphabet(("age", "y_post", "y_pre"), functions=("abs", "sqrt"), operators=("*", "/"))
    found = enumerate_terms(alphabet, size=6)
    told = [t.form.entry for t in found.terms if {"age"} <= t.form.reads]
    assert told
    assert len({str(entry) for entry in told}) == len(told)
    assert not any("Abs(age" in str(entry) for entry in told), "it is positive: |t| is t"
    assert any("sqrt(age[])" in str(entry) for entry in told)
