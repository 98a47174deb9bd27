"""What kernels write down of a sample: only what backward cannot have more cheaply, in places that are used
again, and nothing of one episode is seen in another."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

import ruledsl
from ruledsl import Episode, TrainSettings
from ruledsl.backend import CompiledRule
from ruledsl.contracts import SETTINGS
from ruledsl.engines import MetaGradient, forget_kernels, kernel_source, meta_gradient
from ruledsl.network import StepPrograms, programs_of
from ruledsl.tasks import draw_episodes, open_dataset

SIZES = (49, 18, 5, 3)


def programs(rule: str) -> StepPrograms:
    return programs_of(ruledsl.compile_rule(ruledsl.load(rule)).program, TrainSettings.of())


def units(rule: str) -> tuple[str, ...]:
    """The code of a shipped rule in the paper's network."""
    sizes = tuple((f"n{n}", size) for n, size in enumerate(TrainSettings.of().sizes))
    return kernel_source(programs(rule), sizes, "float").units


def drawn(rule: CompiledRule, runs: int, shots: int) -> Episode:
    settings = SETTINGS.put(dtype="float32", sizes=SIZES, shots=shots)
    needs = programs_of(rule.program, settings).needs(SIZES)
    keys = [(seed, 0, 0) for seed in range(runs)]
    return draw_episodes(needs, settings, open_dataset("glyphs", Path()), keys)


def differentiated(rule: CompiledRule, theta: Tensor, work: Episode) -> MetaGradient:
    network = programs_of(rule.program, SETTINGS.put(dtype="float32", sizes=SIZES)).network
    return meta_gradient(rule, theta, work, network=network, backend="compiled", present=theta != 0)


@pytest.mark.parametrize("name", ["pool", "library", "three_factor"])
def test_an_episode_sees_nothing_of_the_one_before(name: str) -> None:
    """After longer and shorter ones, of more runs, which had other terms and left infinities behind."""
    rule = ruledsl.compile_rule(ruledsl.load(name))
    chance = torch.Generator().manual_seed(0)
    theta = 1e-3 * torch.rand(3, len(rule.names), generator=chance)
    theta[0, 1:] = 0
    theta[1, ::2] = 0
    work = drawn(rule, 3, 2)
    forget_kernels()
    alone = differentiated(rule, theta, work)
    differentiated(rule, torch.full((5, len(rule.names)), 1e4), drawn(rule, 5, 3))
    differentiated(rule, theta[:1] * 0 + 1e-3, drawn(rule, 1, 1))
    again = differentiated(rule, theta, work)
    assert torch.equal(alone.loss, again.loss)
    assert torch.equal(alone.grad, again.grad)


def test_what_costs_a_multiplication_or_an_exponential_is_not_kept() -> None:
    terms = ("-e_post * y_pre^T", "e_post.^2 * y_pre^T", "y_post.^1.5 * y_pre^T")
    text = "\n".join([*(f"term t{n} = {term}" for n, term in enumerate(terms)), "rule three = t0 + t1 + t2"])
    pair = programs_of(ruledsl.compile_rule(ruledsl.rule(text)).program, TrainSettings.of()).adjoint
    kept = [pair.forward.instructions[n] for n in pair.saved]
    assert {i.parameter for i in kept if i.op == "pow"} == {1.5}
    assert {i.op for i in kept} <= {"matvec", "rmatvec", "softplus", "softmax", "pow"}


def test_vectors_of_a_sample_share_places() -> None:
    places = [re.findall(r"real place\d+\[(\d+)\]", unit) for unit in units("library")]
    vectors = [i for i in programs("library").adjoint.backward.instructions if len(i.shape) == 1]
    assert 0 < len(places[1]) < len(vectors) / 3


def test_a_matrix_is_read_twice_a_sample_by_a_library_that_learns() -> None:
    """Once for the errors, and once for the update, whose read serves the next sample's activities. Before
    the first sample and after the last it is read for itself."""
    by_lists = re.findall(r"Lists all\(W0,", units("library")[0])
    in_one_go = re.findall(r"\bpass\d+\(W0,", units("library")[0])
    assert len(by_lists) == len(in_one_go) == 4
