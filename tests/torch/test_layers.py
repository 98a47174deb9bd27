"""Convolutions and recurrent cells: against torch's own gradient descent, and against plain loops."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

import ruledsl
from tests.torch.models import cross_entropy, largest_difference, learn, scaled, weights_of

BATCH = 3


class Recurrent(nn.Module):
    """Reads a sequence (batch, time, 4) and answers at its end, by a cell or by nn.RNN."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.core: Any = (
            nn.RNNCell(4, 5, nonlinearity="tanh") if kind == "cell" else nn.RNN(4, 5, 2, batch_first=True)
        )
        self.readout = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "rnn":
            return self.readout(self.core(x)[0][:, -1])
        h = x.new_zeros(len(x), 5)
        for moment in x.unbind(1):
            h = self.core(moment, h)
        return self.readout(h)


class Residual(nn.Module):
    """Two ways from one layer to the next, and a layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(self.first(x))
        y = y + torch.tanh(self.second(y))
        y = y + torch.tanh(self.second(y))
        return self.last(y)


def convnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, dilation=2), nn.Tanh(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(5, 3),
    )  # fmt: skip


def convnet_1d() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, padding=1), nn.Softplus(), nn.Conv1d(4, 2, 2, stride=2), nn.GELU(), nn.Flatten(),
        nn.Linear(8, 3),
    )  # fmt: skip


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "convnet": (convnet, (2, 12, 12)),
    "convnet 1d": (convnet_1d, (2, 8)),
    "recurrent cell": (lambda: Recurrent("cell"), (6, 4)),
    "recurrent network of two layers": (lambda: Recurrent("rnn"), (6, 4)),
    "residual": (Residual, (6,)),
    "linear over positions": (
        lambda: nn.Sequential(nn.Linear(4, 5), nn.SiLU(), nn.Flatten(), nn.Linear(30, 3)),
        (6, 4),
    ),
}


def made(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    build, shape = MODELS[name]
    torch.manual_seed(0)
    return build().double(), torch.rand(BATCH, *shape, dtype=torch.float64), torch.randint(0, 3, (BATCH,))


@pytest.mark.parametrize("name", MODELS)
def test_through_transposed_weights_a_step_is_that_of_gradient_descent(name: str) -> None:
    model, x, y = made(name)
    other = deepcopy(model)
    opt = ruledsl.torch.attach(model, "backprop", theta=[0.1])
    sgd = torch.optim.SGD(other.parameters(), lr=0.1)
    biases = torch.optim.SGD(opt.unattached, lr=0.1)
    for _ in range(3):
        learn(model, opt, x, y)
        biases.step()
        biases.zero_grad()
        sgd.zero_grad()
        cross_entropy(other(x), y).backward()
        sgd.step()
    assert largest_difference(weights_of(model), weights_of(other)) < 1e-14


@pytest.mark.parametrize("name", MODELS)
def test_while_no_gradient_is_recorded_a_model_is_as_it_was(name: str) -> None:
    model, x, _ = made(name)
    wanted = model(x)
    opt = ruledsl.torch.attach(model, "bio")
    with torch.no_grad():
        assert torch.equal(model(x), wanted)
    assert largest_difference([model(x)], [wanted]) < 1e-15
    opt.detach()
    assert torch.equal(model(x), wanted)


@pytest.mark.parametrize("pathway", ["fixed", "sign_uniform"])
@pytest.mark.parametrize("rule", ["pool", "rules/discovered/balanced.rule"])
def test_a_convolution_is_one_linear_layer_for_every_patch(rule: str, pathway: str) -> None:
    """Written as loops over samples and positions, in which each patch is a layer of its own."""
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=False), nn.Softplus(10, threshold=1000),
        nn.Conv2d(3, 4, 2, bias=False), nn.Tanh(), nn.Flatten(), nn.Linear(16, 3, bias=False),
    ).double()  # fmt: skip
    torch.manual_seed(4)
    x, y = torch.rand(BATCH, 2, 6, 6, dtype=torch.float64), torch.tensor([0, 2, 1])
    opt = ruledsl.torch.attach(model, rule, theta=scaled(ruledsl.load(rule)), feedback=pathway)
    wanted = loops(model, opt, x, y, pathway)
    learn(model, opt, x, y)
    assert largest_difference(weights_of(model), wanted) < 1e-14


def loops(
    model: nn.Sequential, opt: ruledsl.torch.RuleOptimizer, x: Tensor, y: Tensor, pathway: str
) -> list[Tensor]:
    kernels = [p.detach().clone() for p in model.parameters()]
    W, B = [k.flatten(1) for k in kernels], []
    for w, kernel, group in zip(W, kernels, opt.param_groups, strict=True):
        fans = nn.init._calculate_fan_in_and_fan_out(group["params"][0])  # as torch counts them
        uniform = (0.5 * sum(fans)) ** -0.5 * w.sign().T
        B.append(
            uniform if pathway == "sign_uniform" else by_channel(opt.feedback_of(group["name"])["B"], kernel)
        )
    F, theta = ruledsl.compile_rule(opt.rule), opt.param_groups[0]["theta"]
    total = [torch.zeros_like(w) for w in W]

    def add(layer: int, **rows: Tensor) -> None:
        total[layer] += F.update(theta, W=W[layer], **{q: rows[q] for q in F.reads}) / BATCH

    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    for n in range(BATCH):
        z1, z2 = torch.zeros(3, 3, 3, dtype=torch.float64), torch.zeros(4, 2, 2, dtype=torch.float64)
        for i, j in places(3):
            z1[:, i, j] = W[0] @ padded[n, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].flatten()
        y1 = torch.log1p(torch.exp(10 * z1)) / 10
        for i, j in places(2):
            z2[:, i, j] = W[1] @ y1[:, i : i + 2, j : j + 2].flatten()
        y2 = torch.tanh(z2)
        z3 = W[2] @ y2.flatten()
        y3 = z3.softmax(0)
        e3 = y3 - torch.eye(3, dtype=torch.float64)[y[n]]
        e2 = (B[2] @ e3).reshape(4, 2, 2) * (1 - y2**2)
        back1, back0 = torch.zeros_like(z1), torch.zeros_like(padded[n])
        for i, j in places(2):
            back1[:, i : i + 2, j : j + 2] += (B[1] @ e2[:, i, j]).reshape(3, 2, 2)
        e1 = back1 * torch.sigmoid(10 * z1)
        for i, j in places(3):
            back0[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += (B[0] @ e1[:, i, j]).reshape(2, 3, 3)
        e0 = back0 * (1 - torch.exp(-10 * padded[n]))
        add(2, y_pre=y2.flatten(), y_post=y3, z_post=z3, e_pre=e2.flatten(), e_post=e3)
        for i, j in places(2):
            below = y1[:, i : i + 2, j : j + 2].flatten(), e1[:, i : i + 2, j : j + 2].flatten()
            add(1, y_pre=below[0], e_pre=below[1], y_post=y2[:, i, j], z_post=z2[:, i, j], e_post=e2[:, i, j])
        for i, j in places(3):
            window = slice(2 * i, 2 * i + 3), slice(2 * j, 2 * j + 3)
            below = padded[n][:, *window].flatten(), e0[:, *window].flatten()
            add(0, y_pre=below[0], e_pre=below[1], y_post=y1[:, i, j], z_post=z1[:, i, j], e_post=e1[:, i, j])
    shapes = [p.shape for p in model.parameters()]
    return [(w + t).reshape(s) for w, t, s in zip(W, total, shapes, strict=True)]


def by_channel(B: Tensor, kernel: Tensor) -> Tensor:
    """Rows in the order in which a kernel is flattened: channel, height, width."""
    if kernel.dim() == 2:
        return B
    _, channels, high, wide = kernel.shape
    return B.reshape(high, wide, channels, -1).permute(2, 0, 1, 3).flatten(0, 2)


def places(size: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(size) for j in range(size)]


def test_a_recurrent_cell_is_two_layers_at_every_moment() -> None:
    """Both halves hear the cell's error; that of a moment holds what the next one sends back by its B."""
    torch.manual_seed(5)
    model = Recurrent("cell").double()
    x, y = torch.rand(BATCH, 4, 4, dtype=torch.float64), torch.tensor([0, 2, 1])
    rule = ruledsl.load("pool")
    opt = ruledsl.torch.attach(model, rule, theta=scaled(rule))
    core, readout = model.core, model.readout
    assert isinstance(core, nn.RNNCell)
    V, W, U = (p.detach().clone() for p in (core.weight_ih, core.weight_hh, readout.weight))
    Bv, Bw, Bu = (opt.feedback_of(g["name"])["B"] for g in opt.param_groups)
    F, theta = ruledsl.compile_rule(rule), scaled(rule)
    change = [torch.zeros_like(w) for w in (V, W, U)]
    for n in range(BATCH):
        hs, zs = [torch.zeros(5, dtype=torch.float64)], []
        for t in range(4):
            zs.append(V @ x[n, t] + core.bias_ih.detach() + W @ hs[-1] + core.bias_hh.detach())
            hs.append(torch.tanh(zs[-1]))
        z_out = U @ hs[-1] + readout.bias.detach()
        e_out = z_out.softmax(0) - torch.eye(3, dtype=torch.float64)[y[n]]
        e = (Bu @ e_out) * (1 - hs[-1] ** 2)
        change[2] += F.update(
            theta, W=U, y_pre=hs[-1], y_post=z_out.softmax(0), z_post=z_out, e_pre=e, e_post=e_out
        )
        for t in reversed(range(4)):
            before = (Bw @ e) * (1 - hs[t] ** 2)
            e_x = (Bv @ e) * (1 - x[n, t] ** 2)  # inputs, as if tanh cells had given them
            shared = {"y_post": hs[t + 1], "z_post": zs[t], "e_post": e}
            change[0] += F.update(theta, W=V, y_pre=x[n, t], e_pre=e_x, **shared)
            change[1] += F.update(theta, W=W, y_pre=hs[t], e_pre=before, **shared)
            e = before
    learn(model, opt, x, y)
    found = (core.weight_ih, core.weight_hh, readout.weight)
    wanted = [w + c / BATCH for w, c in zip((V, W, U), change, strict=True)]
    assert largest_difference(list(found), wanted) < 1e-14


