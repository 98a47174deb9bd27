"""Everything an episode can be made of, against sample-by-sample loops; every engine against autograd through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from ruledsl.network.engines import autograd_engine
from ruledsl.network.objectives import Ending
from ruledsl.network.replay import replay_engine
from ruledsl.network.streams import Given, prepare
from ruledsl.pipeline import apart, compile_rule
from torch import Tensor

import ruledsl
from ruledsl.backend import CompiledRule
from ruledsl.contracts.toy import SETTINGS, rule_of, toy_source
from ruledsl.meta import MetaTrainer
from ruledsl.network import Backend, Engine, Learner, meta_gradient, programs_for
from ruledsl.registry import find
from ruledsl.settings import EpisodeRecord, Network, RunSpec
from tests import literal_network as literal
from tests.drawing import Episode, draw_episode
from tests.literal_network import Literal, numbered

SIZES = (6, 5, 4, 3)
SAMPLES = 19
THETA = torch.tensor([0.02, -0.03, -0.01, 0.015, 0.02, 0.01], dtype=torch.float64)
ENGINES: tuple[Engine, ...] = ("auto", "checkpoint", "autograd", "forward")


@dataclass(frozen=True)
class Case:
    """A rule in a network, and the loops that do the same."""

    rule: str
    network: Network
    errors: Callable[[Literal], None]
    update: Callable[[Literal], None] = literal.bio
    hidden: Callable[[Tensor], Tensor] | None = None
    slope: Callable[[Tensor, Tensor], Tensor] | None = None
    added: int = 0
    """Coefficients of the pathway."""
    signals: tuple[tuple[str, int], ...] = ()
    """Names and layers of what is drawn anew at every sample."""
    theta: tuple[float, ...] = ()
    settled: tuple[str, ...] = field(default=())


def kolen_pollack(net: Literal) -> None:
    a, decay = net.theta[:2]
    pairs = list(zip(net.e[1:], net.y, strict=False))
    net.B = {
        f"B{n}": net.B[f"B{n}"] - a * y.outer(e) - decay * net.B[f"B{n}"] for n, (e, y) in enumerate(pairs)
    }
    net.W = [W - a * e.outer(y) - decay * W for W, (e, y) in zip(net.W, pairs, strict=True)]


def weight_mirror(net: Literal) -> None:
    a, mirror, decay = net.theta[:3]
    for n, W in enumerate(list(net.W)):
        noise = net.signals[f"noise{n}"][net.t]
        net.B[f"B{n}"] = net.B[f"B{n}"] + mirror * noise.outer(W @ noise) - decay * net.B[f"B{n}"]
    net.W = [W - a * e.outer(y) for W, e, y in zip(net.W, net.e[1:], net.y, strict=False)]


def three_factor(net: Literal) -> None:
    a, surprise, lasting, eligibility = net.theta[:4]
    moved = []
    for n, W in enumerate(net.W):
        e, y, post = net.e[n + 1], net.y[n], net.y[n + 1]
        kept = net.memory.get(f"y{n}", torch.zeros_like(y))
        pairs = net.memory.get(f"p{n}", torch.zeros_like(W))
        kept, pairs = kept + (y - kept) / 3, pairs + (post.outer(y) - pairs) / 3
        net.memory |= {f"y{n}": kept, f"p{n}": pairs}
        change = -a * e.outer(y) - surprise * net.loss * e.outer(y) - lasting * e.outer(kept)
        moved.append(W + change + eligibility * net.loss * pairs)
    net.W = moved


def biased(net: Literal) -> None:
    a = net.theta[0]
    net.bias = [b - a * e for b, e in zip(net.bias, net.e[1:], strict=True)]
    net.W = [W - a * e.outer(y) for W, e, y in zip(net.W, net.e[1:], net.y, strict=False)]


def shrunk(net: Literal) -> None:
    a, b = net.theta[:2]
    strong = [y.sign() * (y.abs() - 0.1).relu() for y in net.y]
    net.W = [W - e.outer(a * y + b * s) for W, e, y, s in zip(net.W, net.e[1:], net.y, strong, strict=False)]


def dale(net: Literal) -> None:
    """Weights cut off at the sign of their cell: of 6, 5, 4 cells every third is inhibitory."""
    literal.bio(net)
    kept = []
    for W in net.W:
        signs = torch.tensor([-1.0 if (k + 1) % 3 == 0 else 1.0 for k in range(W.shape[1])], dtype=W.dtype)
        kept.append(signs * (signs * W).relu())
    net.W = kept


def tanh(z: Tensor) -> Tensor:
    return torch.tanh(10 * z)


def tanh_slope(_: Tensor, y: Tensor) -> Tensor:
    return 10 * (1 - y * y)


def swish(z: Tensor) -> Tensor:
    return z * torch.sigmoid(10 * z)


def swish_slope(z: Tensor, _: Tensor) -> Tensor:
    gate = torch.sigmoid(10 * z)
    return gate + 10 * z * gate * (1 - gate)


LAYERS = range(len(SIZES) - 1)
CASES = {
    "fixed": Case("bio", Network(), literal.layered),
    "symmetric": Case("bio", Network("symmetric"), literal.transposed),
    "direct": Case("bio", Network("direct"), literal.direct),
    "sign_uniform": Case("bio", Network("sign_uniform"), literal.sign_uniform),
    "sign_fixed": Case("bio", Network("sign_fixed"), literal.sign_fixed),
    "sign_redrawn": Case(
        "bio", Network("sign_redrawn"), literal.sign_redrawn, signals=tuple(("gain", n) for n in range(len(SIZES)))
    ),
    "mixture": Case("bio", Network("mixture"), literal.mixture, added=3, theta=(0.02, -0.03, -0.01, 0.3, 0.6, 0.9)),
    "feedback noise": Case(
        "bio", Network(feedback_noise=0.3), literal.noisy, signals=tuple(("unrest", n) for n in LAYERS)
    ),
    "kolen_pollack": Case("kolen_pollack", Network(), literal.layered, kolen_pollack, theta=(0.02, 0.01)),
    "weight_mirror": Case(
        "weight_mirror", Network(), literal.layered, weight_mirror, signals=tuple(("noise", n) for n in LAYERS),
        theta=(0.02, 0.015, 0.01),
    ),
    "traces and third": Case("three_factor", Network(), literal.layered, three_factor),
    "biases": Case("biased", Network(bias=True), literal.layered, biased),
    "a plugin's function": Case("shrunk", Network(), literal.layered, shrunk),
    "Dale": Case("bio", Network(inhibitory=1 / 3), literal.layered, dale),
    "tanh": Case("bio", Network(activation="tanh"), literal.layered, hidden=tanh, slope=tanh_slope),
    "swish": Case("bio", Network(activation="swish"), literal.layered, hidden=swish, slope=swish_slope),
    "linear output": Case("bio", Network(output="linear"), literal.layered, theta=(0.01, -0.01, -0.005)),
}  # fmt: skip


def draws(case: Case, seed: int) -> tuple[Episode, dict[str, Tensor], dict[str, Tensor]]:
    """An episode, its random matrices by name, and its signals."""
    drawn = draw_episode(SIZES, SAMPLES, seed=seed)
    if case.network.inhibitory:
        signs = [torch.tensor([-1.0 if (k + 1) % 3 == 0 else 1.0 for k in range(n)]) for n in SIZES]
        drawn = replace(drawn, W=[W.abs() * s for W, s in zip(drawn.W, signs, strict=False)])
    generator = torch.Generator().manual_seed(seed + 100)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    wide = case.network.feedback == "direct"
    back = {f"B{n}": normal(SIZES[n], SIZES[-1]) / 2 if wide else drawn.B[n] for n in LAYERS}
    back |= {f"D{n}": normal(SIZES[n], SIZES[-1]) / 2 for n in LAYERS} if case.added else {}
    return drawn, back, {f"{name}{n}": normal(SAMPLES, SIZES[n]) for name, n in case.signals}


def oracle(case: Case, seed: int, theta: Tensor) -> tuple[Tensor, Literal]:
    """The query loss as a differentiable function of theta, and the network after the stream."""
    drawn, back, signals = draws(case, seed)
    functions = {"hidden": case.hidden, "slope": case.slope} if case.hidden else {}
    net = Literal(
        list(drawn.W), dict(back), theta, case.errors, case.update, linear=case.network.output == "linear",
        signals=signals, bias=[torch.zeros(n, dtype=torch.float64) for n in SIZES[1:]] if case.network.bias else [],
        **functions,  # type: ignore[arg-type]
    )  # fmt: skip
    eye = torch.eye(SIZES[-1], dtype=torch.float64)
    net.learn(drawn.x, eye[drawn.y])
    after = replace(net)
    return net.query_loss(drawn.x_query, eye[drawn.y_query]), after


def coefficients(case: Case, rule: CompiledRule) -> Tensor:
    if case.theta:
        return torch.tensor(case.theta, dtype=torch.float64)
    return THETA[: len(rule.names)]


@pytest.mark.parametrize("name", CASES)
def test_every_engine_has_the_gradient_of_autograd_through_the_loops(name: str) -> None:
    case = CASES[name]
    rule = ruledsl.compile_rule(ruledsl.load(case.rule))
    theta = coefficients(case, rule).clone().requires_grad_()
    loss, after = oracle(case, 5, theta)
    (expected,) = torch.autograd.grad(loss, theta)
    assert float(expected.abs().min()) > 0
    drawn, back, signals = draws(case, 5)
    for engine in ENGINES:
        found = meta_gradient(
            rule, theta.detach(), drawn.W, back, drawn.x, drawn.y, drawn.x_query, drawn.y_query,
            engine=engine, backend="eager", network=case.network, signals=signals,
        )  # fmt: skip
        torch.testing.assert_close(found.loss, loss.detach(), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(found.grad, expected, rtol=1e-8, atol=1e-11)
        known = numbered("W", after.W) | after.B | {f"b{n}": b for n, b in enumerate(after.bias, start=1)}
        for key, value in found.carried.items():
            if key in known:
                torch.testing.assert_close(value, known[key].detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_network_in_a_batch_is_the_network_alone(name: str) -> None:
    case = CASES[name]
    rule = ruledsl.compile_rule(ruledsl.load(case.rule))
    theta = coefficients(case, rule)
    both = [draws(case, seed) for seed in (5, 6)]
    stacked = [
        torch.stack(parts)
        for parts in zip(*((*d.W, d.x, d.y, d.x_query, d.y_query) for d, _, _ in both), strict=True)
    ]
    W, rest = stacked[: len(SIZES) - 1], stacked[len(SIZES) - 1 :]
    back = {n: torch.stack([b[n] for _, b, _ in both]) for n in both[0][1]}
    signals = {n: torch.stack([s[n] for _, _, s in both]) for n in both[0][2]}
    found = meta_gradient(
        rule,
        theta.expand(2, -1),
        W,
        back,
        rest[0],
        rest[1],
        rest[2],
        rest[3],
        network=case.network,
        signals=signals,
        backend="eager",
    )
    for row, (drawn, own, heard) in enumerate(both):
        alone = meta_gradient(
            rule, theta, drawn.W, own, drawn.x, drawn.y, drawn.x_query, drawn.y_query,
            network=case.network, signals=heard, backend="eager",
        )  # fmt: skip
        torch.testing.assert_close(found.grad[row], alone.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["direct", "mixture", "kolen_pollack", "tanh", "swish", "linear output"])
def test_pathways_without_matrices_of_their_own_run_as_cpp(name: str) -> None:
    case = CASES[name]
    rule = ruledsl.compile_rule(ruledsl.load(case.rule))
    drawn, back, signals = draws(case, 5)
    backends: tuple[Backend, ...] = ("eager", "compiled")
    results = [
        meta_gradient(
            rule, coefficients(case, rule), drawn.W, back, drawn.x, drawn.y, drawn.x_query, drawn.y_query,
            network=case.network, signals=signals, backend=backend,
        )
        for backend in backends
    ]  # fmt: skip
    torch.testing.assert_close(results[0].grad, results[1].grad, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", ["direct", "mixture", "kolen_pollack", "traces and third", "biases", "Dale"])
def test_the_cuda_path_carries_every_state(name: str) -> None:
    """Its steps, uncaptured: what a GPU would replay."""
    case = CASES[name]
    rule = ruledsl.compile_rule(ruledsl.load(case.rule))
    drawn, back, signals = draws(case, 5)
    theta = coefficients(case, rule)
    prepared = prepare(rule, theta, case.network, Given(drawn.W, back, drawn.x, drawn.y, signals))
    programs = prepared.programs
    queries = (drawn.x_query[None], drawn.y_query[None])
    expected = autograd_engine(programs, prepared.stream, prepared.theta, Ending(programs, *queries, SAMPLES))
    for keeps_weights in {programs.has_dense_rest, True}:
        ending = Ending(programs, *queries, SAMPLES)
        found = replay_engine(programs, prepared.stream, prepared.theta, ending, keeps_weights=keeps_weights)
        torch.testing.assert_close(found.gradient, expected.gradient, rtol=1e-8, atol=1e-11)
        for key, value in found.state.items():
            torch.testing.assert_close(value, expected.state[key], rtol=1e-10, atol=1e-12)


def test_losses_alone_are_those_of_the_engines_with_gradients() -> None:
    rule = ruledsl.compile_rule(ruledsl.load("bio"))
    drawn = draw_episode(SIZES, SAMPLES, batch=(2,), seed=8)
    arguments = (rule, THETA[:3].expand(2, -1), *drawn.arguments())
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


def test_kolen_pollacks_difference_decays_as_theory_says() -> None:
    case = CASES["kolen_pollack"]
    rule = ruledsl.compile_rule(ruledsl.load(case.rule))
    drawn, back, _ = draws(case, 5)
    found = meta_gradient(
        rule, coefficients(case, rule), drawn.W, back, drawn.x, drawn.y, drawn.x_query, drawn.y_query
    ).carried
    for n in LAYERS:
        before, after = drawn.W[n] - back[f"B{n}"].T, found[f"W{n}"] - found[f"B{n}"].T
        torch.testing.assert_close(after, 0.99**SAMPLES * before, rtol=1e-6, atol=1e-12)
        assert not torch.allclose(found[f"W{n}"], 0.99**SAMPLES * drawn.W[n], rtol=1e-3)


def test_a_weight_mirror_turns_feedback_towards_the_transpose() -> None:
    case = CASES["weight_mirror"]
    rule = ruledsl.compile_rule(ruledsl.load("weight_mirror"))
    drawn, back, _ = draws(case, 5)
    long = draw_episode(SIZES, 400, seed=5)
    noise = {
        f"noise{n}": torch.randn(
            400, SIZES[n], dtype=torch.float64, generator=torch.Generator().manual_seed(n)
        )
        for n in LAYERS
    }
    theta = torch.tensor([0.0, 0.02, 0.02], dtype=torch.float64)
    found = meta_gradient(
        rule,
        theta,
        drawn.W,
        back,
        long.x,
        long.y,
        drawn.x_query,
        drawn.y_query,
        network=Network(),
        signals=noise,
    ).carried

    def cosine(a: Tensor, b: Tensor) -> float:
        return float((a * b).sum() / (a.norm() * b.norm()))

    for n in LAYERS:
        before, after = cosine(back[f"B{n}"], drawn.W[n].T), cosine(found[f"B{n}"], drawn.W[n].T)
        assert after > max(0.8, before)


def test_symmetric_feedback_carries_the_exact_gradient() -> None:
    """e_post y_preᵀ equals autograd's ∂loss/∂W in every layer."""
    drawn = draw_episode(SIZES, 1, seed=2)
    leaves = [w.clone().requires_grad_() for w in drawn.W]
    net = Literal(leaves, {}, THETA, literal.transposed, lambda n: None)
    net.learn(drawn.x, torch.eye(SIZES[-1], dtype=torch.float64)[drawn.y])
    exact = torch.autograd.grad(net.loss, leaves)
    rule = ruledsl.compile_rule(ruledsl.load("pseudo_gradient"))
    theta = torch.tensor([1.0], dtype=torch.float64)
    moved = ruledsl.adapt(rule, theta, drawn.W, None, drawn.x, drawn.y, feedback="symmetric")
    for before, after, gradient in zip(drawn.W, moved, exact, strict=True):
        torch.testing.assert_close(before - after, gradient, rtol=1e-6, atol=1e-12)


