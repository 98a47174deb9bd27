"""float32: what a step adds is summed before it meets a weight: rounded once a sample, not once a term."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import ruledsl
from ruledsl import Episode
from ruledsl.contracts import SETTINGS
from ruledsl.engines import meta_gradient
from ruledsl.network import programs_of
from ruledsl.tasks import draw_episodes, open_dataset

STREAMS = 32


def drawn(rule: ruledsl.backend.CompiledRule, shots: int) -> tuple[Episode, Tensor]:
    settings = SETTINGS.put(dtype="float32", sizes=(196, 12, 10, 8, 47), labels=5, shots=shots, queries=10)
    needs = programs_of(rule.program, settings).needs(settings.sizes)
    source = open_dataset("glyphs", Path())
    work = draw_episodes(needs, settings, source, [(seed, 0, 0) for seed in range(STREAMS)])
    theta = torch.tensor([1e-3 if n == "pseudo_gradient" else 1e-6 for n in rule.names])
    return work, theta.expand(STREAMS, -1)


def doubled(work: Episode) -> Episode:
    x_query, y_query = work.queries
    return replace(
        work, W=[w.double() for w in work.W], B={n: b.double() for n, b in work.feedback.items()},
        x=work.x.double(), y=work.y, x_query=x_query.double(), y_query=y_query,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["bio", "covariance"])
def test_compiled_gradients_are_about_as_near_to_exact_ones_as_autograd_s(name: str) -> None:
    """The median over streams; rounding once a term made it two to three times as far."""
    rule = ruledsl.compile_rule(ruledsl.load(name))
    work, theta = drawn(rule, shots=20)
    exact = meta_gradient(rule, theta.double(), doubled(work), engine="autograd", backend="eager").grad

    def error(engine: str, backend: str) -> float:
        found = meta_gradient(rule, theta, work, engine=engine, backend=backend).grad  # type: ignore[arg-type]
        return float(((found - exact).norm(dim=-1) / exact.norm(dim=-1)).median())

    assert error("rebuild", "compiled") < 1.5 * error("autograd", "eager")


def test_a_decay_far_smaller_than_one_keeps_its_size() -> None:
    """1 + κ would round this κ by a twentieth."""
    rule = ruledsl.compile_rule(ruledsl.rule("term decay = -W\nrule r = decay"))
    work, _ = drawn(rule, shots=40)

    def loss(theta: float, exactly: bool) -> Tensor:
        real = torch.float64 if exactly else torch.float32
        given = torch.full((STREAMS, 1), theta, dtype=real)
        lived = doubled(work) if exactly else work
        backend = "eager" if exactly else "compiled"
        return meta_gradient(rule, given, lived, engine="rebuild", backend=backend).loss.double()

    kappa = 10.5 * 2**-24
    found, exact = (loss(kappa, exactly) - loss(0.0, exactly) for exactly in (False, True))
    assert float(found @ exact / (exact @ exact)) == pytest.approx(1.0, abs=0.01)