def test_direct_feedback_reaches_every_cell_of_a_convolution() -> None:
    model, x, y = made("convnet")
    opt = ruledsl.torch.attach(model, "feedback_alignment", theta=[0.1], feedback="direct")
    flat = [p.detach().clone() for p in model.parameters()]
    assert isinstance(model, nn.Sequential)
    learn(model, opt, x, y)
    matrix = opt.feedback_of("2")["B"]
    assert matrix.shape == (4 * 6 * 6, 3), "the cells that the second convolution reads, by outputs"
    # The same, with the error put in by hand behind the first convolution.
    z1 = torch.nn.functional.conv2d(x, flat[0], flat[1], stride=2, padding=1)
    with torch.no_grad():
        z2 = torch.nn.functional.conv2d(torch.relu(z1), flat[2], flat[3], dilation=2)
        out = torch.nn.functional.max_pool2d(torch.tanh(z2), 2).flatten(1) @ flat[4].T + flat[5]
        e = out.softmax(1) - torch.eye(3, dtype=torch.float64)[y]
        e1 = (e @ matrix.T).reshape(z1.shape) * (z1 > 0)
        step = conv2d_weight(x, flat[0].shape, e1, stride=2, padding=1) / BATCH
    assert largest_difference([weights_of(model)[0]], [flat[0] - 0.1 * step]) < 1e-14