def test_dales_law_is_kept_to_the_last_weight() -> None:
    case = CASES["Dale"]
    rule = ruledsl.compile_rule(ruledsl.load("bio"))
    drawn, back, _ = draws(case, 5)
    theta = torch.tensor([0.3, -0.2, -0.05], dtype=torch.float64)
    moved = ruledsl.adapt(rule, theta, drawn.W, back, drawn.x, drawn.y, network=case.network)
    zeros = 0
    for before, after in zip(drawn.W, moved, strict=True):
        assert bool((before * after >= 0).all())
        zeros += int((after == 0).sum())
    assert zeros > 0  # the law was needed


def test_a_theta_per_layer_or_population_is_the_shared_one_when_all_are_equal() -> None:
    bio = ruledsl.load("bio")
    drawn, back, _ = draws(CASES["Dale"], 5)
    network = CASES["Dale"].network
    shared = meta_gradient(
        compile_rule(bio),
        THETA[:3],
        drawn.W,
        back,
        drawn.x,
        drawn.y,
        drawn.x_query,
        drawn.y_query,
        network=network,
    )
    for per, count in (("layer", 3), ("population", 4)):
        split = apart(bio, per, 3)
        assert len(split.names) == 3 * count
        found = meta_gradient(
            compile_rule(split), THETA[:3].repeat_interleave(count), drawn.W, back, drawn.x, drawn.y,
            drawn.x_query, drawn.y_query, network=network,
        )  # fmt: skip
        torch.testing.assert_close(found.loss, shared.loss, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(found.grad.reshape(3, count).sum(1), shared.grad, rtol=1e-8, atol=1e-12)


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
            result = meta_gradient(rule, THETA[:3], *drawn.arguments(), engine="forward")
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
    ways: list[tuple[Engine, Backend]] = [*((e, "eager") for e in ENGINES), ("auto", "compiled")]
    results = {
        (engine, backend): meta_gradient(
            rule, THETA[:3].expand(2, -1), *drawn.arguments(), engine=engine, backend=backend,
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
    net = Literal(list(drawn.W), numbered("B", drawn.B), THETA[:3], literal.layered, literal.bio)
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
    plain = meta_gradient(rule, THETA[:3], *drawn.arguments()).loss
    for name, values in (("activity", activity), ("change", change), ("online", online)):
        found = meta_gradient(rule, THETA[:3], *drawn.arguments(), network=Network(costs=((name, 1.0),))).loss
        torch.testing.assert_close(found - plain, torch.stack(values).mean(), rtol=1e-9, atol=1e-12)


def test_an_elementwise_function_of_a_plugin_is_what_it_stands_for() -> None:
    by_plugin = rule_of("term a = -bell(e_post) * shrink(y_pre)^T\nrule r = a\n")
    by_hand = rule_of(
        "term a = -exp(-1/2 * square(e_post)) * (sign(y_pre) .* relu(abs(y_pre) - 1/10 * 1_pre))^T\nrule r = a\n"
    )
    assert by_plugin.forms[0].entry == by_hand.forms[0].entry
    assert str(by_plugin.locality["a"]) == "synapse"


def test_terms_that_share_no_state_have_traces_of_their_own_layer() -> None:
    programs = programs_for(ruledsl.load("three_factor").program, 3, Network())
    traces = {u.target: u.rank for u in programs.step.updates if u.target.startswith("trace")}
    assert sorted(traces.values()) == [1, 1, 1, 2, 2, 2]
    assert programs.has_dense_rest  # third · trace(matrix) is no outer product


def test_noise_on_the_feedback_is_an_objective_that_can_be_added_to_others() -> None:
    """Θ is judged by two streams of each task: one undisturbed, one whose carried errors are noisy."""
    settings = replace(SETTINGS, episodes=3, meta_batch=2)

    def trained(**changes: Any) -> list[EpisodeRecord]:
        rule = compile_rule(ruledsl.load("bio"))
        trainer = MetaTrainer(rule, replace(settings, **changes), [RunSpec(0, 3)], toy_source())
        return [record for episode in range(2) for record in trainer.step(episode)]

    plain, noisy = trained(), trained(feedback_noise=0.2)
    summed = trained(objective=(("query", 1.0), ("feedback_noise", 0.5)))
    assert plain[0].meta_loss != noisy[0].meta_loss
    assert summed[0].meta_loss == pytest.approx(plain[0].meta_loss + 0.5 * noisy[0].meta_loss, rel=1e-12)
    assert summed[0].meta_accuracy == plain[0].meta_accuracy
    alone = trained(objective=(("feedback_noise", 1.0),))
    assert [r.theta for r in alone] == [r.theta for r in noisy]


def test_the_released_codes_gradient_is_that_of_a_b_whose_data_is_overwritten() -> None:
    """The released code's way, written out: B is a tensor of its own, and `.data` hides the ties from autograd."""
    drawn = draw_episode(SIZES, SAMPLES, seed=8)
    theta = THETA[:3].clone().requires_grad_()
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
    arguments = (rule, THETA[:3], drawn.W, None, *drawn.arguments()[2:])
    found = meta_gradient(*arguments, feedback="symmetric", engine="retied")
    exact = meta_gradient(*arguments, feedback="symmetric")
    torch.testing.assert_close(found.loss, loss.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.grad, expected, rtol=1e-8, atol=1e-11)
    assert float((found.grad - exact.grad).norm() / exact.grad.norm()) > 1e-3  # it is wrong, as it should be
    with pytest.raises(ValueError, match="needs the feedback `symmetric`"):
        meta_gradient(rule, THETA[:3], *drawn.arguments(), engine="retied")


def test_networks_that_go_on_learning_do_so_alike_in_parts_and_in_compiled_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Learner, "PART", 5)
    drawn = draw_episode(SIZES, SAMPLES, batch=(2,), seed=8)
    rule = ruledsl.compile_rule(ruledsl.load("bio"))
    theta = THETA[:3].expand(2, -1)
    whole = ruledsl.adapt(rule, theta, drawn.W, drawn.B, drawn.x, drawn.y)
    backends: tuple[Backend, ...] = ("eager", "compiled")
    for backend in backends:
        learner = Learner(rule, theta, Network(), drawn.W, drawn.B, backend)
        learner.see(drawn.x[:, :7], drawn.y[:, :7])
        learner.see(drawn.x[:, 7:], drawn.y[:, 7:])
        for n, weights in enumerate(whole):
            torch.testing.assert_close(learner.state[f"W{n}"], weights, rtol=1e-10, atol=1e-12)
