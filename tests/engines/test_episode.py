"""One online episode and its meta-gradient against the method written as plain loops."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

import ruledsl
from ruledsl.backend import CompiledRule
from ruledsl.measures import Measurements, measure
from ruledsl.network import programs_for
from ruledsl.settings import Network as Wiring
from tests.calls import adapt, meta_gradient
from tests.drawing import Episode, draw_episode
from tests.oracle import TERMS, Network
from tests.rules.test_terms import SHIPPED

SIZES = (6, 5, 4)
POOL = ruledsl.load("pool").names


def oracle(episode: Episode, feedback: str) -> Network:
    return Network(
        [w.tolist() for w in episode.W], [b.tolist() for b in episode.B], 10.0, feedback == "symmetric"
    )


def compiled(*names: str) -> CompiledRule:
    return ruledsl.compile_rule(ruledsl.load(*(f"{SHIPPED[n]}:{n}" for n in names)))


@pytest.mark.parametrize("feedback", ["fixed", "symmetric"])
def test_an_episode_of_the_pool_equals_the_loops(feedback: str) -> None:
    episode = draw_episode(SIZES, 15, seed=3)
    theta = 0.02 * torch.randn(10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    network = oracle(episode, feedback)
    for x, label in zip(episode.x.tolist(), episode.y.tolist(), strict=True):
        network.learn(POOL, theta.tolist(), x, label)
    found = adapt(
        ruledsl.compile_rule(ruledsl.load("pool")), theta, *episode.arguments()[:4], feedback=feedback
    )
    for mine, plain, start in zip(found, network.W, episode.W, strict=True):
        torch.testing.assert_close(mine, torch.tensor(plain, dtype=torch.float64), rtol=1e-10, atol=1e-12)
        assert float((mine - start).abs().max()) > 1e-3


def test_every_shipped_term_learns_as_its_loops_say() -> None:
    episode = draw_episode(SIZES, 4, seed=5)
    for name in TERMS:
        network = oracle(episode, "fixed")
        for x, label in zip(episode.x.tolist(), episode.y.tolist(), strict=True):
            network.learn([name], [0.05], x, label)
        found = adapt(compiled(name), torch.tensor([0.05], dtype=torch.float64), *episode.arguments()[:4])
        for mine, plain in zip(found, network.W, strict=True):
            torch.testing.assert_close(mine, torch.tensor(plain, dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_errors_come_from_the_weights_before_the_update() -> None:
    """Negative control: an oracle that updates layer by layer before the errors below gives other weights."""
    episode = draw_episode(SIZES, 5, seed=4)
    theta = torch.tensor([0.3], dtype=torch.float64)
    found = adapt(compiled("pseudo_gradient"), theta, *episode.arguments()[:4], feedback="symmetric")
    late = oracle(episode, "symmetric")
    for x, label in zip(episode.x.tolist(), episode.y.tolist(), strict=True):
        _, y = late.activities(x)
        top = [v - (n == label) for n, v in enumerate(y[-1])]
        late.W[-1] = [
            [w - 0.3 * e * v for w, v in zip(row, y[1], strict=True)]
            for row, e in zip(late.W[-1], top, strict=True)
        ]
        errors = late.errors(y, label)
        late.W[0] = [
            [w - 0.3 * e * v for w, v in zip(row, x, strict=True)]
            for row, e in zip(late.W[0], errors[1], strict=True)
        ]
    assert float((found[0] - torch.tensor(late.W[0], dtype=torch.float64)).abs().max()) > 1e-4


@pytest.mark.parametrize("feedback", ["fixed", "symmetric"])
@pytest.mark.parametrize("name", sorted(TERMS))
def test_the_meta_gradient_is_the_central_difference_of_the_plain_loops(name: str, feedback: str) -> None:
    """Nothing of ours in the reference: the loss is the loops' own, its slope a central difference."""
    episode = draw_episode(SIZES, 6, queries=3, seed=7)
    names = ["pseudo_gradient", name] if name != "pseudo_gradient" else [name]
    theta = [0.05, 0.02][: len(names)]

    def loss(shifted: list[float]) -> float:
        network = oracle(episode, feedback)
        for x, label in zip(episode.x.tolist(), episode.y.tolist(), strict=True):
            network.learn(names, shifted, x, label)
        return network.query_loss(episode.x_query.tolist(), episode.y_query.tolist())

    found = meta_gradient(
        compiled(*names), torch.tensor(theta, dtype=torch.float64), *episode.arguments(), feedback=feedback
    )
    assert abs(float(found.loss) - loss(theta)) < 1e-11
    step = 1e-5
    for r in range(len(names)):
        up, down = ([t + sign * step * (n == r) for n, t in enumerate(theta)] for sign in (1, -1))
        slope = (loss(up) - loss(down)) / (2 * step)
        assert abs(slope) > 1e-7
        assert abs(float(found.grad[r]) - slope) < 1e-6 * abs(slope) + 1e-9


