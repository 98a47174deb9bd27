"""What every engine must agree on: objectives, costs, losses alone, long streams,
the released code's gradient."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

import ruledsl
from ruledsl import CompiledRule, Episode
from ruledsl.contracts import SETTINGS, toy_source
from ruledsl.engines import Backend, Learner
from ruledsl.meta import MetaTrainer
from ruledsl.network import programs_of
from ruledsl.registry import find
from ruledsl.rules import apart
from ruledsl.settings import EpisodeRecord, Network, RunSpec
from ruledsl.tasks import draw_episodes
from tests import literal_network as literal
from tests.calls import adapt, meta_gradient
from tests.drawing import draw_episode
from tests.literal_network import Literal, numbered

SIZES = (6, 5, 4, 3)
SAMPLES = 19
THETA = torch.tensor([0.02, -0.03, -0.01], dtype=torch.float64)
ENGINES: tuple[str, ...] = ("auto", "checkpoint", "autograd", "forward")


def test_losses_alone_are_those_of_the_engines_with_gradients() -> None:
    rule = ruledsl.compile_rule(ruledsl.load("bio"))
    drawn = draw_episode(SIZES, SAMPLES, batch=(2,), seed=8)
    arguments = (rule, THETA.expand(2, -1), *drawn.arguments())
    objectives, network = (("area", 1.0), ("query", 0.5)), Network(costs=(("online", 0.3),))
    reference = meta_gradient(*arguments, engine="autograd", network=network, objectives=objectives)
    backends: tuple[Backend, ...] = ("eager", "compiled")
    for backend in backends:
        found = meta_gradient(
            *arguments, engine="none", backend=backend, network=network, objectives=objectives
        )
        torch.testing.assert_close(found.loss, reference.loss, rtol=1e-10, atol=1e-12)
        assert found.engine == "none"
        assert not bool(found.grad.any())


def test_forward_mode_runs_long_streams_in_flat_memory() -> None:
    """What lives between two samples is counted by tensors: it must not grow."""
    import gc

    rule = ruledsl.compile_rule(ruledsl.load("bio"))

    def peak(samples: int) -> int:
        drawn = draw_episode((4, 3, 2), samples, seed=1)
        counts = []
        original = find("objective", "query").item

        def counting(view: object) -> Tensor:
            gc.collect()
            counts.append(sum(type(o) is Tensor for o in gc.get_objects()))
            return original(view)

        plugin = find("objective", "query")
        object.__setattr__(plugin, "item", counting)
        try:
            result = meta_gradient(rule, THETA, *drawn.arguments(), engine="forward")
        finally:
            object.__setattr__(plugin, "item", original)
        assert bool(result.grad.isfinite().all())
        return max(counts)

    assert peak(300) <= peak(20) + 5


@pytest.mark.parametrize("objective", ["query", "area", "weight_noise"])
@pytest.mark.parametrize("cost", [(), (("activity", 0.3),), (("change", 0.01), ("online", 0.5))])
def test_every_engine_agrees_on_every_objective(objective: str, cost: tuple[tuple[str, float], ...]) -> None:
    rule = ruledsl.compile_rule(ruledsl.load("bio"))
    drawn = draw_episode(SIZES, SAMPLES, batch=(2,), seed=8)
    ways: list[tuple[str, Backend]] = [*((e, "eager") for e in ENGINES), ("auto", "compiled")]
    results = {
        (engine, backend): meta_gradient(
            rule, THETA.expand(2, -1), *drawn.arguments(), engine=engine, backend=backend,
            network=Network(costs=cost), objectives=((objective, 0.7),), keys=(3, 4),
        )
        for engine, backend in ways
    }  # fmt: skip
    reference = results["autograd", "eager"]
    for found in results.values():
        torch.testing.assert_close(found.loss, reference.loss, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(found.grad, reference.grad, rtol=1e-8, atol=1e-11)


def test_costs_are_means_over_samples_of_what_their_formula_says() -> None:
    """Activity and |ΔW| of an episode, from the loops."""
    drawn = draw_episode(SIZES, SAMPLES, seed=8)
    rule = ruledsl.compile_rule(ruledsl.load("bio"))
    net = Literal(list(drawn.W), numbered("B", drawn.B), THETA, literal.layered, literal.bio)
    activity, change, online = [], [], []

    def watched(inner: Literal) -> None:
        before = inner.W
        literal.bio(inner)
        activity.append(torch.stack([y.square().mean() for y in inner.y[1:-1]]).mean())
        change.append(
            sum(((a - b).abs().sum() for a, b in zip(inner.W, before, strict=True)), torch.zeros(()))
        )
        online.append(inner.loss)

    net.update = watched
    net.learn(drawn.x, torch.eye(SIZES[-1], dtype=torch.float64)[drawn.y])
    plain = meta_gradient(rule, THETA, *drawn.arguments()).loss
    for name, values in (("activity", activity), ("change", change), ("online", online)):
        found = meta_gradient(rule, THETA, *drawn.arguments(), network=Network(costs=((name, 1.0),))).loss
        torch.testing.assert_close(found - plain, torch.stack(values).mean(), rtol=1e-9, atol=1e-12)


def drawn_for(rule: CompiledRule, **changes: Any) -> tuple[Episode, Network]:
    settings = SETTINGS.having(shots=2, **changes)
    programs = programs_of(rule.program, settings)
    needs = programs.needs(settings.sizes)
    return draw_episodes(needs, settings, toy_source(), [(0, 0, 0)]), programs.network


@pytest.mark.parametrize(("name", "changes"), [("bio", {"inhibitory": 0.4}), ("soft_bound", {})])
def test_every_change_of_a_weight_is_paid_for(name: str, changes: dict[str, Any]) -> None:
    """What Dale's law cuts off, and what grows in proportion to W, are no sums of outer products."""
    rule = ruledsl.compile_rule(ruledsl.load(name))
    work, network = drawn_for(rule, **changes)
    theta = THETA.expand(1, -1)
    parts = (replace(work, x=work.x[:, :t], y=work.y[:, :t]) for t in range(1, work.x.shape[1] + 1))
    path = [work.W, *(ruledsl.adapt(rule, theta, part, network) for part in parts)]
    moved = [float((a - b).abs().sum()) for w, v in pairwise(path) for a, b in zip(w, v, strict=True)]
    plain = ruledsl.meta_gradient(rule, theta, work, network)
    dear = replace(network, costs=(("change", 1.0),))
    found = [ruledsl.meta_gradient(rule, theta, work, dear, engine=engine) for engine in ("auto", "autograd")]
    for one in found:
        assert float(one.loss - plain.loss) == pytest.approx(sum(moved) / (len(path) - 1), rel=1e-9)
    torch.testing.assert_close(found[0].grad, found[1].grad, rtol=1e-8, atol=1e-10)


