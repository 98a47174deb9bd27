"""A term has one name, however often and in whatever multiple it is written."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import ruledsl
from ruledsl import Alphabet, Locality, compile_rule
from ruledsl.discovery import Grown, Scene, Search, Shelf, library_of
from ruledsl.language import print_expression
from ruledsl.rules import Rule
from ruledsl.statistics import Interval

START = ruledsl.load("feedback_alignment")
LIBRARY = library_of(START, Alphabet(), Locality.axon, 3)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(LIBRARY)


def test_a_multiple_of_a_known_term_is_that_term_with_another_coefficient(shelf: Shelf) -> None:
    theta = shelf.put(ruledsl.rule("term mine = 3 * e_post * y_pre^T\nrule x = mine[init = 0.5]"))
    assert theta == {"pseudo_gradient": -1.5}


def test_two_writings_of_one_term_in_one_rule_add_up(shelf: Shelf) -> None:
    text = "term a = y_post * y_pre^T\nterm b = (2 * y_post) * y_pre^T\nrule x = a[init=1] + b[init=-3]"
    (value,) = shelf.put(ruledsl.rule(text)).values()
    assert value == -5.0


def test_a_rule_of_the_shelf_moves_weights_as_the_proposed_one_does(shelf: Shelf) -> None:
    text = (
        "term a = -2 * e_post * y_pre^T\nterm b = tanh(e_post) * y_pre^T\nterm t1 = y_post * e_pre^T\n"
        "rule x = a[init = 0.25] + b[init = -0.5] + t1[init = 2]"
    )
    proposed = ruledsl.rule(text)
    theta = shelf.put(proposed)
    kept = shelf.rule(theta)
    layer = {n: torch.randn(size, dtype=torch.float64) for n, size in LAYER.items()}
    expected = compile_rule(proposed).update(torch.tensor([0.25, -0.5, 2.0], dtype=torch.float64), **layer)
    own = torch.tensor([theta[n] for n in kept.names], dtype=torch.float64)
    torch.testing.assert_close(compile_rule(kept).update(own, **layer), expected)


LAYER = {"y_post": (3,), "y_pre": (4,), "e_post": (3,), "e_pre": (4,), "W": (3, 4)}


def test_one_word_for_two_expressions_becomes_two_words(shelf: Shelf) -> None:
    first = shelf.put(ruledsl.rule("term mine = tanh(e_post) * y_pre^T"))
    second = shelf.put(ruledsl.rule("term mine = y_post * tanh(y_pre)^T"))
    both = shelf.rule([*first, *second])
    assert len(both.names) == len(set(both.names)) == 2
    assert ruledsl.rule(both.source).forms == both.forms


def test_a_term_in_some_layers_is_another_than_in_all(shelf: Shelf) -> None:
    text = "rule x = pseudo_gradient[layers = 1, init = 0.1] + pseudo_gradient[layers = 2..4]"
    theta = shelf.put(ruledsl.rule(text))
    assert theta == {"pseudo_gradient[1]": 0.1, "pseudo_gradient[2..4]": 0.001}
    again = ruledsl.rule(shelf.rule(theta).source)
    assert again.names == tuple(theta), "a run folder reads them back under the same names"


@pytest.mark.parametrize(("text", "expected"), [("W .* W", True), ("W", False), ("y_post * y_pre^T", False)])
def test_terms_that_move_weights_entry_by_entry_are_known(text: str, expected: bool, shelf: Shelf) -> None:
    assert shelf.is_entrywise(shelf.put(ruledsl.rule(f"term mine = {text}"))) is expected


def grown(rule: Rule, theta: dict[str, Interval]) -> Grown:
    terms = tuple(
        dataclasses.replace(t, options=dataclasses.replace(t.options, init=theta[t.name].mean))
        for t in rule.definition.terms
    )
    return Grown(dataclasses.replace(rule.definition, terms=terms), theta, 0.5, {})


def merges(text: str, **theta: Interval) -> list[Rule]:
    """What merging proposes of a rule."""
    parent = grown(ruledsl.rule(text), theta)
    scene = Scene(1, (parent,), LIBRARY, (), Alphabet(), Locality.axon, Search(), 5, 250, None)  # type: ignore[arg-type]
    return [ruledsl.rule(idea.text) for idea in scene.merged(parent)]


AND = "term a = y_post * y_pre^T\nterm b = -y_post * e_pre^T\n"


def test_products_that_share_a_factor_and_agree_in_size_become_one_term() -> None:
    (found,) = merges(AND + "rule x = a + b", a=Interval(0.020, 0.002), b=Interval(0.0195, 0.002))
    (term,) = found.definition.terms
    assert print_expression(term.term.expression) == "y_post * (y_pre - e_pre)^T"
    assert term.initial == pytest.approx(0.01975)


def test_products_that_differ_in_size_stay_apart() -> None:
    assert merges(AND + "rule x = a + b", a=Interval(0.020, 0.002), b=Interval(0.01, 0.002)) == []


def test_a_block_of_rank_one_becomes_the_product_that_it_is() -> None:
    """(y − ½ e)(x + 2 e)ᵀ · 0.04, written out."""
    terms = {
        "p": ("y_post * y_pre^T", 0.04), "q": ("y_post * e_pre^T", 0.08),
        "r": ("e_post * y_pre^T", -0.02), "s": ("e_post * e_pre^T", -0.04),
    }  # fmt: skip
    text = "".join(f"term {name} = {expression}\n" for name, (expression, _) in terms.items())
    theta = {name: Interval(value, 0.0) for name, (_, value) in terms.items()}
    found = merges(text + "rule x = " + " + ".join(terms), **theta)
    (whole,) = (rule for rule in found if len(rule.names) == 1)
    (term,) = whole.definition.terms
    layer = {n: torch.randn(size, dtype=torch.float64) for n, size in LAYER.items()}
    expected = compile_rule(ruledsl.rule(text + "rule x = " + " + ".join(terms))).update(
        torch.tensor([value for _, value in terms.values()], dtype=torch.float64), **layer
    )
    own = compile_rule(whole).update(torch.tensor([term.initial], dtype=torch.float64), **layer)
    torch.testing.assert_close(own, expected, rtol=1e-3, atol=1e-6)
