"""What objectives do with the networks that they are shown is theirs alone; runs that are lost are found."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import ruledsl
from ruledsl import Episode, Network
from ruledsl.engines import lost_runs, meta_gradient
from ruledsl.registry import replaced


def confidence(view: Any) -> Tensor:
    """Asks once without gradients, and once with."""
    with torch.no_grad():
        held = view.outputs().softmax(-1)
    return (view.outputs().softmax(-1) - 2 * held).square().sum(-1).mean(-1)


def sharpness(view: Any) -> Tensor:
    """Differentiates by itself, then asks of networks elsewhere."""
    names = [name for name, value in view.state.items() if value.requires_grad]
    found = torch.autograd.grad(view.query_loss().sum(), [view.state[n] for n in names])
    moved = {n: view.state[n] + 0.01 * g for n, g in zip(names, found, strict=True)}
    return view.query_loss({**view.state, **moved})


def careless(view: Any) -> Tensor:
    """Changes what it was given: to labels that are all answered rightly."""
    view.y = view.outputs().argmax(-1)
    return view.query_loss() + view.outputs().zero_().sum((1, 2))


def judged(*objectives: str) -> tuple[Tensor, Tensor]:
    """The gradient, and accuracy."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((4, 5), (3, 4)))
    x, y = torch.rand(6, 5, generator=generator, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    episode = Episode([first, second], None, x, y, x_query=x, y_query=y)
    rule = ruledsl.compile_rule(ruledsl.load("backprop"))
    found = meta_gradient(
        rule, torch.tensor([0.05], dtype=torch.float64), episode, Network(feedback="symmetric"),
        engine="rebuild", backend="eager", objectives=tuple((name, 1.0) for name in objectives),
    )  # fmt: skip
    return found.grad, found.accuracy


@pytest.mark.parametrize("objective", [confidence, sharpness])
def test_an_objective_gives_the_same_beside_others_in_any_order(objective: Any) -> None:
    query, accuracy = judged("query")
    with replaced("objective", "weight_noise", objective):
        alone = judged("weight_noise")[0]
        assert float(alone.abs()) > 0.01
        for names in (("query", "weight_noise"), ("weight_noise", "query")):
            gradient, beside = judged(*names)
            torch.testing.assert_close(gradient, query + alone, rtol=1e-9, atol=0.0)
            assert torch.equal(beside, accuracy)


def test_accuracy_is_of_the_networks_and_the_query_set_that_an_objective_was_shown() -> None:
    _, accuracy = judged("query")
    assert float(accuracy) < 1.0
    with replaced("objective", "weight_noise", careless):
        assert torch.equal(judged("weight_noise")[1], accuracy)


def test_a_run_of_large_weights_is_lost_like_any_other_and_one_that_diverged_is_not() -> None:
    start = torch.ones(3, 4, 4)
    final = torch.stack([torch.ones(4, 4), torch.full((4, 4), 1e19), torch.full((4, 4), torch.inf)])
    assert lost_runs({"W0": start + 1.0}, {"W0": start}, {"W0": final}).tolist() == [True, True, False]
    assert lost_runs({"W0": start.clone()}, {"W0": start}, {"W0": final}).tolist() == [False] * 3
