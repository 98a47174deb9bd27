"""Where an input is 0, nothing of the first layer is read or moved, and nothing comes out otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import ruledsl
from ruledsl import Episode
from ruledsl.backend import CompiledRule, silent_matrices
from ruledsl.contracts import SETTINGS, theta_of
from ruledsl.engines import build_step, meta_gradient
from ruledsl.network import StepPrograms, programs_of
from ruledsl.tasks import draw_episodes, open_dataset

SIZES = (49, 6, 5, 3)
"""No size is a whole number of lanes."""
SILENT: dict[tuple[str, str], set[str]] = {
    ("feedback_alignment", "fixed"): {"W0"},
    ("backprop", "symmetric"): {"W0"},
    ("error_hebb", "fixed"): {"W0", "B0"},
    ("error_hebb", "direct"): {"W0", "B0"},
    ("bio", "fixed"): {"B0"},
    ("pool", "fixed"): {"B0"},
    ("pool", "symmetric"): set(),
    ("kolen_pollack", "fixed"): set(),
}
"""By rule and feedback; those whose update reads Wᵀ y, or a decay, move every column of W0."""
OTHERS = {
    "term f = -e_post * y_pre^T": {"W0"},
    "term f = -e_post * (y_pre + 1_pre)^T": set(),
    "term f = -e_post * y_pre^T + y_post * mean(y_pre) * y_pre^T": {"W0"},
    "term f = -e_post * y_pre^T + mean(e_pre) * y_post * y_pre^T": {"W0"},
    "term f = -e_post * y_pre^T - y_post * trace(y_pre, 3)^T": set(),
    "term f = -e_post * y_pre^T + sum(W) * y_post * y_pre^T": set(),
    "term f = -e_post * tanh(y_pre)^T": {"W0"},
    "term f = -e_post * y_pre^T + (W * 1_pre) * y_pre^T": set(),
    "term f = -e_post * y_pre^T + (W * y_pre) * y_pre^T": {"W0"},
    "term f = -e_post * exp(y_pre)^T": set(),
    "term f = -e_post * (y_pre .* log(y_pre))^T": set(),
    "term f = -e_post * (y_pre .* (y_pre + 1_pre).^-1)^T": {"W0"},
}


def programs(rule: CompiledRule, feedback: str = "fixed") -> StepPrograms:
    return programs_of(rule.program, SETTINGS.put(sizes=SIZES, feedback=feedback))


def sparse(rule: CompiledRule, feedback: str) -> tuple[Episode, Tensor]:
    """Streams of which most inputs are 0, others at each sample; one sample is all 0, and one has none."""
    settings = SETTINGS.put(sizes=SIZES, shots=4, feedback=feedback, dtype="float64")
    needs = programs(rule, feedback).needs(SIZES)
    batch = draw_episodes(needs, settings, open_dataset("glyphs", Path()), [(n, 0, 0) for n in range(3)])
    chosen = torch.rand(batch.x.shape, generator=torch.Generator().manual_seed(1)) < 0.3
    chosen[:, 1], chosen[:, 2] = False, True
    return replace(batch, x=(batch.x + 0.1) * chosen), theta_of(rule, settings, 3).double()


@pytest.mark.parametrize(("name", "feedback"), SILENT)
def test_it_is_known_which_matrices_a_silent_input_leaves_alone(name: str, feedback: str) -> None:
    rule = ruledsl.compile_rule(ruledsl.load(name))
    assert silent_matrices(programs(rule, feedback).adjoint) == SILENT[name, feedback]


@pytest.mark.parametrize("text", OTHERS)
def test_what_reads_or_moves_silent_inputs_is_noticed(text: str) -> None:
    rule = ruledsl.compile_rule(ruledsl.rule(f"{text}\nrule r = f"))
    assert silent_matrices(programs(rule).adjoint) & {"W0"} == OTHERS[text]


@pytest.mark.parametrize(
    ("name", "feedback"), [("feedback_alignment", "fixed"), ("error_hebb", "direct"), ("bio", "fixed")]
)
def test_gradients_on_silent_inputs_are_autograds(name: str, feedback: str) -> None:
    rule = ruledsl.compile_rule(ruledsl.load(name))
    batch, theta = sparse(rule, feedback)
    network = programs(rule, feedback).network
    build_step(programs(rule, feedback), SIZES, torch.float64)
    true = meta_gradient(rule, theta, batch, network, engine="autograd")
    for engine in ("rebuild", "checkpoint"):
        found = meta_gradient(rule, theta, batch, network, engine=engine, backend="compiled")
        torch.testing.assert_close(found.grad, true.grad, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(found.loss, true.loss, rtol=1e-12, atol=1e-12)
        for label, value in true.carried.items():
            torch.testing.assert_close(found.carried[label], value, rtol=1e-10, atol=1e-10)


def test_weights_of_inputs_that_are_never_active_are_not_looked_at() -> None:
    rule = ruledsl.compile_rule(ruledsl.load("error_hebb"))
    batch, theta = sparse(rule, "fixed")
    batch.x[:, :, ::2] = 0.0
    W, B = [w.clone() for w in batch.W], {name: b.clone() for name, b in batch.feedback.items()}
    W[0][:, :, ::2] = torch.nan
    B["B0"][:, ::2] = torch.nan
    poisoned = replace(batch, W=W, B=B)
    clean, found = (
        meta_gradient(rule, theta, b, programs(rule).network, engine="none", backend="compiled").weights
        for b in (batch, poisoned)
    )
    torch.testing.assert_close(found[0][:, :, 1::2], clean[0][:, :, 1::2], rtol=0, atol=0)
    for mine, theirs in zip(found[1:], clean[1:], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
