"""A batch does what the mean of its samples would, each alone with the same weights; nothing per sample is
written down."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import ruledsl
from ruledsl.backend import EagerProgram
from tests.torch.models import largest_difference, learn, mlp, scaled, weights_of

ROWS = 7
RULES = [
    "pool", "bio", "bcm", "covariance", "competition", "oja_single", "soft_bound", "shrunk", "kolen_pollack",
    "rules/discovered/balanced.rule",
]  # fmt: skip
SCALED_OUTER = "term gated = (y_post .* (e_post^T * W * y_pre)) * y_pre^T - mean(y_post) * W\nrule r = gated"
FUNCTION_OF_BOTH = "term odd = tanh(W + y_post * y_pre^T)\nrule r = pseudo_gradient + odd"
ROWS_AND_COLUMNS = (
    "term both = (1_post * y_pre^T) .* W + (y_post * 1_pre^T) .* W .* W\nrule r = pseudo_gradient + both"
)


def changes(text: str, rows: slice) -> list[torch.Tensor]:
    rule = ruledsl.load(text) if "=" not in text else ruledsl.rule(text)
    model = mlp(6, 5, 3)
    opt = ruledsl.torch.attach(model, rule, theta=scaled(rule, 0.1))
    torch.manual_seed(2)
    x, y = torch.rand(ROWS, 6, dtype=torch.float64), torch.randint(0, 3, (ROWS,))
    before = weights_of(model)
    learn(model, opt, x[rows], y[rows])
    fed = [opt.feedback_of(g["name"])["B"] for g in opt.param_groups]
    return [a - b for a, b in zip(weights_of(model), before, strict=True)] + fed


@pytest.mark.parametrize("text", [*RULES, SCALED_OUTER, FUNCTION_OF_BOTH, ROWS_AND_COLUMNS])
def test_a_batch_is_the_mean_of_its_samples(text: str) -> None:
    alone = [changes(text, slice(n, n + 1)) for n in range(ROWS)]
    mean = [torch.stack(each).mean(0) for each in zip(*alone, strict=True)]
    assert largest_difference(changes(text, slice(0, ROWS)), mean) < 1e-14


@pytest.mark.parametrize("text", [*RULES, SCALED_OUTER, ROWS_AND_COLUMNS])
def test_no_sample_has_a_matrix_of_its_own(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    usual = EagerProgram._evaluate

    def watched(self: EagerProgram, *args: object) -> object:
        nonlocal largest
        found = usual(self, *args)  # type: ignore[arg-type]
        largest = max(largest, found.dim() if isinstance(found, torch.Tensor) else 0)
        return found

    monkeypatch.setattr(EagerProgram, "_evaluate", watched)
    changes(text, slice(0, ROWS))
    assert largest == 2


def test_a_sum_as_loss_is_a_mean_over_samples_as_well() -> None:
    rule = ruledsl.load("bio")
    found = []
    for reduction in ("mean", "sum"):
        model = mlp(6, 5, 3)
        opt = ruledsl.torch.attach(model, rule, theta=scaled(rule, 0.1), reduction=reduction)
        torch.manual_seed(2)
        x, y = torch.rand(ROWS, 6, dtype=torch.float64), torch.randint(0, 3, (ROWS,))
        learn(model, opt, x, y, lambda out, y, r=reduction: nn.functional.cross_entropy(out, y, reduction=r))
        found.append(weights_of(model))
    assert largest_difference(*found) < 1e-14


def test_vector_traces_belong_to_rows() -> None:
    """Two streams side by side remember each their own: as two models with the same weights would."""
    rule = ruledsl.rule("term late = -e_post * trace(y_pre, 3)^T\nrule r = late")
    torch.manual_seed(3)
    x, y = torch.rand(2, 6, dtype=torch.float64), torch.randint(0, 3, (2,))
    model = mlp(6, 5, 3)
    opt = ruledsl.torch.attach(model, rule, theta=[0.1])
    learn(model, opt, x, y)
    before = weights_of(model)
    learn(model, opt, x.flip(0), y.flip(0))
    together = [a - b for a, b in zip(weights_of(model), before, strict=True)]
    alone = []
    for n in range(2):
        single = mlp(6, 5, 3)
        own = ruledsl.torch.attach(single, rule, theta=[0.1])
        learn(single, own, x[n : n + 1], y[n : n + 1])
        with torch.no_grad():
            for p, w in zip(single.parameters(), before, strict=True):
                p.copy_(w)
        learn(single, own, x[1 - n : 2 - n], y[1 - n : 2 - n])
        alone.append([a - b for a, b in zip(weights_of(single), before, strict=True)])
    assert largest_difference(together, [torch.stack(p).mean(0) for p in zip(*alone, strict=True)]) < 1e-14
