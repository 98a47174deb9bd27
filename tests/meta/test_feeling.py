"""How far a coefficient may be moved is felt for before it is moved: one healthy episode, lived through with
other Θ."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ruledsl import TrainSettings, compile_rule, load
from ruledsl.meta import (
    Again,
    Asking,
    Coefficients,
    MetaTrainer,
    Reliver,
    Reliving,
    Room,
    Streams,
    concluded,
    reach,
    together,
)  # fmt: skip
from ruledsl.registry import find
from ruledsl.settings import RunSpec
from ruledsl.tasks import open_dataset

RobustRecipe = find("recipe", "robust").item
RATE, WORST = 1e-3, 8.0
Loss = Callable[[Tensor], float]


def recipe(*initial: float, scale: float = 1.0) -> Any:
    """Each term written with the same number and holding as much of F⁰."""
    start = torch.tensor(initial, dtype=torch.float64)
    ones = torch.ones_like(start)
    full = torch.full_like(start, float("inf"))
    return RobustRecipe(
        Coefficients(start, ones.bool(), -full, full, scale * ones, scale * ones, WORST), RATE, 0.0, 10_000
    )


def live(found: Any, loss: Loss, episodes: int) -> list[Tensor]:
    """Θ after each episode; everything pulls upwards."""
    gradient = -found.coefficients.written.unsqueeze(0)

    def answer(again: Again) -> tuple[Tensor, Tensor]:
        losses = torch.tensor([[loss(theta)] for theta in again.theta], dtype=torch.float64)
        return losses, gradient.expand(len(losses), 1, -1) * again.with_gradients

    seen = [found.theta.clone()]
    for _ in range(episodes):
        concluded(found.step(torch.tensor([loss(found.theta)], dtype=torch.float64), gradient), answer)
        seen.append(found.theta.clone())
    return seen


def test_a_term_is_stepped_by_less_than_what_makes_an_episode_worse() -> None:
    def loss(theta: Tensor) -> float:
        return 1.0 + 1e5 * max(0.0, float(theta[1]))  # a step of one would cost a hundred nats

    found = recipe(RATE, 0.0)
    first, second = live(found, loss, 1)
    assert first[1] == 0.0
    assert 0.0 < float(second[1]) < 1e-6, "a tenth of a nat at most"
    assert float(found.room.below[1]) == pytest.approx(11 * RATE), "the other sign does no harm"
    assert float(second[0] - first[0]) == pytest.approx(RATE), "nor is the first term held back"


def test_what_was_learned_before_is_not_thrown_away_by_the_first_step() -> None:
    def loss(theta: Tensor) -> float:
        return 99.0 if not 1e-5 < float(theta[1]) < 4e-5 else 1.0

    seen = live(recipe(RATE, 2e-5), loss, 1)
    assert 2e-5 < float(seen[1][1]) < 4e-5, "a step of one is fifty times what it learned"


def test_steps_grow_with_what_they_reached() -> None:
    seen = live(recipe(RATE, 0.0), lambda theta: 99.0 if float(theta[1]) > 1.0 else 1.0, 60)
    moved = [float(b[1] - a[1]) for a, b in pairwise(seen)]
    assert max(moved) <= RATE * 1.0001
    assert float(seen[-1][1]) > 40 * RATE, "where nothing is lost nobody waits"


def test_a_term_written_a_thousandfold_is_felt_for_alike() -> None:
    def trained(scale: float) -> Tensor:
        start = recipe(RATE / scale, 0.0, scale=scale)
        return live(start, lambda theta: 1.0 + 3e4 * scale * abs(float(theta[1])), 20)[-1] * scale

    assert torch.equal(trained(1.0), trained(1024.0))
    assert torch.allclose(trained(1.0), trained(1e-3), rtol=1e-9, atol=0.0)


def test_of_several_new_terms_each_has_a_part_of_what_one_would_have() -> None:
    one, three = recipe(RATE, 0.0), recipe(RATE, 0.0, 0.0, 0.0)
    for found in (one, three):
        live(found, lambda theta: 1.0, 1)
    for side in ("below", "above", "reach"):
        alone, among = (getattr(found.room, side) for found in (one, three))
        assert float(among[1]) == pytest.approx(float(alone[1]) / 3)
        assert float(among[0]) == pytest.approx(float(alone[0])), "it was there before"


def test_a_term_that_lost_a_stream_takes_smaller_steps_too() -> None:
    room = Room.of_size(torch.tensor([1.0, 1.0], dtype=torch.float64))
    room.confine(1, -0.01, 0.5)
    assert room.below.tolist() == [1.0, 0.005]
    assert room.above.tolist() == [1.0, 1.0]
    assert room.reach.tolist() == [1.0, 0.005]
    assert room.blamed.tolist() == [0.0, 1.0]


def test_what_a_bound_forbids_is_neither_tried_nor_a_reason_for_small_steps() -> None:
    tried: list[float] = []

    def loss(theta: Tensor) -> float:
        tried.append(float(theta[1]))
        return 99.0 if float(theta[1]) < 0.0 else 1.0

    found = recipe(RATE, 0.0)
    found.coefficients = dataclasses.replace(
        found.coefficients, lower=torch.tensor([-1.0, 0.0], dtype=torch.float64)
    )
    seen = live(found, loss, 1)
    assert min(tried) == 0.0
    assert float(seen[1][1]) == pytest.approx(RATE)


def test_a_training_begun_before_goes_on_with_its_own_steps() -> None:
    state = recipe(RATE, 0.0).state()
    del state["felt"], state["room"]["reach"]
    found = recipe(RATE, 0.0)
    found.restore(json.loads(json.dumps(state)))
    assert found.felt
    assert torch.equal(found._steps(), found.scale)


def test_room_that_grew_for_ten_thousand_episodes_is_still_a_number() -> None:
    room = Room.of_size(torch.tensor([1e-3, math.inf], dtype=torch.float64))
    for _ in range(10_000):
        room = room.grown(torch.zeros(2, dtype=torch.float64), 0.1, 0.03)
    said = json.loads(json.dumps(room.state(), allow_nan=False))
    for side in ("below", "above", "reach"):
        assert isinstance(said[side][0], float)
        assert said[side][1] is None


def test_an_episode_that_is_lost_says_nothing_of_how_far_one_may_go() -> None:
    found = recipe(RATE, 0.0)
    live(found, lambda theta: 99.0, 3)
    assert not found.felt
    live(found, lambda theta: 1.0, 1)
    assert found.felt


def test_every_side_is_tried_by_itself_until_it_is_fine() -> None:
    """Against the sizes that a loop finds."""
    limits = {(0, 0): 0.3, (0, 1): 2.0, (2, 0): 1e-3, (2, 1): 0.0}

    def fine(theta: Tensor) -> bool:
        moved = (theta - 5.0).tolist()
        return all(-limits[r, 0] <= moved[r] <= limits[r, 1] for r in (0, 2)) and moved[1] == 0.0

    tried: list[int] = []

    def are_fine(rows: Tensor) -> Asking[Tensor]:
        tried.append(len(rows))
        losses, _ = yield Again(rows)
        return losses < 1.0

    def answers(asked: Sequence[tuple[int, Again]]) -> list[tuple[Tensor, Tensor]]:
        return [(torch.tensor([0.0 if fine(row) else 99.0 for row in a.theta]), a.theta) for _, a in asked]

    def felt() -> Asking[bool]:
        found.extend((yield from reach(start, torch.ones(3, dtype=torch.float64), [0, 2], are_fine)))
        return True

    found: list[Tensor] = []

    start = torch.full((3,), 5.0, dtype=torch.float64)
    assert together([felt()], answers) == [True]
    below, above = found
    for (r, side), limit in limits.items():
        size = 1.0
        while size > limit and size > 4.0**-8:
            size /= 4
        assert float((below, above)[side][r]) == size
    assert (float(below[1]), float(above[1])) == (1.0, 1.0)
    assert tried[0] == 4
    assert tried[-1] == 1, "what is fine is not tried again"


SMALL: dict[str, Any] = {
    "sizes": (49, 12, 8, 10), "labels": 3, "shots": 4, "queries": 3, "meta_batch": 1, "threads": 1,
    "backend": "eager", "episodes": 6,
}  # fmt: skip


def trainer_of(runs: list[RunSpec], **more: Any) -> MetaTrainer:
    source = open_dataset("glyphs", Path("data"))
    return MetaTrainer(compile_rule(load("bio")), TrainSettings.of(**{**SMALL, **more}), runs, source)


def trained(runs: list[RunSpec], **more: Any) -> tuple[dict[int, list[float]], list[int]]:
    """Θ of each run after a few episodes, and how many streams were lived through at once, every time, to
    feel how far one may go."""
    trainer = trainer_of(runs, **more)
    judge, lived = trainer.streams.judged, []

    def counted(rows: Any, batch: Any, engine: str) -> Any:
        if engine == "none":
            lived.append(len(batch.x))
        return judge(rows, batch, engine)

    trainer.streams.judged = counted  # type: ignore[method-assign]
    for episode in range(4):
        trainer.step(episode)
    return trainer.theta, lived


def test_a_run_learns_the_same_beside_others_and_what_they_share_is_lived_through_once() -> None:
    terms = ("pseudo_gradient", "error_hebb", "oja_subspace")
    runs = [RunSpec(0, 3, 0.0, terms), RunSpec(1, 3, 0.0, terms[:2]), RunSpec(2, 4, 0.0, terms)]
    whole, lived = trained(runs)
    alone = [trained([run]) for run in runs]
    for run, (theta, _) in zip(runs, alone, strict=True):
        assert theta[run.run] == pytest.approx(whole[run.run], rel=1e-5, abs=1e-9)
    assert sum(lived) < sum(sum(each) for _, each in alone), "runs of one seed ask for the same"
    assert sum(lived) > sum(alone[0][1]), "and those of another do not"
    assert len(lived) == max(len(each) for _, each in alone), "they ask side by side"


def test_a_run_hears_its_own_noise_beside_others() -> None:
    runs = [RunSpec(0, 3), RunSpec(1, 4)]
    noisy = {"objective": (("query", 1.0), ("feedback_noise", 5.0)), "meta_batch": 2}
    whole, alone = (trainer_of(some, **noisy).step(0) for some in (runs, runs[1:]))
    assert alone[0].meta_loss == pytest.approx(whole[1].meta_loss, rel=1e-6)


def test_no_more_streams_are_lived_through_at_once_than_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[int] = []
    judged = Streams.judged

    def counted(self: Streams, rows: Any, batch: Any, engine: str) -> Any:
        drawn.append(len(batch.x))
        return judged(self, rows, batch, engine)

    monkeypatch.setattr(Streams, "judged", counted)
    runs = [RunSpec(0, 3, 0.0, ("pseudo_gradient", "error_hebb"))]
    some, _ = trained(runs, at_once=4, meta_batch=2)
    assert max(drawn) == 4
    drawn.clear()
    all_of_them, _ = trained(runs, meta_batch=2)
    assert max(drawn) > 4
    assert some[0] == pytest.approx(all_of_them[0], rel=1e-5, abs=1e-9)


def test_what_was_lived_through_is_known_of_its_episode_alone() -> None:
    trainer = trainer_of([RunSpec(0, 3)])
    run = Reliver(3, trainer.states[0].present)
    again = Again(torch.tensor([[0.01, 0.0, 0.0]], dtype=torch.float64))
    zeroth, first = (Reliving(trainer.streams, n, "auto", [run]) for n in (0, 1))
    before, now = (each.answers([(0, again)])[0] for each in (zeroth, first))
    assert torch.equal(zeroth.answers([(0, again)])[0][0], before[0])
    assert not torch.equal(now[0], before[0])
