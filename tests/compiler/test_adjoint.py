"""The adjoint gauntlet: every row of the op table, whole steps, every engine,
on gradients that are not zero."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ruledsl
from ruledsl.backend import BINARY, KERNELS, REFERENCE_KERNELS, SHAPED, CompiledRule, EagerProgram
from ruledsl.compiler import step_adjoint
from ruledsl.engines import kernel_source
from ruledsl.ir import LOADS, OPS, Builder, Patches
from ruledsl.network import programs_for, step_program
from ruledsl.settings import Network
from tests.algebra.test_algebra import compiled as compiled_term
from tests.calls import meta_gradient
from tests.drawing import Episode, draw_episode, terms

SIZES = {"a": 3, "b": 4, "c": 2, "@1": 20, "@2": 3, "k": 4, "n": 12}
SHAPES: dict[str, tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]] = {
    "sum": ((("a", "b"),), ()),
    "row_sum": ((("a", "b"),), ("a",)),
    "column_sum": ((("a", "b"),), ("b",)),
    "dot": ((("a",), ("a",)), ()),
    "matvec": ((("a", "b"), ("b",)), ("a",)),
    "rmatvec": ((("a", "b"), ("a",)), ("b",)),
    "outer": ((("a",), ("b",)), ("a", "b")),
    "matmul": ((("a", "b"), ("b", "c")), ("a", "c")),
    "transpose": ((("a", "b"),), ("b", "a")),
    "rows": ((("a",),), ("a", "b")),
    "columns": ((("b",),), ("a", "b")),
    "fill": (((),), ("a", "b")),
    "add": (((), ("a",)), ("a",)),
    "sub": ((("a",), ()), ("a",)),
    "mul": (((), ("a", "b")), ("a", "b")),
    "softmax": ((("a",),), ("a",)),
    "patches": ((("n",),), ("@1", "k")),
    "overlap": ((("@1", "k"),), ("n",)),
    "grid": ((("n",),), ("@2", "b")),
    "flat": ((("@2", "b"),), ("n",)),
}
PATCHES = Patches(height=3, width=4, channels=1, kernel=2, padding=1)
ATTRIBUTES = {"pow": 1.5, "softplus": 10.0, "patches": str(PATCHES), "overlap": str(PATCHES)}
AT_POSITIONS = {
    "matvec": ((("a", "b"), ("@2", "b")), ("@2", "a")),
    "rmatvec": ((("a", "b"), ("@2", "a")), ("@2", "b")),
    "outer": ((("@2", "a"), ("@2", "b")), ("a", "b")),
}
"""The same ops where a vector stands at every position of a convolution."""
DIFFERENTIABLE = sorted(set(OPS) - set(LOADS))


def build(op: str, at_positions: bool) -> tuple[Builder, list[int], int]:
    shapes, shape = (AT_POSITIONS if at_positions else SHAPES).get(op, ((("a",),), ("a",)))
    b = Builder()
    arguments = [b.input(f"in{n}", s) for n, s in enumerate(shapes)]
    return b, arguments, b.emit(op, arguments, shape, ATTRIBUTES.get(op))


def draw_inputs(shapes: list[tuple[str, ...]], seed: int) -> dict[str, torch.Tensor]:
    """Positive values: inside every op's domain, and away from the kinks of relu, abs and sign."""
    generator = torch.Generator().manual_seed(seed)
    return {
        f"in{n}": torch.rand([SIZES[d] for d in s], dtype=torch.float64, generator=generator) * 0.3 + 0.1
        for n, s in enumerate(shapes)
    }


def test_every_backend_has_exactly_the_ops_of_the_table() -> None:
    assert set(KERNELS) | set(LOADS) | set(SHAPED) | set(BINARY) == set(OPS)
    assert set(REFERENCE_KERNELS) | {"input", "theta", "size"} == set(OPS)


