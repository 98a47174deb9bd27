"""Which rule of a front is preferred: the smallest that no larger one clearly beats, where one may choose."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import ruledsl
from ruledsl.discovery import Candidate, Judged, Shelf, beam_of, finalists, preferred, with_rivals
from ruledsl.selection import Fit
from ruledsl.statistics import Interval

PARTS = ruledsl.rule("".join(f"term t{n} = y_post.^{n + 2} * y_pre.^{n + 2}^T\n" for n in range(6)))
SHELF = Shelf(PARTS)
SEEDS = range(6)


def judged(terms: int, choice: list[float], test: float = 0.5) -> Judged:
    rule = SHELF.rule(PARTS.names[:terms])
    theta = {name: Interval(1.0) for name in rule.names}
    accuracy = {"choice": dict(zip(SEEDS, choice, strict=True)), "test": dict.fromkeys(SEEDS, test)}
    loss = {part: {s: -a for s, a in by.items()} for part, by in accuracy.items()}
    return Judged(name=f"{terms} terms", rule=rule, theta=theta, accuracy=accuracy, loss=loss)


def around(mean: float, spread: float = 0.01, seed: int = 0) -> list[float]:
    return list(mean + spread * np.random.default_rng(seed).standard_normal(len(SEEDS)))


@pytest.mark.parametrize("measure", ["accuracy", "loss"])
def test_a_larger_rule_is_preferred_where_it_is_clearly_better(measure: str) -> None:
    rules = [judged(1, around(0.3)), judged(2, around(0.5, seed=1)), judged(3, around(0.505, seed=2))]
    assert preferred(rules, measure) is rules[1]


@pytest.mark.parametrize("measure", ["accuracy", "loss"])
def test_of_rules_as_large_the_better_one_is_preferred_though_not_clearly(measure: str) -> None:
    """No order in which they came is a reason."""
    worse, better = judged(2, around(0.5)), judged(2, around(0.505))
    start = judged(1, around(0.3, seed=1))
    assert preferred([start, worse, better], measure) is better
    assert preferred([start, better, worse], measure) is better


def test_the_start_gives_way_to_its_equals_only_where_they_are_clearly_better() -> None:
    start, other, clear = judged(2, around(0.5)), judged(2, around(0.505, seed=1)), judged(2, around(0.6))
    assert preferred([start, other]) is start
    assert preferred([other, start], start=start) is start
    assert preferred([start, clear]) is clear


def test_the_classes_of_the_test_have_no_say() -> None:
    rules = [judged(1, around(0.5), test=0.1), judged(2, around(0.5, seed=1), test=0.9)]
    assert preferred(rules) is rules[0]


def test_a_smaller_rule_takes_the_place_of_the_start_where_nothing_is_lost() -> None:
    rules = [judged(3, around(0.5)), judged(2, around(0.5, seed=1))]
    assert preferred(rules) is rules[1]


def test_one_seed_shows_nothing() -> None:
    one = [dataclasses.replace(r, accuracy={"choice": {0: a}}) for r, a in
           ((judged(1, around(0.1)), 0.1), (judged(2, around(0.9)), 0.9))]  # fmt: skip
    assert preferred(one) is one[0]


@pytest.mark.parametrize("sizes", [(1, 2, 3, 4, 5, 6), (1, 1, 2, 2, 3, 3), (2, 1, 2, 2, 3)])
def test_of_fronts_that_are_no_better_than_their_start_one_in_twenty_says_otherwise(
    sizes: tuple[int, ...],
) -> None:
    """Rules that differ from the start by chance alone: 400 fronts, of which some 10 are allowed (a gain has
    one side, the interval two)."""
    chance = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        rules = [judged(n, list(0.5 + 0.01 * chance.standard_normal(len(SEEDS)))) for n in sizes]
        wrong += preferred(rules).complexity >= rules[0].complexity and preferred(rules) is not rules[0]
    assert wrong <= 24


def candidate(terms: int, *scores: float, first: int = 0) -> Candidate:
    rule = SHELF.rule(PARTS.names[first : first + terms])
    theta = {name: Interval(1.0) for name in rule.names}
    return Candidate(rule=rule, theta=theta, round=1, fit=Fit(rule.names, scores, scores, theta))


def test_a_beam_keeps_the_best_but_not_all_of_one_complexity() -> None:
    found = [candidate(3, 0.9), candidate(3, 0.8), candidate(3, 0.7), candidate(2, 0.6), candidate(2, 0.5)]
    assert [c.fit.mean for c in beam_of(found, 3)] == [0.9, 0.8, 0.6]
    assert [c.fit.mean for c in beam_of(found[:3], 3)] == [0.9, 0.8]
    assert [c.fit.mean for c in beam_of(found, 1)] == [0.9]


def test_finalists_are_the_start_and_larger_rules_that_scored_more() -> None:
    found = [candidate(1, 0.3), candidate(2, 0.5), candidate(2, 0.6), candidate(3, 0.55), candidate(4, 0.7)]
    assert [(len(c.terms), c.fit.mean) for c in finalists(found, 6)] == [(1, 0.3), (2, 0.6), (4, 0.7)]
    assert [len(c.terms) for c in finalists(found, 2)] == [1, 4]


def test_of_rules_with_as_many_products_the_one_with_fewer_terms_is_a_finalist_too() -> None:
    """Or a summand that does nothing would take the place of the rule without it."""
    rule = ruledsl.rule("term a = -e_post * y_pre^T\nterm b = e_post * e_pre^T\nterm c = y_post * y_pre^T")

    def scored(names: tuple[str, ...], score: float) -> Candidate:
        own = Shelf(rule).rule(names)
        theta = dict.fromkeys(names, Interval(1.0))
        return Candidate(rule=own, theta=theta, round=1, fit=Fit(names, (score,), (score,), theta))

    found = [scored(("a",), 0.3), scored(("a", "c"), 0.5), scored(("a", "b", "c"), 0.51)]
    found += [scored(("b",), 0.2), scored(("a", "b"), 0.29)]
    assert [c.terms for c in finalists(found, 6)] == [("a",), ("a", "c"), ("a", "b", "c")]
    assert [c.complexity for c in finalists(found, 6)] == [(1, 1), (1, 2), (2, 3)]


def test_another_rule_of_the_size_of_the_start_is_a_finalist_of_its_own() -> None:
    found = [candidate(3, 0.3), candidate(4, 0.4), candidate(3, 0.5), candidate(2, 0.2)]
    assert [(len(c.terms), c.fit.mean) for c in finalists(found, 6)] == [(3, 0.3), (2, 0.2), (3, 0.5)]


def test_a_finalist_is_followed_by_a_rival_from_which_the_race_does_not_tell_it() -> None:
    start, best = candidate(1, 0.2, 0.2, 0.2), candidate(2, 0.5, 0.6, 0.7)
    close, far = candidate(2, 0.51, 0.57, 0.69, first=1), candidate(2, 0.4, 0.5, 0.6, first=1)
    third, other = candidate(2, 0.45, 0.5, 0.6, first=2), candidate(3, 0.5, 0.6, 0.69)
    assert with_rivals([start, best], [start, third, close, other, best]) == [start, best, close]
    assert with_rivals([start, best], [start, best, far]) == [start, best], "clearly below, seed by seed"
    lost = candidate(2, 0.5, 0.6, float("nan"), first=1)
    assert with_rivals([start, best], [start, best, lost]) == [start, best]


def test_nobody_is_a_rival_of_the_start_and_nobody_is_there_twice() -> None:
    start, other = candidate(1, 0.2, 0.2), candidate(1, 0.19, 0.2, first=1)
    assert with_rivals([start], [start, other]) == [start]
    assert with_rivals([start, other], [start, other]) == [start, other]
