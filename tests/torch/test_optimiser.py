"""`attach` gives a torch optimiser: saved, scheduled, beside others, and refused where it cannot be."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ruledsl
from ruledsl import UserError
from ruledsl.errors import ModelError
from tests.commands import SMALL
from tests.torch.models import Custom, largest_difference, learn, mlp, own_swish, scaled, weights_of

LABELS = torch.tensor([0, 2, 1, 1])


def batch(seed: int = 1) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    return torch.rand(4, 6, dtype=torch.float64), LABELS


def test_a_saved_optimiser_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """Random feedback, trained feedback and traces are its state."""
    rule = ruledsl.rule(
        "term late = -e_post * trace(y_pre, 3)^T\nterm back for B = -y_pre * e_post^T\nrule r = late + back"
    )
    model = mlp(6, 5, 3)
    opt = ruledsl.torch.attach(model, rule, theta=[0.05, 0.05])
    for n in range(3):
        learn(model, opt, *batch(n))
    torch.save({"model": model.state_dict(), "opt": opt.state_dict()}, tmp_path / "saved.pt")
    other = mlp(6, 5, 3, seed=9)
    again = ruledsl.torch.attach(other, rule, seed=7)
    saved = torch.load(tmp_path / "saved.pt")
    other.load_state_dict(saved["model"])
    again.load_state_dict(saved["opt"])
    for n in range(3, 6):
        learn(model, opt, *batch(n))
        learn(other, again, *batch(n))
    assert largest_difference(weights_of(model), weights_of(other)) == 0.0


def test_schedulers_move_its_rate() -> None:
    model, rule = mlp(6, 5, 3), ruledsl.load("bio")
    opt = ruledsl.torch.attach(model, rule, theta=scaled(rule, 0.1))
    schedule = torch.optim.lr_scheduler.ExponentialLR(opt, 0.5)
    learn(model, opt, *batch())
    schedule.step()
    assert [g["lr"] for g in opt.param_groups] == [0.5, 0.5]
    before = weights_of(model)
    learn(model, opt, *batch(2))
    half = [2 * a - b for a, b in zip(weights_of(model), before, strict=True)]
    for weight, start in zip(model.parameters(), before, strict=True):
        weight.data.copy_(start)
    opt.param_groups[0]["lr"] = opt.param_groups[1]["lr"] = 1.0
    learn(model, opt, *batch(2))
    assert largest_difference(half, weights_of(model)) < 1e-14


def test_each_weight_may_have_a_theta_of_its_own() -> None:
    model = mlp(6, 5, 3)
    before = weights_of(model)
    opt = ruledsl.torch.attach(
        model, "feedback_alignment", theta=[0.1], theta_of={"0": {"pseudo_gradient": 0.0}}
    )
    learn(model, opt, *batch())
    first, second = (float((a - b).abs().max()) for a, b in zip(weights_of(model), before, strict=True))
    assert first == 0.0 < second


def test_other_layers_learn_by_another_optimiser() -> None:
    """What is not wired keeps its exact gradient, through the errors that feedback carried to it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 3)).double()
    opt = ruledsl.torch.attach(model, "feedback_alignment", theta=[0.1], layers=["3"])
    assert {id(p) for p in opt.unattached} == {id(p) for p in model.parameters()} - {id(model[3].weight)}
    adam = torch.optim.Adam(opt.unattached)
    before = weights_of(model)
    learn(model, opt, *batch())
    adam.step()
    assert all(not torch.equal(a, b) for a, b in zip(weights_of(model), before, strict=True))


def test_frozen_weights_carry_errors_and_stay() -> None:
    model = mlp(6, 5, 4, 3)
    model[2].weight.requires_grad_(False)
    opt = ruledsl.torch.attach(model, "feedback_alignment", theta=[0.1])
    before = weights_of(model)
    learn(model, opt, *batch())
    moved = [not torch.equal(a, b) for a, b in zip(weights_of(model), before, strict=True)]
    assert moved == [True, False, True]