def test_passive_decay_costs_nothing() -> None:
    rule = ruledsl.compile_rule(ruledsl.rule("term decay = -W\nrule forgetting = decay"))
    work, network = drawn_for(rule)
    dear = replace(network, costs=(("change", 1.0),))
    plain, paid = (ruledsl.meta_gradient(rule, THETA[:1, None], work, net) for net in (network, dear))
    assert torch.equal(plain.loss, paid.loss)


@pytest.mark.parametrize("inhibitory", [0.0, 0.4])
def test_a_theta_per_population_of_feedback_weights_is_the_shared_one_when_all_are_equal(
    inhibitory: float,
) -> None:
    text = "term t0 = -e_post * y_pre^T\nterm t1 for B = -y_pre * e_post^T\nrule two = t0 + t1"
    shared, split = (apart(ruledsl.rule(text), per, 3) for per in ("network", "population"))
    found = []
    for rule in map(ruledsl.compile_rule, (shared, split, split)):
        work, network = drawn_for(rule, inhibitory=inhibitory)
        theta = torch.full((1, len(rule.names)), 0.01, dtype=torch.float64)
        engine = "auto" if len(found) < 2 else "autograd"
        found.append(ruledsl.meta_gradient(rule, theta, work, network, engine=engine))
    whole, parts, literally = found
    torch.testing.assert_close(parts.grad, literally.grad, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(parts.grad.reshape(2, 4).sum(1), whole.grad[0], rtol=1e-9, atol=1e-12)
    assert (parts.grad.count_nonzero() > 2) == (inhibitory > 0)


def test_noise_on_the_feedback_is_an_objective_that_can_be_added_to_others() -> None:
    """Θ is judged by two streams of each task: one undisturbed, one whose carried errors are noisy."""
    settings = SETTINGS.having(episodes=3, meta_batch=2)

    def trained(**changes: Any) -> list[EpisodeRecord]:
        rule = ruledsl.compile_rule(ruledsl.load("bio"))
        trainer = MetaTrainer(rule, settings.having(**changes), [RunSpec(0, 3)], toy_source())
        return [record for episode in range(2) for record in trainer.step(episode)]

    plain, noisy = trained(), trained(feedback_noise=0.2)
    summed = trained(objective=(("query", 1.0), ("feedback_noise", 0.5)))
    assert plain[0].meta_loss != noisy[0].meta_loss
    assert summed[0].meta_loss == pytest.approx(plain[0].meta_loss + 0.5 * noisy[0].meta_loss, rel=1e-12)
    assert summed[0].meta_accuracy == plain[0].meta_accuracy
    alone = trained(objective=(("feedback_noise", 1.0),))
    assert [r.theta for r in alone] == [r.theta for r in noisy]


def test_the_released_codes_gradient_is_that_of_a_b_whose_data_is_overwritten() -> None:
    """The released code's way, written out: B is a tensor of its own,
    and `.data` hides the ties from autograd."""
    drawn = draw_episode(SIZES, SAMPLES, seed=8)
    theta = THETA.clone().requires_grad_()
    back = [w.T.clone() for w in drawn.W]

    def retied(net: Literal) -> None:
        for n in net.down:
            back[n].data.copy_(net.W[n].detach().T)
            net.carry(n, back[n] @ net.e[n + 1])

    net = Literal(list(drawn.W), {}, theta, retied, literal.bio)
    targets = torch.eye(SIZES[-1], dtype=torch.float64)
    net.learn(drawn.x, targets[drawn.y])
    loss = net.query_loss(drawn.x_query, targets[drawn.y_query])
    (expected,) = torch.autograd.grad(loss, theta)
    rule = ruledsl.compile_rule(ruledsl.load("bio"))
    arguments = (rule, THETA, drawn.W, None, *drawn.arguments()[2:])
    found = meta_gradient(*arguments, feedback="symmetric", engine="retied")
    exact = meta_gradient(*arguments, feedback="symmetric")
    torch.testing.assert_close(found.loss, loss.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.grad, expected, rtol=1e-8, atol=1e-11)
    assert float((found.grad - exact.grad).norm() / exact.grad.norm()) > 1e-3  # it is wrong, as it should be
    with pytest.raises(ValueError, match="needs the feedback `symmetric`"):
        meta_gradient(rule, THETA, *drawn.arguments(), engine="retied")


def test_networks_that_go_on_learning_do_so_alike_in_parts_and_in_compiled_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Learner, "PART", 5)
    drawn = draw_episode(SIZES, SAMPLES, batch=(2,), seed=8)
    rule = ruledsl.compile_rule(ruledsl.load("bio"))
    theta = THETA.expand(2, -1)
    whole = adapt(rule, theta, drawn.W, drawn.B, drawn.x, drawn.y)
    backends: tuple[Backend, ...] = ("eager", "compiled")
    for backend in backends:
        learner = Learner(rule, theta, Network(), drawn.W, drawn.B, backend)
        learner.see(drawn.x[:, :7], drawn.y[:, :7])
        learner.see(drawn.x[:, 7:], drawn.y[:, 7:])
        for n, weights in enumerate(whole):
            torch.testing.assert_close(learner.state[f"W{n}"], weights, rtol=1e-10, atol=1e-12)
