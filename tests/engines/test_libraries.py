"""One program for every subset of a library: what a run lacks is left out, and nothing else changes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

import ruledsl
from ruledsl import Alphabet, Episode, Locality, TrainSettings
from ruledsl.backend import CompiledRule
from ruledsl.contracts import SETTINGS
from ruledsl.discovery import library_of
from ruledsl.engines import build_step, forget_kernels, kernel_source, meta_gradient
from ruledsl.network import StepPrograms, programs_of
from ruledsl.tasks import draw_episodes, open_dataset

SIZES = (49, 18, 5, 3)
"""No size is a whole number of lanes."""
TERMS = {
    "rebuilt, every input read": """
        -e_post * y_pre^T | -e_post * e_pre^T | y_post * y_pre^T | y_post * 1_pre^T
        1_post * e_pre^T | -y_post.^2 * y_pre^T | W | (W * 1_pre) * y_pre^T | y_post * (W^T * 1_post)^T
        1_post * (W^T * y_post)^T | (W * y_pre) * e_pre^T | y_post * (W^T * y_post)^T
        e_post.^2 * y_pre^T | sum(y_post) * W | e_post * 1_pre^T | 1_post * y_pre^T
    """,
    "rebuilt, with sums over a function of W": """
        -e_post * y_pre^T | -e_post * e_pre^T | y_post * y_pre^T | y_post * 1_pre^T | 1_post * e_pre^T
        -y_post.^2 * y_pre^T | W | e_post.^2 * y_pre^T | y_post * e_pre^T | (W * y_pre) * y_pre^T
        sum(tanh(W)) * y_post * e_pre^T | y_post * (y_post^T * tanh(W)) | (y_post .* e_post) * y_pre^T
        1_post * y_pre^T | e_post * 1_pre^T | e_post * (e_pre.^2)^T
    """,
    "rebuilt, silent inputs left alone": """
        -e_post * y_pre^T | -e_post * e_pre^T | y_post * y_pre^T | y_post * e_pre^T | 1_post * y_pre^T
        1_post * e_pre^T | e_post.^2 * y_pre^T | e_post.^2 * e_pre^T | y_post.^2 * y_pre^T
        e_post * (e_pre.^2)^T | (W * e_pre) * y_pre^T | (y_post .* e_post) * y_pre^T
        y_post * (y_pre .* e_pre)^T | (y_post .* e_post) * e_pre^T | e_post * (y_pre .* e_pre)^T
        y_post.^2 * e_pre^T
    """,
    "rebuilt, entry by entry": """
        -e_post * y_pre^T | -e_post * e_pre^T | W .* (y_post * y_pre^T) | diag(y_post.^2) * W | W
        W * diag(y_pre) | y_post * y_pre^T | 1_post * e_pre^T | e_post * e_pre^T | (W * y_pre) * e_pre^T
        (W * 1_pre) * y_pre^T | W .* (e_post * 1_pre^T) | y_post * (W^T * y_post)^T
        y_post * e_pre^T | e_post * 1_pre^T | W .* (y_post * (W^T * y_post)^T) | 1_post * y_pre^T
    """,
    "kept, entry by entry": """
        -e_post * y_pre^T | abs(W) .* (y_post * y_pre^T) | W .* W | diag(y_post.^2) * W | sign(W)
        y_post * (y_post^T * abs(W)) | y_post * y_pre^T | 1_post * e_pre^T | W | e_post * e_pre^T
        (W * 1_pre) * e_pre^T | sum(abs(W)) * y_post * e_pre^T | y_post * e_pre^T | e_post * 1_pre^T
        1_post * y_pre^T | abs(W) .* (y_post * (W^T * y_post)^T) | e_post.^2 * y_pre^T
    """,
    "rebuilt, with biases": """
        -e_post * y_pre^T | for bias = -e_post | y_post * y_pre^T | for bias = bias | 1_post * e_pre^T
        for bias = tanh(y_post) | W | for bias = y_post .* e_post | y_post * e_pre^T | y_post * 1_pre^T
        (W * y_pre) * y_pre^T | y_post * (W^T * y_post)^T | (W * 1_pre) * y_pre^T | e_post * e_pre^T
        1_post * y_pre^T | e_post.^2 * y_pre^T | e_post * 1_pre^T
    """,
}

SILENT = "rebuilt, silent inputs left alone"


def library(label: str) -> CompiledRule:
    texts = [text.strip() for line in TERMS[label].strip().splitlines() for text in line.split("|")]
    terms = [f"term t{n} {'' if text.startswith('for') else '= '}{text}" for n, text in enumerate(texts)]
    rule = " + ".join(f"t{n}" for n in range(len(texts)))
    return ruledsl.compile_rule(
        ruledsl.rule("\n".join([*terms, f"rule many = {rule}"]), allow=max(ruledsl.Locality))
    )


def drawn(label: str, dtype: str) -> tuple[CompiledRule, StepPrograms, Episode, Tensor]:
    rule = library(label)
    settings = SETTINGS.put(dtype=dtype, sizes=SIZES, shots=3, bias="biases" in label)
    programs = programs_of(rule.program, settings)
    keys = [(seed, 0, 0) for seed in range(4)]
    batch = draw_episodes(programs.needs(SIZES), settings, open_dataset("glyphs", Path()), keys)
    real = "float" if dtype == "float32" else "double"
    source = kernel_source(programs, tuple((f"n{n}", size) for n, size in enumerate(SIZES)), real)
    assert any("Lists all(" in unit for unit in source.units), "too few terms for a library"
    build_step(programs, SIZES, batch.W[0].dtype)
    generator = torch.Generator().manual_seed(1)
    theta = 0.003 * torch.rand(4, len(rule.names), generator=generator).to(batch.W[0].dtype)
    return rule, programs, batch, theta


def subsets(rule: CompiledRule) -> Tensor:
    """F⁰ alone, F⁰ with one further term, every other term, all of them."""
    present = torch.zeros(4, len(rule.names), dtype=torch.bool)
    present[0, 0] = present[1, 0] = present[1, -1] = True
    present[2, ::2] = True
    present[3] = True
    return present


@pytest.mark.parametrize(("label", "dtype"), [*((label, "float64") for label in TERMS), (SILENT, "float32")])
def test_every_subset_has_autograds_gradient_in_one_program(label: str, dtype: str) -> None:
    rule, programs, batch, theta = drawn(label, dtype)
    present = subsets(rule)
    held = theta * present
    true = meta_gradient(rule, held, batch, network=programs.network, engine="autograd")
    ours = meta_gradient(rule, held, batch, network=programs.network, backend="compiled", present=present)
    assert ours.engine == ("rebuild" if label.startswith("rebuilt") else "checkpoint")
    tolerance = 1e-9 if dtype == "float64" else 1e-4
    scale = true.grad.abs().max()
    torch.testing.assert_close(ours.loss, true.loss, rtol=tolerance, atol=0)
    torch.testing.assert_close(ours.grad[present] / scale, true.grad[present] / scale, rtol=0, atol=tolerance)
    for own, other in zip(ours.weights, true.weights, strict=True):
        torch.testing.assert_close(own, other, rtol=tolerance, atol=tolerance)


def test_what_is_absent_is_not_computed() -> None:
    rule, programs, batch, theta = drawn("rebuilt, every input read", "float64")
    present = subsets(rule)
    found = meta_gradient(
        rule, theta * present, batch, network=programs.network, backend="compiled", present=present
    )
    everything = meta_gradient(rule, theta * present, batch, network=programs.network, backend="compiled")
    alone = found.grad[0]
    assert alone.nonzero().flatten().tolist() == [0]
    assert everything.grad[0].count_nonzero() == len(rule.names)


@pytest.mark.parametrize("label", TERMS)
def test_what_is_absent_counts_as_nothing_after_episodes_that_had_it(label: str) -> None:
    rule, programs, batch, theta = drawn(label, "float64")
    present = subsets(rule)

    def found() -> Tensor:
        held = theta * present
        return meta_gradient(
            rule, held, batch, network=programs.network, backend="compiled", present=present
        ).grad

    forget_kernels()
    alone = found()
    meta_gradient(rule, theta + 100, batch, network=programs.network, backend="compiled")
    assert torch.equal(found(), alone)


def test_a_run_that_is_lost_keeps_its_own_terms_when_it_is_computed_again() -> None:
    rule, programs, batch, theta = drawn("rebuilt, every input read", "float64")
    present = subsets(rule)
    held = theta * present
    held[3] = 0.0
    held[3, 0], held[3, rule.names.index("t6")] = (
        0.003,
        -1.0,
    )  # W is gone at every step, and cannot be rebuilt
    found = meta_gradient(rule, held, batch, network=programs.network, backend="compiled", present=present)
    assert found.engine == "rebuild and checkpoint"
    true = meta_gradient(rule, held, batch, network=programs.network, engine="autograd")
    torch.testing.assert_close(found.grad[3], true.grad[3], rtol=1e-9, atol=1e-9)


def test_a_coefficient_that_is_not_0_is_there_whatever_is_said() -> None:
    rule, programs, batch, theta = drawn("rebuilt, every input read", "float64")
    nothing = torch.zeros(theta.shape, dtype=torch.bool)
    found = meta_gradient(rule, theta, batch, network=programs.network, backend="compiled", present=nothing)
    true = meta_gradient(rule, theta, batch, network=programs.network, backend="compiled")
    assert torch.equal(found.grad, true.grad)


def test_networks_that_only_learn_do_so_without_what_is_0() -> None:
    rule, programs, batch, theta = drawn("rebuilt, every input read", "float64")
    held = theta * subsets(rule)
    learned = meta_gradient(rule, held, batch, network=programs.network, backend="compiled", engine="none")
    true = meta_gradient(rule, held, batch, network=programs.network, backend="eager", engine="none")
    for own, other in zip(learned.weights, true.weights, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-9, atol=1e-12)


def test_code_for_half_a_hundred_terms_is_written_in_no_time() -> None:
    """It takes a tenth of a second; looking at every value again after each loop took 38."""
    rule = library_of(ruledsl.load("feedback_alignment"), Alphabet(), Locality.axon, 5)
    programs = programs_of(rule.program, TrainSettings.of())
    began = time.process_time()
    kernel_source(programs, tuple((f"n{n}", 20 - n) for n in range(6)), "float")
    assert time.process_time() - began < 4


def test_a_library_may_have_any_number_of_outer_products() -> None:
    """Each of these is one of its own: 24 in every list."""
    terms = [
        f"term t{n} = tanh({n + 1} * y_post) * tanh({n + 2} * y_pre)^T [init = 0.001]" for n in range(24)
    ]
    text = "\n".join([*terms, "rule many = " + " + ".join(f"t{n}" for n in range(24))])
    rule, sizes = ruledsl.compile_rule(ruledsl.rule(text)), (49, 3)
    settings = SETTINGS.put(dtype="float64", sizes=sizes, shots=2)
    programs = programs_of(rule.program, settings)
    keys = [(0, 0, 0), (1, 0, 0)]
    batch = draw_episodes(programs.needs(sizes), settings, open_dataset("glyphs", Path()), keys)
    build_step(programs, sizes, torch.float64)
    theta = torch.full((2, 24), 1e-3, dtype=torch.float64)
    ours = meta_gradient(rule, theta, batch, network=programs.network, backend="compiled")
    true = meta_gradient(rule, theta, batch, network=programs.network, engine="autograd")
    torch.testing.assert_close(ours.grad, true.grad, rtol=1e-9, atol=1e-12)