@pytest.mark.parametrize(
    ("op", "at_positions"), [(op, False) for op in DIFFERENTIABLE] + [(op, True) for op in AT_POSITIONS]
)
def test_the_adjoint_of_an_op_satisfies_the_inner_product_identity(op: str, at_positions: bool) -> None:
    """⟨J x, y⟩ = ⟨x, Jᵀ y⟩ with J x by central differences of the op itself."""
    b, arguments, result = build(op, at_positions)
    shapes = [b.shape(a) for a in arguments]
    cotangent = b.input("cotangent", b.shape(result))
    pulled = OPS[op].adjoint(b, ATTRIBUTES.get(op), arguments, result, cotangent)
    outputs = {f"bar{n}": p for n, p in enumerate(pulled) if p is not None}
    program = b.finish({"result": result, **outputs})
    point, direction = draw_inputs(shapes, 1), draw_inputs(shapes, 2)
    random = torch.Generator().manual_seed(3)
    weight = torch.randn([SIZES[d] for d in b.shape(result)], dtype=torch.float64, generator=random)
    step = 1e-6

    def run(shift: float) -> dict[str, torch.Tensor]:
        moved = {k: v + shift * direction[k] for k, v in point.items()} | {"cotangent": weight}
        values = EagerProgram(program, SIZES).run(moved, torch.zeros(1, dtype=torch.float64))
        return {name: torch.as_tensor(values[n]) for name, n in program.outputs}

    forward = ((run(step)["result"] - run(-step)["result"]) / (2 * step) * weight).sum()
    found = run(0.0)
    backward = sum(
        (found[f"bar{n}"] * direction[f"in{n}"]).sum() for n in range(len(arguments)) if f"bar{n}" in found
    )
    if op in ("step", "sign"):
        assert float(forward) == 0.0
        return
    assert abs(float(forward)) > 1e-3
    torch.testing.assert_close(torch.as_tensor(backward), forward, rtol=1e-7, atol=1e-9)


ENGINES = [("rebuild", "eager"), ("rebuild", "compiled"), ("checkpoint", "auto")]
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


