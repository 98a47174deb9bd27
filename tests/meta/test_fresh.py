"""How a Θ does on tasks that no training saw."""

from __future__ import annotations

from ruledsl import Rule, compile_rule, load, rule
from ruledsl.contracts import SETTINGS, toy_source
from ruledsl.meta import Fresh, MetaTrainer
from ruledsl.settings import RunSpec

WORST = 5.0


def judged(theta: float, of: Rule | None = None) -> Fresh:
    runs = [RunSpec(0, 3, 0.0, (), (theta,))]
    known = compile_rule(of or load("feedback_alignment"))
    trainer = MetaTrainer(known, SETTINGS.having(backend="eager"), runs, toy_source())
    return trainer.judge_fresh(4, WORST)[0]


def test_a_network_that_is_lost_counts_as_the_worst_loss_not_as_none() -> None:
    """Left out, a rule that loses half of its networks would be judged by the other half."""
    growth = rule("term growth = W")
    assert judged(10.0, growth).loss == WORST, "a large one"
    assert judged(1e300, growth).loss == WORST, "one that is no number"


def test_a_healthy_one_has_its_own_loss() -> None:
    fresh = judged(0.02)
    assert 0.0 < fresh.loss < WORST
    assert 0.0 <= fresh.accuracy <= 1.0
    assert judged(0.02) == fresh
    assert judged(0.0).loss != fresh.loss
