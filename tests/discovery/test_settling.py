"""At the end of a search every finalist is tried with less, and with other terms, on tasks that all share."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import pytest

import ruledsl
from ruledsl.discovery import Contender, Front, Shelf, discover, library_of, without_one
from ruledsl.ir import Locality
from ruledsl.rules import load
from ruledsl.runs import Run
from ruledsl.settings import RunSpec
from tests.discovery.small import QUESTIONED, SMALL, Stop, stop_at


def races(front: Front, stage: str) -> list[Run]:
    return [Run(folder) for folder in sorted(front.out.glob(stage)) if folder.is_dir()]


def entered(front: Front, stage: str) -> Iterator[tuple[RunSpec, dict[str, float]]]:
    """Who ran in a stage, and from which Θ."""
    for run in races(front, stage):
        for spec in run.config.runs:
            start = dict(zip(run.config.terms, spec.initial, strict=True))
            yield spec, {name: start[name] for name in spec.terms}


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
    raced = {run.terms for folder in front.out.glob("round-*-heat-2*") for run in Run(folder).config.runs}
    grown = [rule for rule in front.archive if rule.terms in raced]
    sizes = sorted({rule.complexity for rule in grown})[-(SMALL.finalists - 1) :]
    assert len(sizes) > 2
    for size in sizes:
        assert any(rule.terms in entered for rule in grown if rule.complexity == size)


def test_every_other_term_is_tried_in_the_place_of_every_term_of_a_finalist(front: Front) -> None:
    library = library_of(load(QUESTIONED.start), QUESTIONED.alphabet, Locality.axon, QUESTIONED.size).names
    tried = {frozenset(spec.terms): theta for spec, theta in entered(front, "exchange-2-1-heat-0*")}
    raced = {frozenset(spec.terms): theta for spec, theta in entered(front, "pruning-2-*")}

    def swaps(rule: frozenset[str]) -> set[frozenset[str]]:
        return {rule - {gone} | {new} for gone in rule for new in {*library} - rule}

    whole = [rule for rule in raced if swaps(rule) <= tried.keys() | raced.keys()]
    assert {len(rule) for rule in whole} >= {2, 3}
    for terms, theta in tried.items():
        rule = next(rule for rule in whole if terms in swaps(rule))
        kept = rule & terms
        assert {name: theta[name] for name in kept} == {name: raced[rule][name] for name in kept}
        assert [theta[new] for new in terms - rule] == [0.0]


def test_nobody_races_twice(front: Front) -> None:
    first = [spec.terms for spec, _ in entered(front, "pruning-2-*")]
    last = [spec.terms for spec, _ in entered(front, "exchange-2-1")]
    assert last
    assert not {*first} & {*last}


def test_what_came_by_exchange_meets_the_finalists_on_their_tasks(front: Front) -> None:
    learned = {
        (spec.terms, name): races(front, "exchange-2-1-heat-0")[0].result["runs"][spec.run]["theta"][name]
        for spec, _ in entered(front, "exchange-2-1-heat-0")
        for name in spec.terms
    }
    before = {spec.terms: theta for spec, theta in entered(front, "exchange-2-1-heat-0")}
    shared = {spec.seed for spec, _ in entered(front, "pruning-2-1")}
    last = list(entered(front, "exchange-2-1"))
    assert {spec.seed for spec, _ in last} == shared
    assert not {spec.seed for spec, _ in entered(front, "exchange-2-1-heat-0*")} & shared
    for spec, theta in last:
        for name, value in theta.items():
            start = before[spec.terms][name]
            assert value == (start or learned[spec.terms, name]), "the new one from what it learned"


def test_finalists_have_as_many_exchanges_each(front: Front) -> None:
    """Or a larger rule's, which are all better than a smaller one's, would leave no room."""
    tried = Counter(len(spec.terms) for spec, _ in entered(front, "exchange-2-1-heat-0*"))
    raced = Counter(len(runs) for runs in {spec.terms for spec, _ in entered(front, "exchange-2-1")})
    first = {spec.terms for spec, _ in entered(front, "pruning-2-1")} - {front.rules[0].terms}
    assert len(tried) > 1
    assert raced.keys() == tried.keys()
    assert len(front.rules) > 2
    assert max(raced.values()) < SMALL.kept < sum(tried.values()), "some, and not all for one"
    assert SMALL.kept <= sum(raced.values()) <= SMALL.kept + len(first)


def test_the_best_of_each_finalists_exchanges_go_on(front: Front) -> None:
    scored: dict[tuple[str, ...], float] = {}
    for run in races(front, "exchange-2-1-heat-0*"):
        for spec in run.config.runs:
            scored[spec.terms] = -fmean(run.metrics.column(spec.run, "meta_loss")[1:])
    raced = {spec.terms for spec, _ in entered(front, "exchange-2-1")}
    assert raced < scored.keys()
    assert max(scored, key=lambda terms: scored[terms]) in raced


def test_a_term_gives_way_to_one_that_moves_the_same() -> None:
    """A term for B in the place of one for W would leave W without the rule's idea, and B with it."""
    both = ruledsl.rule(
        "term f = -e_post * y_pre^T\nterm w = y_post * y_pre^T\n"
        "term b for B = -y_pre * e_post^T\nterm d for B = B\n"
        "term s = e_post * e_pre^T\nrule x = f + w + b + d + s[min=0.01]"
    )
    shelf = Shelf(both)
    items = {item.name: item for item in both.definition.terms}
    assert [t.name for t in shelf.replacements(items["f"])] == ["f", "w"], "s has bounds, of its own rule"
    assert [t.name for t in shelf.replacements(items["d"])] == ["b", "d"]


def test_what_the_race_does_not_tell_apart_is_judged(front: Front) -> None:
    sizes = Counter(rule.complexity for rule in front.rules if not rule.why.startswith("leaves out"))
    assert max(sizes.values()) > 1


def test_however_large_the_library_an_exchange_tries_no_more_than_so_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ruledsl.discovery.settling.MOST_SWAPS", 6)
    with pytest.raises(Stop):
        discover(QUESTIONED, tmp_path, listen=stop_at("exchange-2-1"))
    tried = [spec for folder in tmp_path.glob("exchange-2-1-heat-0*") for spec in Run(folder).config.runs]
    assert 0 < len(tried) <= 6


def test_nothing_is_exchanged_where_nobody_asks_for_it(tmp_path: Path) -> None:
    plan = dataclasses.replace(SMALL, rounds=1, beam=1, exchanges=0)
    with pytest.raises(Stop):
        discover(dataclasses.replace(QUESTIONED, search=plan), tmp_path, listen=stop_at("refits-1"))
    assert list(tmp_path.glob("pruning-*"))
    assert not list(tmp_path.glob("exchange-*"))
