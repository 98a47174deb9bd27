"""Everything an episode can be made of, against sample-by-sample loops;
every engine against autograd through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

import ruledsl
from ruledsl.backend import CompiledRule
from ruledsl.engines import Autograd, Backend, Ending, Replay, ReplayKeeping
from ruledsl.engines import Case as Given
from ruledsl.ir import Kind
from ruledsl.network import prepare, programs_for
from ruledsl.rules import apart
from ruledsl.rules import rule as rule_of
from ruledsl.settings import Network
from tests import literal_network as literal
from tests.calls import adapt, meta_gradient
from tests.drawing import Episode, draw_episode
from tests.literal_network import Literal, numbered

SIZES = (6, 5, 4, 3)
SAMPLES = 19
THETA = torch.tensor([0.02, -0.03, -0.01, 0.015, 0.02, 0.01], dtype=torch.float64)
ENGINES: tuple[str, ...] = ("auto", "checkpoint", "autograd", "forward")


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
        "bio", Network("sign_redrawn"), literal.sign_redrawn, signals=tuple(("gain",
        n) for n in range(len(SIZES)))
    ),
    "mixture": Case("bio", Network("mixture"), literal.mixture, added=3, theta=(0.02, -0.03, -0.01, 0.3, 0.6,
    0.9)),
    "feedback noise": Case(
        "bio", Network(feedback_noise=0.3), literal.noisy, signals=tuple(("unrest", n) for n in LAYERS)
    ),
    "kolen_pollack": Case("kolen_pollack", Network(), literal.layered, kolen_pollack, theta=(0.02, 0.01)),
    "weight_mirror": Case(
        "weight_mirror", Network(), literal.layered, weight_mirror, signals=tuple(("noise",
        n) for n in LAYERS),
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
        signals=signals, bias=[torch.zeros(n,
        dtype=torch.float64) for n in SIZES[1:]] if case.network.bias else [],
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
    prepared = prepare(
        rule, theta, case.network, ruledsl.Episode(drawn.W, back, drawn.x, drawn.y, signals=signals)
    )
    programs = prepared.programs
    queries = (drawn.x_query[None], drawn.y_query[None])
    given = Given(programs, prepared.stream, prepared.theta)
    expected = Autograd().run(given, Ending(programs, *queries, SAMPLES))
    for engine in (ReplayKeeping(), *([] if programs.has_dense_rest else [Replay()])):
        found = engine.run(given, Ending(programs, *queries, SAMPLES))
        torch.testing.assert_close(found.gradient, expected.gradient, rtol=1e-8, atol=1e-11)
        for key, value in found.state.items():
            torch.testing.assert_close(value, expected.state[key], rtol=1e-10, atol=1e-12)


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
    moved = adapt(rule, theta, drawn.W, None, drawn.x, drawn.y, feedback="symmetric")
    for before, after, gradient in zip(drawn.W, moved, exact, strict=True):
        torch.testing.assert_close(before - after, gradient, rtol=1e-6, atol=1e-12)


def test_dales_law_is_kept_to_the_last_weight() -> None:
    case = CASES["Dale"]
    rule = ruledsl.compile_rule(ruledsl.load("bio"))
    drawn, back, _ = draws(case, 5)
    theta = torch.tensor([0.3, -0.2, -0.05], dtype=torch.float64)
    moved = adapt(rule, theta, drawn.W, back, drawn.x, drawn.y, network=case.network)
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
        ruledsl.compile_rule(bio),
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
            ruledsl.compile_rule(split), THETA[:3].repeat_interleave(count), drawn.W, back, drawn.x, drawn.y,
            drawn.x_query, drawn.y_query, network=network,
        )  # fmt: skip
        torch.testing.assert_close(found.loss, shared.loss, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(found.grad.reshape(3, count).sum(1), shared.grad, rtol=1e-8, atol=1e-12)


def test_an_elementwise_function_of_a_plugin_is_what_it_stands_for() -> None:
    by_plugin = rule_of("term a = -bell(e_post) * shrink(y_pre)^T\nrule r = a\n")
    by_hand = rule_of(
        "term a = -exp(-1/2 * square(e_post)) * (sign(y_pre) .* relu(abs(y_pre) - 1/10 * 1_pre))^T\nrule r = "
        "a\n"
    )
    assert by_plugin.forms[0].entry == by_hand.forms[0].entry
    assert str(by_plugin.locality["a"]) == "synapse"


def test_terms_that_share_no_state_have_traces_of_their_own_layer() -> None:
    programs = programs_for(ruledsl.load("three_factor").program, 3, Network())
    traces = {u.target: u.rank for u in programs.step.updates if u.target.kind == Kind.trace}
    assert sorted(traces.values()) == [1, 1, 1, 2, 2, 2]
    assert programs.has_dense_rest  # third · trace(matrix) is no outer product
