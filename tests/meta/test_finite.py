"""Θ is never NaN or infinite, whatever the gradients, options and recipes; and nothing chooses by a NaN."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ruledsl import Interval, Run, RunError, open_run
from ruledsl.meta import Again, Coefficients, concluded
from ruledsl.registry import find
from ruledsl.selection import Fit, smallest_as_good
from tests.commands import run, train

RECIPES = ("robust", "paper", "paper_proximal")
WILD = (
    "from ruledsl.plugin import Recipe, recipe\n"
    "@recipe('wild')\n"
    "class Wild(Recipe):\n"
    "    'Sets NaN in its third step.'\n"
    "    done = 0\n"
    "    def step(self, losses, gradients):\n"
    "        self.done += 1\n"
    "        self.theta = self.theta * (float('nan') if self.done == 3 else 1.001)\n"
    "        return True\n"
    "    def state(self):\n"
    "        return {'theta': self.theta.tolist(), 'done': self.done}\n"
    "    def restore(self, state):\n"
    "        self.theta = self.theta.new_tensor(state['theta'])\n"
    "        self.done = state['done']\n"
)


def coefficients() -> Coefficients:
    zero = torch.zeros(2, dtype=torch.float64)
    wide = torch.full_like(zero, math.inf)
    return Coefficients(zero + 0.1, zero == 0, -wide, wide, zero + 1, zero + 1, worst_loss=10.0)


def thetas(folder: Path) -> list[float]:
    metrics = open_run(folder).metrics
    return [v for n in metrics.runs for term in metrics.terms for v in metrics.theta(n, term)]


@pytest.mark.parametrize("name", RECIPES)
def test_gradients_of_exactly_zero_move_nothing_and_end_nothing(name: str) -> None:
    recipe = find("recipe", name).item(coefficients(), 1e-3, 0.0, 100)
    loss = torch.ones(1, 1, dtype=torch.float64)

    def told(gradients: Tensor) -> bool:
        def same(again: Again) -> tuple[Tensor, Tensor]:
            return loss.expand(len(again.theta), 1), gradients.expand(len(again.theta), 1, 2)

        return concluded(recipe.tell(loss, gradients), same)

    for _ in range(40):
        assert told(torch.zeros(1, 1, 2, dtype=torch.float64))
        assert recipe.theta.tolist() == [0.1, 0.1]
    assert told(torch.ones(1, 1, 2, dtype=torch.float64))
    assert bool((recipe.theta < 0.1).all()), "after zeros a gradient counts again"


def test_a_rule_with_nothing_to_learn_trains(tmp_path: Path) -> None:
    (tmp_path / "x.rule").write_text("rule x = pseudo_gradient[fixed = 0.001]\n")
    result = train(tmp_path / "run", rule=str(tmp_path / "x.rule"), episodes=5)
    assert result.exit_code == 0, result.output
    assert set(thetas(tmp_path / "run")) == {0.001}
    assert "diverged" not in result.output


def test_an_objective_that_nothing_moves_leaves_theta(tmp_path: Path) -> None:
    assert train(tmp_path / "run", "--objective", "0*query", episodes=5).exit_code == 0
    assert all(map(math.isfinite, thetas(tmp_path / "run")))


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_absurd_rate_moves_theta_no_further_than_a_number_reaches(recipe: str, tmp_path: Path) -> None:
    train(tmp_path / "run", "--lr", "1e300", "--recipe", recipe)
    assert all(map(math.isfinite, thetas(tmp_path / "run")))
    assert all(
        math.isfinite(v) for r in open_run(tmp_path / "run").result["runs"] for v in r["theta"].values()
    )


def test_a_recipe_that_sets_nan_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "wild.py").write_text(WILD)
    result = train(tmp_path / "run", "--plugins", tmp_path, "--recipe", "wild")
    assert result.exit_code == 0, result.output
    assert all(map(math.isfinite, thetas(tmp_path / "run")))
    assert "diverged or were not finite" in result.output


def test_a_training_of_which_every_episode_diverged_fails_and_says_what_to_try(tmp_path: Path) -> None:
    (tmp_path / "x.rule").write_text("rule x = pseudo_gradient[init = 1e30]\n")
    result = train(tmp_path / "run", rule=str(tmp_path / "x.rule"), episodes=3)
    assert result.exit_code == 1
    assert "every episode diverged" in result.output
    assert "smaller start" in result.output


def fit(terms: tuple[str, ...], *scores: float) -> Fit:
    return Fit(terms, scores, scores, {})


def test_a_score_that_is_no_number_is_never_chosen() -> None:
    broken, poor, good = fit((), math.nan), fit(("a",), 0.2), fit(("a", "b"), 0.7)
    assert smallest_as_good([broken, poor, good], 0.1) is good
    assert smallest_as_good([broken, poor], 1.0) is poor
    assert math.isnan(Interval.of(broken.accuracy).mean)
    with pytest.raises(RunError, match="nothing can be chosen"):
        smallest_as_good([broken], 0.1)


def test_selecting_nothing_gives_a_finite_accuracy_in_every_episode(tmp_path: Path) -> None:
    train(tmp_path / "run", "--seeds", 2, "--l1", "0,0.01", rule="bio")
    budget = ["--seeds", 2, "--episodes", 3, "--refit-episodes", 12]
    assert run("select", tmp_path / "run", *budget, "--quiet").exit_code == 0
    refits = Run(tmp_path / "run" / "selection" / "refits")
    nothing = [r.run for r in refits.config.runs if r.terms == ("∅",)]
    assert nothing
    metrics = refits.metrics
    assert all(map(math.isfinite, (v for n in nothing for v in metrics.column(n, "meta_loss"))))
    assert not any(v for n in nothing for v in metrics.column(n, "diverged"))
