"""The whole language in C++: every kind of step in each compiled engine, against autograd through it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import ruledsl
from ruledsl import Episode, Locality, TrainSettings
from ruledsl.backend import PRELUDE, CompiledRule, NotPrintable, print_kernel
from ruledsl.compiler import step_adjoint
from ruledsl.contracts import SETTINGS, batch_of, theta_of
from ruledsl.engines import build_step, forget_kernels, kernel_source, meta_gradient
from ruledsl.ir import Builder, Slot, Update
from ruledsl.network import StepPrograms, endings_of, programs_of, variants_of
from tests.engines.test_prelude import NARROWER

F0 = "term f = -e_post * y_pre^T [init = 0.02]\nrule r = f"
FUNCTIONS_OF_W = """
term decay = diag(y_post.^2) * W
term bound = (1_post * 1_pre^T - abs(W)) .* (y_post * y_pre^T)
term signs = sign(W)
term window = exp(-W.^2) .* (y_post * e_pre^T)
term squares = (W .* W) * y_pre * y_pre^T
"""
SUMS_OF_W = """
term scaled = W / norm(W)
term sizes = sum(abs(W)) * y_post * e_pre^T
term cells = y_post * (y_post^T * abs(W))
"""
SUMS_OF_CELLS = """
term oja = y_post * y_pre^T - y_post * y_post^T * W
term entering = (W * 1_pre) * y_pre^T
term leaving = y_post * (W^T * 1_post)^T
term driven = z_post * tanh(y_pre)^T
"""
MEMORY = """
term waiting = third * trace(y_post * y_pre^T, 3)
term lasting = trace(y_post, 5) * y_pre^T
term gated = trace(y_post * y_pre^T, 10) .* W
term mirror for B = noise_pre * response_post^T
term back for B = -B
term offset for bias = -e_post
"""
STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "functions of W": (FUNCTIONS_OF_W, {}),
    "sums over W, which can be rebuilt": (SUMS_OF_W, {}),
    "traces, third factor, noise, B and biases": (MEMORY, {"bias": True, "third": "surprise"}),
    "Dale's law": ("term hebb = y_post * y_pre^T", {"inhibitory": 0.2, "feedback_noise": 0.1}),
    "what can be rebuilt": (SUMS_OF_CELLS, {"feedback": "mixture"}),
    "signs of W carry errors": ("term hebb = y_post * y_pre^T", {"feedback": "sign_fixed"}),
    "an objective of changes": (
        "term eh = -e_post * e_pre^T",
        {"objective": (("query", 1.0), ("change", 0.1))},
    ),
}


REBUILT, CHECKPOINTED = "what can be rebuilt", "traces, third factor, noise, B and biases"
SIZES = (16, 13, 7, 3)
"""More rows than kernels take at once, and no whole number of blocks or lanes."""


def drawn(label: str, dtype: str, **more: Any) -> tuple[CompiledRule, StepPrograms, Episode, Tensor]:
    text, changes = STEPS[label]
    names = [line.split()[1] for line in text.strip().splitlines()]
    rule = ruledsl.compile_rule(ruledsl.rule("\n".join([text, F0 + "".join(f" + {name}" for name in names)])))
    settings = variants_of(SETTINGS.put(dtype=dtype, sizes=SIZES, **{"shots": 4, **changes, **more}))[0]
    batch = batch_of(settings, range(3), rule)
    programs = programs_of(rule.program, settings)
    return rule, programs, batch, theta_of(rule, settings, 3).to(batch.W[0].dtype)


@pytest.mark.parametrize(
    ("label", "dtype"),
    # What differs in float32 is one word of the source; each kind of engine sees it once.
    [*((label, "float64") for label in STEPS), (REBUILT, "float32"), (CHECKPOINTED, "float32")],
)
def test_a_compiled_step_has_autograds_gradient(label: str, dtype: str) -> None:
    rule, programs, batch, theta = drawn(label, dtype)
    build_step(programs, SIZES, batch.W[0].dtype)
    network, tolerance = programs.network, 1e-9 if dtype == "float64" else 1e-5
    true = meta_gradient(rule, theta, batch, network=network, engine="autograd")
    assert bool(true.grad.isfinite().all())
    terms = true.grad[:, : len(rule.names)]
    assert bool((terms != 0).any(0).all()), "a coefficient that nothing depends on shows nothing"
    engines = ["checkpoint", *([] if programs.has_dense_rest else ["rebuild"])]
    for engine in engines:
        found = meta_gradient(rule, theta, batch, network=network, engine=engine, backend="compiled")
        assert found.engine == engine
        torch.testing.assert_close(found.loss, true.loss, rtol=tolerance, atol=tolerance)
        error = (found.grad - true.grad).norm(dim=1) / true.grad.norm(dim=1)
        assert float(error.max()) < tolerance
        for name, value in true.carried.items():
            torch.testing.assert_close(found.carried[name], value, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.fixture
def fresh_kernels() -> Iterator[None]:
    """Nothing that was written before the test is used in it, nor after it what was written there."""
    forget_kernels()
    yield
    forget_kernels()


@pytest.mark.usefixtures("fresh_kernels")
@pytest.mark.parametrize("hidden", [NARROWER["AVX"], NARROWER["less"]])
@pytest.mark.parametrize(("label", "dtype"), [(REBUILT, "float32"), (CHECKPOINTED, "float64")])
def test_a_processor_with_narrower_registers_finds_the_same_gradient(
    label: str, dtype: str, hidden: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ruledsl.backend.cpp.PRELUDE", hidden + PRELUDE)
    test_a_compiled_step_has_autograds_gradient(label, dtype)


def test_what_nobody_looks_back_at_is_not_rebuilt() -> None:
    """F⁰'s gradient asks for no weight of the first layer; bio's does, since Oja's rule reads W0ᵀ y."""
    named = tuple((f"n{n}", 20 - n) for n in range(6))
    looked_back = {}
    for name in ("feedback_alignment", "bio"):
        programs = programs_of(ruledsl.compile_rule(ruledsl.load(name)).program, TrainSettings.of())
        looked_back[name] = kernel_source(programs, named, "float").inputs.looked_back
    assert looked_back["feedback_alignment"] == {f"W{n}" for n in range(1, 5)}
    assert looked_back["bio"] == {f"W{n}" for n in range(5)}