def test_backprop_is_the_gradient_of_the_loss() -> None:
    """With e carried by Wᵀ, F⁰ is autograd's gradient of the sample's cross-entropy (Eq. 4)."""
    episode = draw_episode((6, 5, 4, 3), 1)
    one = torch.ones(1, dtype=torch.float64)
    adapted = adapt(compiled("pseudo_gradient"), one, *episode.arguments()[:4], feedback="symmetric")
    leaves = [w.clone().requires_grad_() for w in episode.W]
    y = episode.x[0]
    for number, w in enumerate(leaves):
        z = w @ y
        y = torch.logaddexp(10 * z, torch.zeros_like(z)) / 10 if number < 2 else z
    gradients = torch.autograd.grad(torch.nn.functional.cross_entropy(y[None], episode.y), leaves)
    for after, before, gradient in zip(adapted, episode.W, gradients, strict=True):
        torch.testing.assert_close(after, before - gradient, rtol=1e-12, atol=1e-13)


def test_a_batch_equals_its_runs_alone() -> None:
    F = ruledsl.compile_rule(ruledsl.load("bio"))
    episode = draw_episode(SIZES, 20, batch=(2, 2))
    theta = 0.01 * torch.randn(2, 2, 3, dtype=torch.float64)
    together = meta_gradient(F, theta, *episode.arguments(), l1=0.5)
    assert together.loss.shape == (2, 2)
    assert together.grad.shape == (2, 2, 3)
    for a in range(2):
        for b in range(2):
            alone = meta_gradient(F, theta[a, b], *episode.run(a, b).arguments(), l1=0.5)
            torch.testing.assert_close(together.loss[a, b], alone.loss, rtol=1e-12, atol=0)
            torch.testing.assert_close(together.grad[a, b], alone.grad, rtol=1e-9, atol=1e-13)
            torch.testing.assert_close(together.weights[0][a, b], alone.weights[0], rtol=1e-12, atol=1e-14)


def test_the_penalty_is_part_of_loss_and_gradient() -> None:
    F = ruledsl.compile_rule(ruledsl.load("bio"))
    episode = draw_episode(SIZES, 5)
    theta = torch.tensor([0.01, -0.02, 0.0], dtype=torch.float64)
    plain, penalised = (meta_gradient(F, theta, *episode.arguments(), l1=l1) for l1 in (0.0, 2.0))
    assert abs(float(penalised.loss - plain.loss) - 2.0 * 0.03) < 1e-12
    assert (penalised.grad - plain.grad).tolist() == pytest.approx([2.0, -2.0, 0.0])


def test_adapt_can_be_differentiated_with_respect_to_the_weights() -> None:
    episode = draw_episode(SIZES, 3)
    leaf = episode.W[0].clone().requires_grad_()
    theta = torch.tensor([0.1], dtype=torch.float64)
    out = adapt(compiled("pseudo_gradient"), theta, [leaf, episode.W[1]], *episode.arguments()[1:4])
    out[1][0].square().sum().backward()
    assert leaf.grad is not None
    assert float(leaf.grad.abs().max()) > 1e-6


