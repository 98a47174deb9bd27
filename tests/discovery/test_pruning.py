"""At the end of a search every finalist is tried with less, on tasks that all of them share."""

from __future__ import annotations

from ruledsl.discovery import Contender, Front, without_one
from ruledsl.runs import Run
from tests.discovery.small import SMALL


def test_every_rule_of_a_front_was_tried_without_each_of_its_terms(front: Front) -> None:
    raced = {rule.key for rule in front.archive} | {rule.key for rule in front.rules}
    grown = [rule for rule in front.rules if len(rule.terms) > 1]
    assert grown
    for rule in grown:
        for fewer in without_one(Contender(rule.terms, rule.means, rule.ways), rule.rule):
            assert fewer.key in raced


def test_rules_of_different_rounds_meet_on_the_same_tasks(front: Front) -> None:
    first, *later = (Run(folder) for folder in sorted(front.out.glob("pruning-*")) if folder.is_dir())
    seeds = {run.seed for run in first.config.runs}
    assert front.rules[0].terms in {run.terms for run in first.config.runs}, "the start among them"
    rounds = {run.seed for folder in front.out.glob("round-*-heat-*") for run in Run(folder).config.runs}
    assert not seeds & rounds
    seen = {run.terms for run in first.config.runs}
    assert later
    for stage in later:
        assert {run.seed for run in stage.config.runs} == seeds
        new = {run.terms for run in stage.config.runs}
        assert not new & seen, "nobody races twice"
        seen |= new


def test_nobody_lived_through_the_tasks_before_that_it_is_scored_by(front: Front) -> None:
    """What is left of what was left starts at the Θ with which growth ended."""
    first, second = (Run(front.out / f"pruning-2-{n}") for n in (1, 2))
    began = {run.terms: dict(zip(first.config.terms, run.initial, strict=True)) for run in first.config.runs}
    grown = [theta for terms, theta in began.items() if len(terms) > 1]
    for run in second.config.runs:
        start = dict(zip(second.config.terms, run.initial, strict=True))
        assert any(all(start[name] == theta.get(name) for name in run.terms) for theta in grown)


def test_what_is_left_keeps_what_it_learned_and_says_what_is_gone(front: Front) -> None:
    rule = max(front.rules, key=lambda rule: len(rule.terms))
    whole = Contender(rule.terms, rule.means, rule.ways)
    for fewer in without_one(whole, rule.rule):
        (gone,) = set(rule.terms) - set(fewer.terms)
        assert fewer.theta == {name: value for name, value in rule.means.items() if name != gone}
        assert fewer.why.startswith("leaves out ")
    assert without_one(Contender(("pseudo_gradient",), {"pseudo_gradient": 0.1}), rule.rule) == []


def test_of_every_complexity_one_rule_is_there_however_hard_its_own_round_was(front: Front) -> None:
    """A round's tasks may be harder than the start's: nothing that grew in it scored above the start then."""
    entered = {run.terms for run in Run(front.out / "pruning-2-1").config.runs}
    grown = [rule for rule in front.archive if rule.round > 0 and not rule.why.startswith("leaves out")]
    sizes = sorted({rule.complexity for rule in grown})[-(SMALL.finalists - 1) :]
    assert len(sizes) > 2
    for size in sizes:
        assert any(rule.terms in entered for rule in grown if rule.complexity == size)