SATURATING = {
    "an inner product": "tanh((W^T * exp(1000 * y_post))^T * (W^T * y_post)) * e_post * y_pre^T",
    "a computed matrix": "tanh(abs(W) * (W^T * exp(1000 * y_post))) .* e_post * y_pre^T",
    "a product of products": "tanh(W * (W^T * exp(1000 * y_post))) .* e_post * y_pre^T",
    "one of both": "tanh(W * (abs(W)^T * exp(1000 * y_post))) .* e_post * y_pre^T",
}


@pytest.mark.usefixtures("fresh_kernels")
@pytest.mark.parametrize("library", [16, 1])
@pytest.mark.parametrize("label", SATURATING)
def test_what_overflows_and_saturates_does_so_as_in_torch(
    label: str, library: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the last column of W, where it is 0, 0 · ∞ must not become a NaN that others read; nor in a
    library's code, which is written from so many coefficients on."""
    monkeypatch.setattr("ruledsl.backend.cpp.LIBRARY", library)
    rule = ruledsl.compile_rule(ruledsl.rule(f"term t = {SATURATING[label]}\n{F0} + t", allow=Locality.layer))
    settings = variants_of(SETTINGS.put(dtype="float32", sizes=SIZES, shots=2))[0]
    batch = batch_of(settings, range(2), rule)
    positive = replace(batch, W=[2 * w.abs() + 0.1 for w in batch.W])
    programs = programs_of(rule.program, settings)
    build_step(programs, SIZES, batch.W[0].dtype)
    theta = 1e-3 * theta_of(rule, settings, 2).float()
    eager, compiled = (
        meta_gradient(rule, theta, positive, programs.network, engine="none", backend=backend)
        for backend in ("eager", "compiled")
    )
    assert bool(eager.loss.isfinite().all())
    torch.testing.assert_close(compiled.loss, eager.loss, rtol=1e-4, atol=0)


class LargestTensor(TorchDispatchMode):
    """How many numbers the largest tensor has that is made meanwhile."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.size = max(self.size, made.untyped_storage().nbytes() // made.element_size())
        return made


@pytest.mark.parametrize(
    ("label", "dtype", "objective", "samples"),
    [
        (REBUILT, "float64", "area", 12),
        (CHECKPOINTED, "float32", "area", 12),
        (REBUILT, "float64", "change", 12),
        *((REBUILT, "float64", "area", samples) for samples in (1, 2, 3)),
    ],
)
def test_learning_alone_ends_where_a_training_does_and_holds_less(
    label: str, dtype: str, objective: str, samples: int
) -> None:
    """To the bit, wherever an objective stops to look at the weights, or what every sample costs."""
    task = {"labels": 3, "shots": 4} if samples == 12 else {"labels": 1, "shots": samples}
    asked = (("query", 1.0), (objective, 0.5))
    rule, programs, batch, theta = drawn(label, dtype, objective=asked, **task)
    assert batch.x.shape[1] == samples
    build_step(programs, SIZES, batch.W[0].dtype)
    found, held = [], []
    for engine in ("none", "checkpoint" if programs.has_dense_rest else "rebuild"):
        with LargestTensor() as largest:
            lived = meta_gradient(
                rule, theta, batch, programs.network, engine=engine, backend="compiled",
                objectives=endings_of(SETTINGS.put(objective=asked)),
            )  # fmt: skip
        found.append(lived)
        held.append(largest.size)
    alone, trained = found
    assert torch.equal(alone.loss, trained.loss)
    for name, value in trained.carried.items():
        assert torch.equal(alone.carried[name], value), name
    if samples == 12 and objective == "area":  # what samples cost is kept to be paid
        assert 2 * held[0] < held[1], "most of an episode is for backward"


def test_noise_on_weights_is_the_same_in_every_precision() -> None:
    asked = (("weight_noise", 1.0),)
    rule, programs, batch, theta = drawn(REBUILT, "float32", objective=asked)
    double = replace(
        batch, W=[w.double() for w in batch.W], B={n: b.double() for n, b in batch.feedback.items()},
        x=batch.x.double(), x_query=batch.queries[0].double(),
    )  # fmt: skip
    noisy = endings_of(SETTINGS.put(objective=asked))
    single, exact = (
        meta_gradient(rule, t, b, programs.network, engine="none", objectives=noisy)
        for b, t in ((batch, theta), (double, theta.double()))
    )
    torch.testing.assert_close(single.loss.double(), exact.loss, rtol=1e-4, atol=0)


def test_layers_that_do_the_same_share_their_code() -> None:
    programs = programs_of(ruledsl.compile_rule(ruledsl.load("bio")).program, TrainSettings.of())
    code = "".join(kernel_source(programs, tuple((f"n{n}", 20 - n) for n in range(6)), "float").units)
    functions = set(re.findall(r"void (pass\d+)\(", code))
    calls = re.findall(r"^ +(pass\d+)\(", code, re.MULTILINE)
    assert set(calls) == functions
    assert len(calls) > 2 * len(functions)


def test_a_product_of_matrices_has_no_compiled_form_and_says_so() -> None:
    rule = ruledsl.compile_rule(ruledsl.rule("term t = W * W^T * W"))
    with pytest.raises(NotPrintable, match="`matmul` gives a matrix that is not one entry by entry"):
        build_step(programs_of(rule.program, SETTINGS), SIZES, torch.float32)


def test_a_step_that_adds_a_transposed_matrix_has_none_either() -> None:
    """No rule can be written that does; a pathway of the future might."""
    b = Builder()
    turned = b.transpose(b.input("B0", ("n0", "n1")))
    read = b.sum(b.input("W0", ("n1", "n0")))
    pair = step_adjoint(b.finish({"z": read}, [Update(Slot.read("W0"), dense=turned)]))
    with pytest.raises(NotPrintable, match="a transposed matrix is added to another one"):
        print_kernel(pair, {"n0": 3, "n1": 2}, "float")