def test_terms_confined_to_layers_leave_the_others_alone(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "confined.rule"
    path.write_text("rule confined = pseudo_gradient[init = 0.1, layers = 1 3]", encoding="utf-8")
    rule = ruledsl.load(path)
    episode = draw_episode((6, 5, 4, 3), 5)
    after = adapt(ruledsl.compile_rule(rule), rule.init.double(), *episode.arguments()[:4])
    changed = [not torch.equal(a, b) for a, b in zip(after, episode.W, strict=True)]
    assert changed == [True, False, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"theta": torch.zeros(2)}, r"theta has shape \(2,\); its last axis must hold the 1 coefficients"),
        ({"x": torch.zeros(3, 7)}, r"x has shape \(3, 7\), expected \(3, 6\)"),
        ({"y": torch.tensor([0, 1, 9])}, r"labels must lie in 0 … 3"),
        ({"feedback": "sideways"}, r"no feedback pathway 'sideways'; choose one of direct, fixed"),
        ({"B": None}, r"fixed feedback needs one B for each of the 2 weight matrices"),
        ({"W": [torch.zeros(5, 6), torch.zeros(4, 4)]}, r"W\[1\] has shape \(4, 4\), expected \(4, 5\)"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    episode = draw_episode(SIZES, 3, dtype=torch.float32)
    arguments = {
        "theta": torch.zeros(1),
        "W": episode.W,
        "B": episode.B,
        "x": episode.x,
        "y": episode.y,
    } | change
    with pytest.raises(ValueError, match=message):
        adapt(compiled("pseudo_gradient"), **arguments)  # type: ignore[arg-type]


def test_update_says_what_it_needs() -> None:
    F = compiled("pseudo_gradient")
    with pytest.raises(TypeError, match="needs `e_post` for this rule"):
        F.update(torch.zeros(1), W=torch.zeros(2, 3), y_pre=torch.zeros(3))
    with pytest.raises(ValueError, match=r"`y_pre` has shape \(2,\), expected \(3,\)"):
        F.update(torch.zeros(1), W=torch.zeros(2, 3), y_pre=torch.zeros(2), e_post=torch.zeros(2))


# measurements ----------------------------------------------------------------


def measured(episode: Episode, W: Sequence[Tensor], B: Sequence[Tensor]) -> Measurements:
    programs = programs_for(ruledsl.load("pool").program, len(W), Wiring())
    named = {f"W{n}": w[None] for n, w in enumerate(W)} | {f"B{n}": b[None] for n, b in enumerate(B)}
    theta = torch.zeros(1, 10, dtype=W[0].dtype)
    return measure(programs, named, theta, episode.x_query[None], episode.y_query[None])


def test_angles_are_those_between_averaged_errors() -> None:
    episode = draw_episode((6, 5, 4, 3), 1, queries=7)
    found = measured(episode, episode.W, episode.B)
    fixed, exact = oracle(episode, "fixed"), oracle(episode, "symmetric")
    for layer in range(4):
        sums = []
        for network in (fixed, exact):
            errors = [
                network.errors(network.activities(x)[1], label)[layer]
                for x, label in zip(episode.x_query.tolist(), episode.y_query.tolist(), strict=True)
            ]
            sums.append(torch.tensor(errors, dtype=torch.float64).sum(0))
        cosine = sums[0] @ sums[1] / (sums[0].norm() * sums[1].norm())
        angle = float(torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))))
        assert float(found.alpha[0, layer]) == pytest.approx(angle, abs=1e-5)
    assert float(found.alpha[0, 3]) == 0.0


def test_the_orthonormality_error_is_equation_10_and_vanishes_for_orthonormal_rows() -> None:
    episode = draw_episode((6, 4, 3), 1, queries=5)
    rows = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q[:4]
    for first in (episode.W[0], rows):
        W = [first, episode.W[1]]
        found = measured(episode, W, episode.B)
        total = 0.0
        for x in episode.x_query:
            z = first @ x
            y = torch.logaddexp(10 * z, torch.zeros_like(z)) / 10
            total += float((z - first @ (first.T @ y)).square().sum()) / 5
        assert found.ortho.shape == (1, 1)
        assert float(found.ortho[0, 0]) == pytest.approx(total, rel=1e-10)


def test_parallel_errors_have_angle_zero_to_full_precision() -> None:
    episode = draw_episode((5, 4, 3), 1)
    found = measured(episode, episode.W, [w.T.clone() for w in episode.W])
    assert float(found.alpha.abs().max()) < 1e-10
