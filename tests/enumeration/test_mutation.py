"""Mutants: small changes that stay in the shape of a term, and none that a longer enumeration would miss."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

import ruledsl
from ruledsl import Alphabet, enumerate_terms
from ruledsl.checks import shape_of
from ruledsl.enumeration import mutant, mutants, symbols
from ruledsl.ir import WEIGHTS, Expression, Locality, RuleError
from ruledsl.language import print_expression
from ruledsl.rules import Rule, rule

FEW = Alphabet(("y_post", "e_post", "y_pre", "W"), functions=("tanh", "mean"), operators=("*", ".*", "/"))
TERMS = enumerate_terms(FEW, Locality.axon, 5).library


def tree(text: str) -> Expression:
    return ruledsl.rule(f"term one = {text}").definition.terms[0].term.expression


def named(expression: Expression) -> Rule:
    return rule(f"term one = {print_expression(expression)}")


def test_every_mutant_of_a_term_has_the_shape_of_weights() -> None:
    for found in mutants(tree("-e_post * y_pre^T"), FEW):
        assert shape_of(found) == WEIGHTS, print_expression(found)


def test_a_quantity_is_exchanged_wrapped_multiplied_divided_and_left_out() -> None:
    found = {print_expression(m) for m in mutants(tree("(y_post .* e_post) * y_pre^T"), FEW)}
    assert {
        "(y_post .* y_post) * y_pre^T",
        "tanh(y_post .* e_post) * y_pre^T",
        "y_post .* e_post / mean(y_pre) * y_pre^T",
        "y_post * y_pre^T",
        "e_post * y_pre^T",
    } <= found
    assert "(y_post .* e_post) * y_pre^T" not in found


@given(st.sampled_from(TERMS), st.integers(0, 2**32))
def test_a_chain_of_mutants_stays_within_the_language(term: object, seed: int) -> None:
    """Whatever is drawn parses again as what it was, or is refused in words (as what cancels is)."""
    chance, expression = Random(seed), term.term.expression  # type: ignore[attr-defined]
    for _ in range(4):
        changed = mutant(expression, FEW, chance)
        if changed is None or symbols(changed) > 15:
            return
        assert tree_or_refusal(changed) in (print_expression(changed), "refused")
        expression = changed


def tree_or_refusal(expression: Expression) -> str:
    try:
        return print_expression(named(expression).definition.terms[0].term.expression)
    except RuleError:
        return "refused"


def test_symbols_are_counted_as_enumeration_counts_them() -> None:
    assert all(symbols(found.term.expression) == found.size for found in TERMS)


def test_one_change_finds_every_term_of_the_next_size_that_is_one_change_away() -> None:
    """Of size 5, each term that multiplies one side of y_post y_preᵀ by a quantity."""
    found = {named(m).forms[0] for m in mutants(tree("y_post * y_pre^T"), FEW) if not_refused(m)}
    squares = ("(y_post .* y_post) * y_pre^T", "y_post * (y_pre .* y_pre)^T")
    assert {named(tree(text)).forms[0] for text in ("(y_post .* e_post) * y_pre^T", *squares)} <= found


def not_refused(expression: Expression) -> bool:
    return tree_or_refusal(expression) != "refused"