def test_a_closure_gives_its_loss() -> None:
    model = mlp(6, 5, 3)
    opt = ruledsl.torch.attach(model, "bio")
    x, y = batch()

    def closure() -> Tensor:
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    assert float(opt.step(closure).detach()) > 0.0


def test_a_seed_gives_the_same_feedback() -> None:
    found = [ruledsl.torch.attach(mlp(6, 5, 3), "bio", seed=s).feedback_of("0")["B"] for s in (1, 1, 2)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_run_brings_its_rule_coefficients_and_pathway(tmp_path: Path) -> None:
    run = ruledsl.train("bio", out=tmp_path / "run", feedback="direct", progress=False, **SMALL)
    opt = ruledsl.torch.attach(mlp(6, 5, 3), tmp_path / "run")
    assert opt.rule.names == run.rule.names
    assert opt.reading.feedback == "direct"
    assert opt.param_groups[1]["theta"].tolist() == [run.theta[name].mean for name in run.rule.names]


def attach(model: nn.Module, rule: str = "bio", **options: Any) -> Callable[[], object]:
    return lambda: ruledsl.torch.attach(model, rule, **options)


def called(model: nn.Module, rule: str, *shape: int, times: int = 1, **options: Any) -> Callable[[], object]:
    """Attached, then one or more turns of the usual loop without `zero_grad`."""

    def turn() -> None:
        opt = ruledsl.torch.attach(model, rule, **options)
        for _ in range(times):
            model(torch.rand(4, *shape)).flatten(1).sum().backward()
        opt.step()

    return turn


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    model[2].weight = model[0].weight
    return model


def _step_with_third() -> None:
    model = mlp(6, 5, 3)
    opt = ruledsl.torch.attach(model, "three_factor")
    learn(model, opt, *batch(), third=1.0)


def _outside() -> None:
    model = mlp(6, 5, 3)
    ruledsl.torch.attach(model, "bio")
    model[0](batch()[0])


def _twice() -> None:
    model = mlp(6, 5, 3)
    ruledsl.torch.attach(model, "bio")
    ruledsl.torch.attach(model, "bio")


def _again() -> None:
    model = mlp(6, 5, 3)
    ruledsl.torch.attach(model, "bio")
    loss = model(batch()[0]).sum()
    loss.backward(retain_graph=True)
    loss.backward()


Refused = tuple[Callable[[], object], str]
net = mlp(6, 5, 3)


def _siamese() -> None:
    model = mlp(6, 5, 3)
    ruledsl.torch.attach(model, "backprop")
    x, _ = batch()
    (model(x) - model(x.flip(0))).square().sum().backward()


def _replaced() -> None:
    model = mlp(6, 5, 3)
    ruledsl.torch.attach(model, "bio")
    model.load_state_dict(mlp(6, 5, 3, seed=1).state_dict(), assign=True)
    model(batch()[0])


def _overwritten() -> None:
    model = Custom(
        lambda a, b, x: b(nn.functional.dropout(nn.functional.softplus(a(x)), 0.5, True, inplace=True))
    )
    opt = ruledsl.torch.attach(model, "bio")
    model(torch.rand(4, 6)).sum().backward()
    opt.step()


def _autocast() -> None:
    model = mlp(6, 5, 3).float()
    ruledsl.torch.attach(model, "bio")
    with torch.autocast("cpu", torch.bfloat16):
        model(torch.rand(4, 6))


def _pickled() -> None:
    copy.copy(ruledsl.torch.attach(mlp(6, 5, 3), "bio"))


class Masked(nn.Linear):
    """A layer whose forward pass is its own."""

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.linear(input, self.weight * 0.0, self.bias)


REFUSED: dict[str, Refused] = {
    "two forward passes, one backward": (_siamese, "called again before this backward pass"),
    "replaced weights": (_replaced, "attach the rule again"),
    "an activity overwritten later": (_overwritten, "was overwritten after the layer was called"),
    "autocast": (_autocast, "leave autocast off"),
    "saving the optimiser itself": (_pickled, "state_dict()"),
    "a forward pass of its own": (attach(nn.Sequential(Masked(6, 5))), "has a forward pass of its own"),
    "spectral norm": (
        attach(nn.Sequential(nn.utils.spectral_norm(nn.Linear(6, 5)))),
        "computes its weights from other parameters",
    ),
    "no batch axis": (called(nn.Sequential(nn.Conv2d(1, 2, 3)), "bio", 6, 6), "without a batch axis"),
    "an axis that is not there": (called(mlp(6, 5, 3).float(), "bio", 6, batch_axis=3), "has 2 axes"),
    "an unknown output": (attach(net, output="tanh"), "output is softmax or linear"),
    "an unknown reduction": (attach(net, reduction="none"), "reduction is mean or sum"),
    "text as a coefficient": (attach(net, theta=["a", 1, 2]), "theta holds what is no number"),
    "no finite coefficient": (attach(net, theta=[float("nan"), 1, 2]), "no finite number"),
    "joined before its activation": (
        called(Custom(lambda a, b, x: b(torch.relu(torch.cat([a(x)], 1)))), "bio", 6),
        "say attach(…, activation=σ)",
    ),
    "an activation times z": (called(Custom(own_swish), "bio", 6), "say attach(…, activation=σ)"),
    "batch norm": (attach(nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5))), "mixes the samples"),
    "attention": (attach(nn.Sequential(nn.MultiheadAttention(6, 2))), "no synapse stands between"),
    "gates": (attach(nn.Sequential(nn.LSTM(6, 5))), "`0` (LSTM) multiplies activities by gates"),
    "in-place module": (attach(nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=True))), "inplace=False"),
    "groups": (attach(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2))), "2 groups"),
    "padding": (attach(nn.Sequential(nn.Conv2d(4, 4, 3, padding="same"))), "pads otherwise"),
    "two directions": (attach(nn.Sequential(nn.RNN(6, 5, bidirectional=True))), "bidirectional"),
    "shared weights": (attach(tied()), "`0.weight` and `2.weight` are one parameter"),
    "computed weights": (
        attach(nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)))),
        "computes its weights from other parameters",
    ),
    "no layers": (attach(nn.ReLU()), "none of Linear, Conv1d"),
    "an unknown layer": (attach(net, layers=["3"]), "there are `0`, `2`"),
    "an unknown term": (attach(net, theta={"error_heb": 1.0}), "did you mean `error_hebb`?"),
    "too many coefficients": (attach(net, theta=[1.0]), "must hold 3 numbers"),
    "an unknown weight": (attach(net, theta_of={"1": [1, 2, 3]}), "theta_of names `1`"),
    "an unknown pathway": (attach(net, feedback="fixd"), "did you mean `fixed`?"),
    "a pathway that learned for one network": (attach(net, feedback="mixture"), "coefficients of its own"),
    "biases that are not there": (attach(net, "biased"), "`0` has none (bias=False)"),
    "noise that is not there": (attach(net, "weight_mirror"), "which a torch model does not give"),
    "no third factor": (called(mlp(6, 5, 3).float(), "three_factor", 6), "opt.step(third=…)"),
    "traces of synapses in a batch": (_step_with_third, "Give one sample at a time"),
    "two batches before a step": (called(mlp(6, 5, 3).float(), "bio", 6, times=2), "before step()"),
    "attention inside": (
        called(Custom(lambda a, b, x: nn.functional.scaled_dot_product_attention(a(x), b(x), x)), "bio", 6),
        "no synapse stands between",
    ),
    "an in-place function": (called(Custom(lambda a, b, x: b(a(x).relu_())), "bio", 6), "`relu_` overwrites"),
    "an in-place option": (
        called(Custom(lambda a, b, x: b(nn.functional.relu(a(x), inplace=True))), "bio", 6),
        "overwrites",
    ),
    "an activation of the model's own": (
        called(Custom(lambda a, b, x: b(a(x) * torch.sigmoid(a(x)))), "bio", 6),
        "say attach(…, activation=σ)",
    ),
    "a layer by itself": (_outside, "call that model"),
    "twice": (_twice, "call its detach() first"),
    "no backward pass": (lambda: ruledsl.torch.attach(net, "bio").step(), "nothing to learn from"),
    "two backward passes": (_again, "a second backward pass"),
    "direct feedback in time": (
        called(nn.Sequential(nn.RNNCell(6, 6), nn.Linear(6, 3)), "bio", 6, feedback="direct"),
        "cannot reach `0.weight_ih`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_with_its_reason(name: str) -> None:
    attempt, reason = REFUSED[name]
    with pytest.raises(UserError) as refused:
        attempt()
    assert reason in str(refused.value)


def test_an_activation_of_the_models_own_may_be_named() -> None:
    swish = lambda z: z * torch.sigmoid(z)  # noqa: E731
    named = Custom(lambda a, b, x: b(swish(a(x)))).double()
    opt = ruledsl.torch.attach(named, "bio", activation=swish)
    usual = Custom(lambda a, b, x: b(nn.functional.silu(a(x)))).double()
    usual.load_state_dict(named.state_dict())
    other = ruledsl.torch.attach(usual, "bio")
    x, y = batch()
    learn(named, opt, x, y)
    learn(usual, other, x, y)
    assert largest_difference(weights_of(named), weights_of(usual)) < 1e-15


def test_after_an_error_in_its_forward_pass_a_model_can_be_called_again() -> None:
    model = mlp(6, 5, 3)
    opt = ruledsl.torch.attach(model, "bio")
    with pytest.raises(RuntimeError):
        model(torch.rand(4, 7, dtype=torch.float64))
    learn(model, opt, *batch())


@pytest.mark.parametrize("order", ["first", "before backward", "last"])
def test_the_usual_loop_may_call_zero_grad_where_loops_do(order: str) -> None:
    model, plain = mlp(6, 5, 3), mlp(6, 5, 3)
    opt = ruledsl.torch.attach(model, "backprop", theta=[0.1])
    sgd = torch.optim.SGD(plain.parameters(), lr=0.1)
    for n in range(3):
        x, y = batch(n)
        for each, optimiser in ((model, opt), (plain, sgd)):
            if order == "first":
                optimiser.zero_grad()
            loss = nn.functional.cross_entropy(each(x), y)
            if order == "before backward":
                optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if order == "last":
                optimiser.zero_grad()
    assert largest_difference(weights_of(model), weights_of(plain)) < 1e-14


def test_a_batch_can_be_let_go() -> None:
    model = mlp(6, 5, 3)
    opt = ruledsl.torch.attach(model, "bio")
    x, y = batch()
    nn.functional.cross_entropy(model(x), y).backward()
    opt.zero_grad()
    with pytest.raises(ModelError, match="nothing to learn from"):
        opt.step()


def test_a_copy_of_an_attached_model_is_a_model_of_its_own(tmp_path: Path) -> None:
    model = mlp(6, 5, 3)
    ruledsl.torch.attach(model, "bio")
    twin, part = copy.deepcopy(model), copy.deepcopy(model[0])
    torch.save(model, tmp_path / "model.pt")
    x, _ = batch()
    wanted = model(x).detach()
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    for other in (twin, torch.load(tmp_path / "model.pt", weights_only=False)):
        assert torch.equal(other(x), wanted)
        ruledsl.torch.attach(other, "bio")
    assert float(part(x).detach().abs().sum()) > 0.0


def test_feedback_follows_the_model_to_another_precision() -> None:
    model = mlp(6, 5, 3)
    opt = ruledsl.torch.attach(model, "bio")
    model.float()
    x, y = batch()
    learn(model, opt, x.float(), y)