def pool_theta(batch: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    # Small enough that 250 samples do not diverge: a chaotic stream amplifies rounding in any engine.
    return (1e-4 * torch.randn(*batch, 10, dtype=torch.float64, generator=generator)).to(dtype)


@pytest.mark.parametrize(
    ("samples", "feedback", "dtype"),
    [
        *product((0, 1, 40), ("fixed", "symmetric"), (torch.float64, torch.float32)),
        (250, "fixed", torch.float64),
        (100, "symmetric", torch.float32),
    ],
)
def test_every_engine_gives_autograds_gradient(samples: int, feedback: str, dtype: torch.dtype) -> None:
    """One reference for all three engines: at the paper's length autograd is most of the time."""
    F = ruledsl.compile_rule(ruledsl.load("pool"))
    episode = draw_episode((9, 7, 6, 5), samples, batch=(2,), dtype=dtype)
    theta = pool_theta((2,), dtype)
    # In float32 the stream itself rounds, in autograd as in ours: the reference has the same precision.
    expected = meta_gradient(F, theta, *episode.arguments(), feedback=feedback, engine="autograd")
    for engine, backend in ENGINES:
        found = meta_gradient(
            F, theta, *episode.arguments(), feedback=feedback, engine=engine, backend=backend
        )  # type: ignore[arg-type]
        assert found.engine == engine
        if samples:
            assert float(expected.grad.abs().min()) > 0
            error = (found.grad - expected.grad).norm() / expected.grad.norm()
            assert float(error) <= TOLERANCE[dtype], engine
        else:
            assert float(found.grad.abs().max()) == 0.0
        torch.testing.assert_close(found.loss, expected.loss, rtol=10 * TOLERANCE[dtype], atol=0)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(terms(3), st.sampled_from(["fixed", "symmetric"]), st.sampled_from([1, 12]))
def test_drawn_rules_have_autograds_gradient_in_every_engine(
    term: object, feedback: str, samples: int
) -> None:
    program = compiled_term(term)  # type: ignore[arg-type]
    F = CompiledRule(program)
    episode = draw_episode((4, 3, 3), samples, seed=2)
    theta = torch.full((1,), 1e-3, dtype=torch.float64)
    expected = meta_gradient(F, theta, *episode.arguments(), feedback=feedback, engine="autograd")
    if not bool(expected.grad.isfinite().all()) or float(expected.grad.abs().max()) < 1e-10:
        return
    for engine in ("auto", "checkpoint"):
        found = meta_gradient(F, theta, *episode.arguments(), feedback=feedback, engine=engine)  # type: ignore[arg-type]
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", ["soft_bound", "competition", "bcm", "oja_single", "covariance", "bio"])
def test_shipped_rules_run_in_the_automatic_engine(name: str) -> None:
    rule = ruledsl.load(name)
    F = ruledsl.compile_rule(rule)
    episode = draw_episode((6, 5, 4), 30, batch=(2,))
    theta = torch.full((2, len(rule.names)), 2e-3, dtype=torch.float64)
    expected = meta_gradient(F, theta, *episode.arguments(), engine="autograd")
    found = meta_gradient(F, theta, *episode.arguments())
    assert found.engine == "rebuild"
    torch.testing.assert_close(found.grad, expected.grad, rtol=1e-9, atol=1e-14)


def test_a_wrong_adjoint_rule_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with the adjoint of `matvec` forgetting its vector, the gradient is off."""
    F = ruledsl.compile_rule(ruledsl.load("pool"))
    episode = draw_episode((6, 5, 4), 10)
    theta = pool_theta((), torch.float64)
    expected = meta_gradient(F, theta, *episode.arguments(), engine="autograd").grad
    wrong = replace(OPS["matvec"], adjoint=lambda b, t, a, r, c: (b.outer(c, a[1]), None))
    monkeypatch.setitem(OPS, "matvec", wrong)  # type: ignore[arg-type]
    programs_for.cache_clear()
    try:
        found = meta_gradient(F, theta, *episode.arguments(), engine="rebuild", backend="eager").grad
    finally:
        programs_for.cache_clear()
    assert float((found - expected).norm() / expected.norm()) > 1e-6  # a right one agrees to 1e-12


def test_rebuilding_that_would_lose_precision_is_refused_and_said() -> None:
    """With κ near −1 a step forgets its weights: they cannot be rebuilt, and the result says so."""
    F = ruledsl.compile_rule(ruledsl.load("pool"))
    episode = draw_episode((6, 5, 4), 40)
    theta = torch.zeros(10, dtype=torch.float64)
    theta[0], theta[3] = 1e-3, 0.9
    found = meta_gradient(F, theta, *episode.arguments())
    assert found.engine == "checkpoint"
    expected = meta_gradient(F, theta, *episode.arguments(), engine="autograd")
    torch.testing.assert_close(found.grad, expected.grad, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("backend", ["eager", "compiled"])
def test_entries_that_shrank_to_nothing_are_not_undone_but_kept(backend: str) -> None:
    """Each weight is multiplied by 1 − θ y_pre² 90 times: what was added before is below rounding."""
    text = "term f0 = -e_post * y_pre^T\nterm decay = -W * diag(y_pre.^2)\nrule r = f0[fixed = 0.01] + decay"
    F = ruledsl.compile_rule(ruledsl.rule(text))
    episode = draw_episode((6, 5, 4), 90, batch=(2,))
    for size, engine in ((1e-2, "rebuild"), (0.9, "checkpoint")):
        theta = torch.tensor([[0.01, size]] * 2, dtype=torch.float64)
        found = meta_gradient(F, theta, *episode.arguments(), backend=backend)  # type: ignore[arg-type]
        assert found.engine == engine
        expected = meta_gradient(F, theta, *episode.arguments(), engine="autograd")
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("kept", [0.1, 1e-4, 0.0])
def test_weights_that_cannot_be_undone_even_between_two_borders_are_kept(kept: float) -> None:
    """A step leaves each weight so much of itself: at 0.1 six can be undone, at 10⁻⁴ not, at 0 none."""
    text = "term f0 = -e_post * y_pre^T\nterm decay = -W\nrule r = f0 + decay"
    F = ruledsl.compile_rule(ruledsl.rule(text))
    episode = draw_episode((6, 5, 4), 40)
    theta = torch.tensor([0.05, 1.0 - kept], dtype=torch.float64)
    expected = meta_gradient(F, theta, *episode.arguments(), engine="autograd")
    for backend in ("eager", "compiled"):
        found = meta_gradient(F, theta, *episode.arguments(), engine="checkpoint", backend=backend)  # type: ignore[arg-type]
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-9, atol=1e-14)


def test_what_is_undone_stays_0_beyond_the_last_column() -> None:
    """κ = −1 with gains that keep the weights alive: in the padding of a row that would be 0 / 0."""
    text = "term f = -e_post * y_pre^T\nterm d = -W\nterm h = diag(tanh(10 * y_post)) * W\nrule r = f + d + h"
    F = ruledsl.compile_rule(ruledsl.rule(text))
    episode = draw_episode((20, 18, 4), 8)  # few enough for a rebuilt W_0 to be met
    theta = torch.tensor([0.02, 1.0, 1.0], dtype=torch.float64)
    expected = meta_gradient(F, theta, *episode.arguments(), engine="autograd")
    for engine in ("rebuild", "checkpoint"):
        found = meta_gradient(F, theta, *episode.arguments(), engine=engine, backend="compiled")  # type: ignore[arg-type]
        assert found.engine == engine
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-8, atol=1e-13)


def test_every_matrix_must_be_met_when_a_segment_is_undone() -> None:
    """Only the last layer forgets its weights."""
    text = "term f0 = -e_post * y_pre^T\nterm decay = -W\nrule r = f0 + decay[layers = 2]"
    F = ruledsl.compile_rule(ruledsl.rule(text))
    episode = draw_episode((6, 5, 4), 40)
    theta = torch.tensor([0.05, 1.0 - 1e-4], dtype=torch.float64)
    expected = meta_gradient(F, theta, *episode.arguments(), engine="autograd")
    found = meta_gradient(F, theta, *episode.arguments(), engine="checkpoint", backend="compiled")
    torch.testing.assert_close(found.grad, expected.grad, rtol=1e-9, atol=1e-14)


def test_a_diverged_run_says_so_and_leaves_its_neighbours_alone() -> None:
    F = ruledsl.compile_rule(ruledsl.load("pool"))
    episode = draw_episode((6, 5, 4), 60, batch=(2,), dtype=torch.float32)
    theta = torch.zeros(2, 10)
    theta[:, 0] = 1e-3
    theta[1, 5] = 1e30
    for backend in ("eager", "compiled"):
        found = meta_gradient(F, theta, *episode.arguments(), backend=backend)  # type: ignore[arg-type]
        assert bool(found.grad[0].isfinite().all())
        assert not bool(found.grad[1].isfinite().all())
        alone = meta_gradient(F, theta[0], *episode.run(0).arguments(), backend=backend)  # type: ignore[arg-type]
        torch.testing.assert_close(found.grad[0], alone.grad, rtol=1e-5, atol=1e-7)


def test_cost_does_not_grow_with_terms_that_share_vectors() -> None:
    few, many = (ruledsl.load(n).program for n in ("ehebb", "pool"))
    small, large = (step_adjoint(step_program(p, 3, Network())) for p in (few, many))

    def passes(pair: object, side: str) -> int:
        return sum(i.op in ("matvec", "rmatvec") for i in getattr(pair, side).instructions)

    assert passes(large, "forward") <= passes(small, "forward") + 3  # one Wᵀ y_post per layer
    assert passes(large, "backward") <= 3 * passes(small, "backward")


def test_generated_code_depends_on_nothing_but_the_program() -> None:
    sizes = (("n0", 5), ("n1", 4), ("n2", 3))
    programs = programs_for(ruledsl.load("bio").program, 2, Network())
    first = kernel_source(programs, sizes, "float")
    kernel_source.cache_clear()
    programs_for.cache_clear()
    again = kernel_source(programs_for(ruledsl.load("bio").program, 2, Network()), sizes, "float")
    assert first == again


def one_of_two_lost() -> tuple[CompiledRule, torch.Tensor, Episode]:
    """κ near −1 in the second of two runs: its weights cannot be rebuilt."""
    F = ruledsl.compile_rule(ruledsl.load("pool"))
    episode = draw_episode((6, 5, 4), 40, batch=(2,))
    theta = torch.zeros(2, 10, dtype=torch.float64)
    theta[:, 0] = 1e-3
    theta[1, 3] = 0.9
    return F, theta, episode


def test_a_run_that_cannot_be_rebuilt_does_not_slow_its_neighbours() -> None:
    """Only that one takes the other engine, and both gradients are exact."""
    F, theta, episode = one_of_two_lost()
    expected = meta_gradient(F, theta, *episode.arguments(), engine="autograd")
    for backend in ("eager", "compiled"):
        found = meta_gradient(F, theta, *episode.arguments(), backend=backend)  # type: ignore[arg-type]
        assert found.engine == "rebuild and checkpoint"
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-9, atol=1e-14)
        torch.testing.assert_close(found.loss, expected.loss, rtol=1e-12, atol=0)


def test_a_run_that_cannot_be_rebuilt_may_be_dropped() -> None:
    """`on_lost` "drop": no gradient for that run, the loss and all of its neighbours as they were."""
    F, theta, episode = one_of_two_lost()
    again = meta_gradient(F, theta, *episode.arguments())
    found = meta_gradient(F, theta, *episode.arguments(), on_lost="drop")
    assert found.engine == "rebuild"
    assert found.grad[1].isnan().all()
    torch.testing.assert_close(found.grad[0], again.grad[0], rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(found.loss, again.loss, rtol=1e-12, atol=0)
