"""How Θ moves: Adam as the library does it, refusals without a trace, exact zeros, restored states."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor

from ruledsl.meta import Again, Coefficients, Recipe, concluded
from ruledsl.registry import find, names_of

RECIPES = {name: find("recipe", name).item for name in names_of("recipe")}
PaperRecipe, RobustRecipe = RECIPES["paper"], RECIPES["robust"]


def terms(changes: dict[str, object] | None = None) -> Coefficients:
    count = 3
    full: dict[str, object] = {
        "initial": torch.full((count,), 1e-3, dtype=torch.float64),
        "trainable": torch.ones(count, dtype=torch.bool),
        "lower": torch.full((count,), -math.inf, dtype=torch.float64),
        "upper": torch.full((count,), math.inf, dtype=torch.float64),
        "scales": torch.ones(count, dtype=torch.float64),
        "written": torch.ones(count, dtype=torch.float64),
        "worst_loss": 8.0,
    }
    return Coefficients(**(full | (changes or {})))  # type: ignore[arg-type]


def gradients(steps: int, count: int = 3, tasks: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(tasks, count, dtype=torch.float64, generator=generator) + 0.3 for _ in range(steps)]


LOSS = torch.ones(1, dtype=torch.float64)
NAN = torch.full((1,), math.nan, dtype=torch.float64)


def step(recipe: Recipe, losses: Tensor, gradients: Tensor) -> bool:
    """One step where other Θ would have come to the same."""

    def same(again: Again) -> tuple[Tensor, Tensor]:
        count = len(again.theta)
        return losses.expand(count, -1), gradients.expand(count, *gradients.shape)

    return concluded(recipe.step(losses, gradients), same)


def test_the_papers_recipe_is_torchs_adam_with_the_penaltys_sub_gradient() -> None:
    recipe = PaperRecipe(terms(), 1e-3, 0.4, 100)
    theta = recipe.theta.clone()
    reference = torch.optim.Adam([theta], lr=1e-3)
    for gradient in gradients(50):
        theta.grad = gradient[0] + 0.4 * theta.sign()
        reference.step()
        assert step(recipe, LOSS, gradient)
        torch.testing.assert_close(recipe.theta, theta, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_an_episode_that_is_not_finite_leaves_no_trace_but_caution(name: str) -> None:
    one, other = (RECIPES[name](terms(), 1e-3, 0.0, 1000) for _ in range(2))
    for gradient in gradients(3):
        step(one, LOSS, gradient)
        step(other, LOSS, gradient)
    before = one.theta.clone()
    assert not step(one, NAN, torch.full((1, 3), math.nan, dtype=torch.float64))
    assert bool(one.theta.isfinite().all())
    if name == "paper":
        assert torch.equal(one.theta, before)
    after = gradients(5)[-1]
    step(one, LOSS, after)
    step(other, LOSS, after)
    assert bool(one.theta.isfinite().all())


def test_the_robust_recipe_goes_back_and_steps_smaller_after_chaos() -> None:
    recipe = RobustRecipe(terms(), 1e-3, 0.0, 1000)
    trail = []
    for gradient in gradients(30):
        trail.append(recipe.theta.clone())
        assert step(recipe, LOSS, gradient)
    assert not step(recipe, LOSS, torch.full((1, 3), 1e9, dtype=torch.float64))
    assert torch.equal(recipe.theta, trail[-6])
    assert recipe.caution.rate == 0.5
    # A second refusal goes further back still.
    assert not step(recipe, torch.full((1,), 99.0, dtype=torch.float64), gradients(1)[0])
    assert torch.equal(recipe.theta, trail[-11])


def test_a_training_leaves_the_plateau_although_gradients_are_long_where_it_ends() -> None:
    """Seen: `bio`, where networks answered alike to everything for ten episodes; each gradient that would
    have led away was refused, and Θ stayed at a fifth of what it should be for four hundred."""
    recipe = RobustRecipe(terms(), 1e-3, 0.0, 1000)
    flat, better = torch.full((1,), 3.8, dtype=torch.float64), torch.full((1,), 3.1, dtype=torch.float64)
    for gradient in gradients(12):
        assert step(recipe, flat, gradient)
    for gradient in gradients(8):
        assert step(recipe, better, 300 * gradient)
    assert not step(recipe, better, torch.full((1, 3), math.inf, dtype=torch.float64))
    for gradient in gradients(9):
        assert step(recipe, LOSS, gradient)
    assert not step(recipe, LOSS, 1e6 * gradients(1)[0]), "beyond it, chaos is known by its gradient"


def test_a_training_that_is_gone_on_with_is_still_on_the_plateau() -> None:
    one, other = (RobustRecipe(terms(), 1e-3, 0.0, 1000) for _ in range(2))
    flat = torch.full((1,), 3.8, dtype=torch.float64)
    for gradient in gradients(12):
        step(one, flat, gradient)
    other.restore(json.loads(json.dumps(one.state())))
    assert step(other, flat, 300 * gradients(1)[0])


def test_a_start_at_which_every_stream_is_lost_is_halved_until_some_are_not() -> None:
    """What takes no part stays; bounds hold; and steps grow back once streams are healthy again."""
    trainable = torch.tensor([True, True, False])
    initial = torch.tensor([1.0, -0.5, 0.25], dtype=torch.float64)
    recipe = RobustRecipe(terms({"initial": initial, "trainable": trainable}), 1e-3, 0.0, 1000)
    refused = 0
    for gradient in gradients(60):
        lost = float(recipe.theta[0]) > 0.01
        refused += not step(recipe, LOSS * (99.0 if lost else 1.0), gradient)
    assert 6 < refused < 20
    assert float(recipe.theta[0]) < 0.01
    assert float(recipe.theta[2]) == 0.25
    assert recipe.caution.rate > 1 / 64


def test_refusals_that_healthy_episodes_lie_between_never_halve_a_coefficient() -> None:
    recipe = RobustRecipe(terms(), 1e-3, 0.0, 1000)
    for number, gradient in enumerate(gradients(200)):
        step(recipe, LOSS * (99.0 if number % 4 else 1.0), gradient)  # three of four are lost
        assert recipe.caution.good
    assert recipe.caution.rate == RobustRecipe.SMALLEST
    assert bool((recipe.theta.abs() > 0.9e-3).all())


def test_a_long_gradient_counts_no_more_than_a_usual_one() -> None:
    plain, jolted = (RobustRecipe(terms(), 1e-3, 0.0, 1000) for _ in range(2))
    for gradient in gradients(20):
        step(plain, LOSS, gradient)
        step(jolted, LOSS, gradient)
    last = gradients(21)[-1]
    step(plain, LOSS, 3 * last)
    step(jolted, LOSS, 30 * last)
    torch.testing.assert_close(plain.theta, jolted.theta, rtol=1e-12, atol=0)


def test_terms_that_hold_much_of_the_gradient_take_smaller_steps() -> None:
    scales = torch.tensor([1.0, 20.0, 0.1], dtype=torch.float64)
    recipe = RobustRecipe(terms({"scales": scales}), 1e-3, 0.0, 1000)
    step(recipe, LOSS, torch.ones(1, 3, dtype=torch.float64))
    moved = (recipe.theta - 1e-3).abs().tolist()
    assert moved[0] == pytest.approx(1e-3, rel=1e-3)
    assert moved[1] == pytest.approx(1e-3 / 20, rel=1e-3)
    # Below 1 stand coefficients of feedback pathways that asked for longer steps than θ_0's.
    assert moved[2] == pytest.approx(1e-2, rel=1e-3)


def test_the_penalty_gives_exact_zeros_and_leaves_the_useful_coefficient() -> None:
    """A quadratic with one useful direction: the minimiser under λ is known in closed form."""
    recipe = RobustRecipe(terms({"initial": torch.zeros(3, dtype=torch.float64)}), 1e-2, 0.5, 3000)
    centre = torch.tensor([1.0, 0.3, -0.2], dtype=torch.float64)
    for _ in range(3000):
        step(recipe, LOSS, (recipe.theta - centre)[None])
    assert recipe.theta[1:].tolist() == [0.0, 0.0]
    assert float(recipe.theta[0]) == pytest.approx(0.5, abs=1e-3)


def test_steps_shrink_to_the_floor_along_the_planned_episodes() -> None:
    recipe = RobustRecipe(terms(), 1e-3, 0.0, 10)
    factors = []
    for gradient in gradients(12):
        factors.append(recipe._schedule())
        step(recipe, LOSS, gradient)
    assert factors[0] == 1.0
    assert factors == sorted(factors, reverse=True)
    assert factors[10:] == pytest.approx([0.05, 0.05])


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_bounds_and_fixed_coefficients_hold(name: str) -> None:
    changes: dict[str, object] = {
        "trainable": torch.tensor([True, False, True]),
        "upper": torch.tensor([0.002, math.inf, math.inf], dtype=torch.float64),
        "lower": torch.tensor([-math.inf, -math.inf, 0.0], dtype=torch.float64),
    }
    recipe = RECIPES[name](terms(changes), 1e-3, 0.1, 100)
    for gradient in gradients(40):
        step(recipe, LOSS, -gradient)
        assert float(recipe.theta[0]) <= 0.002
        assert float(recipe.theta[1]) == 1e-3
        assert float(recipe.theta[2]) >= 0.0


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_saved_state_goes_through_json_and_continues_bit_for_bit(name: str) -> None:
    import json

    def make() -> Recipe:
        return RECIPES[name](terms(), 1e-3, 0.2, 60)

    whole, first = make(), make()
    sequence = gradients(40, tasks=2)
    sequence[12] = sequence[12] * 1e12
    for gradient in sequence:
        step(whole, LOSS.expand(2), gradient)
    for gradient in sequence[:20]:
        step(first, LOSS.expand(2), gradient)
    second = make()
    second.restore(json.loads(json.dumps(first.state())))
    for gradient in sequence[20:]:
        step(second, LOSS.expand(2), gradient)
    assert torch.equal(second.theta, whole.theta)
