"""The CUDA path: what is captured, tested without a GPU as far as that goes, and with one where there is one.

What CUDA graphs ask of a step, that it never waits for the device, mixes no host memory in and works in
place, is shown on fake CUDA tensors: torch runs every operator's own shape and device rules on them, without
a device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import ruledsl
from ruledsl.engines import Case, Ending, Replay, Replayed, ReplayedForward, ReplayKeeping, ReplayLoss
from ruledsl.network import StepPrograms, Stream, programs_for, weights_of
from ruledsl.settings import Network
from tests.calls import meta_gradient
from tests.drawing import draw_episode

SIZES = (6, 5, 4)


def theta_of(name: str, count: int) -> Tensor:
    return 2e-3 * (1 + torch.arange(len(ruledsl.load(name).names), dtype=torch.float64)).expand(count, -1) / 5


def stream_of(seed: int, samples: int, feedback: str) -> tuple[Stream, tuple[Tensor, Tensor]]:
    drawn = draw_episode(SIZES, samples, batch=(2,), seed=seed)
    targets = torch.nn.functional.one_hot(drawn.y, SIZES[-1]).double()
    back = {} if feedback == "symmetric" else named("B", drawn.B)
    sizes = {f"n{n}": size for n, size in enumerate(SIZES)}
    return Stream(named("W", drawn.W), back, {"x": drawn.x, "target": targets}, sizes), (
        drawn.x_query,
        drawn.y_query,
    )


def named(letter: str, matrices: Sequence[Tensor]) -> dict[str, Tensor]:
    return {f"{letter}{n}": m for n, m in enumerate(matrices)}


@pytest.mark.parametrize("samples", [0, 1, 23])
@pytest.mark.parametrize("feedback", ["fixed", "symmetric"])
@pytest.mark.parametrize("name", ["pool", "soft_bound", "oja_single"])
def test_replayed_steps_have_autograds_gradient(name: str, feedback: str, samples: int) -> None:
    """Twice each: the second episode goes through the buffers of the first."""
    programs = programs_for(ruledsl.load(name).program, len(SIZES) - 1, Network(feedback=feedback))
    theta = theta_of(name, 2)
    F = ruledsl.compile_rule(ruledsl.load(name))
    for seed in (3, 4):
        stream, query = stream_of(seed, samples, feedback)
        drawn = draw_episode(SIZES, samples, batch=(2,), seed=seed)
        expected = meta_gradient(F, theta, *drawn.arguments(), feedback=feedback, engine="autograd")
        for engine in (ReplayKeeping(), *([] if programs.has_dense_rest else [Replay()])):
            found = engine.run(Case(programs, stream, theta), Ending(programs, *query, samples))
            alone = ReplayLoss().run(Case(programs, stream, theta), Ending(programs, *query, samples))
            assert torch.equal(alone.loss, found.loss), "what only learns learns the same"
            assert not bool(alone.gradient.any())
            assert samples == 0 or float(expected.grad.abs().min()) > 0
            torch.testing.assert_close(found.gradient, expected.grad, rtol=1e-9, atol=1e-15)
            for a, b in zip(weights_of(found.state), expected.weights, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_a_step_works_in_place_on_buffers_that_never_move() -> None:
    programs = programs_for(ruledsl.load("pool").program, len(SIZES) - 1, Network())
    stream, _ = stream_of(1, 5, "fixed")
    episode = Replayed(programs, stream, theta_of("pool", 2), keeps_weights=False).captured()
    episode.load(stream, theta_of("pool", 2))
    buffers = buffers_of(episode)
    addresses = [b.data_ptr() for b in buffers]
    episode.at(0)
    for step in (episode.forward, episode.forward, episode.backward):
        step()
    assert [b.data_ptr() for b in buffers_of(episode)] == addresses
    assert int(episode.time) == 1


def buffers_of(episode: Replayed) -> list[Tensor]:
    states = [*episode.stream.state.values(), *episode.cotangents.values()]
    return [*states, *episode.saved, episode.gradient, episode.time]


class OnDeviceOnly(TorchDispatchMode):
    """Refuses whatever a capture would refuse: copies between host and device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for found in result if isinstance(result, tuple | list) else [result]:
            if isinstance(found, Tensor) and found.device.type != "cuda":
                raise AssertionError(f"{func} leaves the device")
        return result


def fake(*shape: int) -> Tensor:
    return torch.zeros(2, *shape, device="cuda")


def fake_stream() -> Stream:
    weights, feedback = named("W", [fake(5, 6), fake(4, 5)]), named("B", [fake(6, 5), fake(5, 4)])
    sizes = {f"n{n}": size for n, size in enumerate(SIZES)}
    return Stream(weights, feedback, {"x": fake(9, 6), "target": fake(9, 4)}, sizes)


def fake_episode(programs: StepPrograms, keeps_weights: bool) -> Replayed:
    return Replayed(programs, fake_stream(), fake(len(programs.rule.names)), keeps_weights).captured()


@pytest.mark.parametrize("name", ["pool", "soft_bound", "competition", "bcm", "covariance"])
def test_steps_can_be_captured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ruledsl.engines.replay.recorded", lambda step, prepare, on: step)
    programs = programs_for(ruledsl.load(name).program, 2, Network())
    with FakeTensorMode():
        episode = fake_episode(programs, programs.has_dense_rest)
        learned = ReplayedForward(programs, fake_stream(), episode.theta).captured()
        with OnDeviceOnly():
            learned.forward()
            episode.forward()
            episode.backward()


def _reads_the_time(episode: Replayed) -> object:
    return int(episode.time)


def _fetches_a_weight(episode: Replayed) -> object:
    return episode.stream.weights[0].cpu()


def _mixes_in_host_memory(episode: Replayed) -> object:
    return episode.theta + torch.ones(10)


@pytest.mark.parametrize("fault", [_reads_the_time, _fetches_a_weight, _mixes_in_host_memory])
def test_a_step_that_could_not_be_captured_is_caught(
    fault: Callable[[Replayed], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the test above."""
    monkeypatch.setattr("ruledsl.engines.replay.recorded", lambda step, prepare, on: step)
    programs = programs_for(ruledsl.load("pool").program, 2, Network())
    with FakeTensorMode():
        episode = fake_episode(programs, False)
        with pytest.raises((DataDependentOutputException, RuntimeError, AssertionError)), OnDeviceOnly():
            fault(episode)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["pool", "soft_bound"])
def test_captured_episodes_have_the_gradient_of_eager_ones(name: str) -> None:
    F = ruledsl.compile_rule(ruledsl.load(name))
    for seed in (1, 2):
        drawn = draw_episode((20, 15, 10), 30, batch=(3,), seed=seed)
        expected = meta_gradient(F, theta_of(name, 3), *drawn.arguments(), engine="autograd")
        on_gpu = [[t.cuda() for t in a] if isinstance(a, list) else a.cuda() for a in drawn.arguments()]
        found = meta_gradient(F, theta_of(name, 3).cuda(), *on_gpu)  # type: ignore[arg-type]
        torch.testing.assert_close(found.grad.cpu(), expected.grad, rtol=1e-9, atol=1e-14)
        learned = meta_gradient(F, theta_of(name, 3).cuda(), *on_gpu, engine="none")  # type: ignore[arg-type]
        torch.testing.assert_close(learned.loss.cpu(), expected.loss, rtol=1e-9, atol=1e-14)
