"""What a rule is told of cells: activities behind any code of a model, third factors of their own sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ruledsl
from ruledsl.errors import ModelError
from tests.torch.models import Custom, largest_difference, own_swish

LABELS = torch.tensor([0, 2, 1, 1])
HEBB = "term hebb = y_post * y_pre^T\nrule r = hebb"


def hebbian_change(forward: Callable[[nn.Linear, nn.Linear, Tensor], Tensor], **options: Any) -> Tensor:
    """The change of the first layer of a model by y_post y_preᵀ."""
    torch.manual_seed(1)
    model = Custom(forward).double()
    before = model.first.weight.detach().clone()
    opt = ruledsl.torch.attach(model, ruledsl.rule(HEBB), theta=[1.0], **options)
    x = torch.rand(4, 6, dtype=torch.float64)
    model(x).flatten(1)[:, :3].sum().backward()
    opt.step()
    return model.first.weight.detach() - before


RELU = [
    lambda a, b, x: b(torch.relu(a(x).unsqueeze(-1)).squeeze(-1)),
    lambda a, b, x: b(torch.relu(a(x).view(-1)).view(x.shape)),
    lambda a, b, x: b(a(x).relu())[..., 0:3],
]


@pytest.mark.parametrize("forward", RELU)
def test_an_activation_is_found_behind_other_shapes_of_z(forward: Any) -> None:
    plain = hebbian_change(lambda a, b, x: b(torch.relu(a(x))))
    assert largest_difference([hebbian_change(forward)], [plain]) < 1e-15


def test_an_activation_that_is_named_wins() -> None:
    plain = hebbian_change(lambda a, b, x: b(nn.functional.silu(a(x))))
    assert largest_difference([hebbian_change(own_swish, activation=nn.functional.silu)], [plain]) < 1e-15


def test_every_head_and_every_call_of_the_last_layer_is_an_output() -> None:
    """Two heads, and a head that is called twice: y of each call is softmax of its z."""
    x = torch.rand(4, 6, dtype=torch.float64)

    def changes(forward: Any) -> list[tuple[Tensor, Callable[[Tensor], Tensor]]]:
        torch.manual_seed(1)
        model = Custom(forward).double()
        layers = [model.first, model.second]
        before = [(m.weight.detach().clone(), m.bias.detach().clone()) for m in layers]
        opt = ruledsl.torch.attach(model, ruledsl.rule(HEBB), theta=[1.0])
        sum(out.sum() for out in model(x)).backward()  # type: ignore[union-attr]
        opt.step()
        by_softmax = [lambda i, w=w, b=b: (i @ w.T + b).softmax(-1).T @ i / 4 for w, b in before]
        return [(m.weight.detach() - w, f) for m, (w, _), f in zip(layers, before, by_softmax, strict=True)]

    for change, wanted in changes(lambda a, b, x: (a(x), b(x))):
        assert largest_difference([change], [wanted(x)]) < 1e-14
    change, wanted = changes(lambda a, b, x: (b(x), b(1.0 - x)))[1]
    assert largest_difference([change], [wanted(x) + wanted(1.0 - x)]) < 1e-14


def test_third_factors_find_their_samples_behind_the_time_axis() -> None:
    rule = ruledsl.rule("term t = third * e_post * y_pre^T\nrule r = t")
    layer = nn.Linear(4, 3).double()
    model, W = nn.Sequential(layer), layer.weight.detach().clone()
    x, third = torch.rand(2, 6, 4, dtype=torch.float64), torch.arange(6.0, dtype=torch.float64)
    opt = ruledsl.torch.attach(model, rule, theta=[1.0], batch_axis=1, reduction="sum")
    model(x).square().sum().backward()
    opt.step(third=third)
    e = 2.0 * (x @ W.T + layer.bias.detach())
    wanted = torch.einsum("b,tbj,tbi->ji", third, e, x) / 6
    assert largest_difference([layer.weight.detach() - W], [wanted]) < 1e-14
    model(x).square().sum().backward()
    with pytest.raises(ModelError, match="`third` has 3 numbers for 6 samples"):
        opt.step(third=torch.ones(3))


def test_cells_behind_a_pool_have_the_slope_of_hidden_cells() -> None:
    """e_pre of a last layer that reads pooled cells: what it sends back times σ′ there, not softmax's."""
    rule = ruledsl.rule("term t = e_post * e_pre^T\nrule r = t")
    torch.manual_seed(0)
    body, last = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Tanh(), nn.MaxPool1d(2), nn.Flatten()), nn.Linear(4, 3)
    model = nn.Sequential(*body, last).double()
    x = torch.rand(4, 1, 6, dtype=torch.float64)
    below, W = body(x).detach(), last.weight.detach().clone()
    opt = ruledsl.torch.attach(model, rule, theta=[1.0], feedback="symmetric")
    logits = model(x)
    nn.functional.cross_entropy(logits, LABELS).backward()
    opt.step()
    e = logits.detach().softmax(-1) - torch.eye(3, dtype=torch.float64)[LABELS]
    wanted = torch.einsum("nj,ni->ji", e, (e @ W) * (1 - below**2)) / 4
    assert largest_difference([last.weight.detach() - W], [wanted]) < 1e-14
