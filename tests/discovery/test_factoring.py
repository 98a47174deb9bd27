"""Terms that share a factor, put together: what a person would write."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import ruledsl
from ruledsl import Locality, compile_rule, enumerate_terms
from ruledsl.discovery import factored, factored_terms, formula, library_of
from ruledsl.enumeration import library_text
from ruledsl.rules import check
from tests.discovery.small import ALPHABET


@pytest.mark.parametrize(
    ("theta", "expected"),
    [
        ({"t6": -0.04, "t103": 0.02}, "- 0.04 * (e_post - 0.5 * (e_post .* e_post)) * y_pre^T"),
        ({"t3": 1.0, "t4": 2.0, "t1": -3.0}, "2 * y_post * (e_pre + 0.5 * y_pre)^T - 3 * W"),
        ({"t3": 1.0, "t4": -1.0, "t6": 2.0, "t7": -2.0}, None),
    ],
)
def test_terms_that_share_a_factor_become_one_product(theta: dict[str, float], expected: str | None) -> None:
    library = ruledsl.rule(library_text(enumerate_terms(allow=Locality.axon, size=5)))
    found = formula(theta, library)
    if expected:
        assert found == expected
    assert len(factored(theta, library)) == 2 if not expected else found.count("^T") <= 2


def test_a_factored_rule_moves_weights_as_its_terms_do() -> None:
    library = library_of(ruledsl.load("feedback_alignment"), ALPHABET, Locality.axon, 3)
    chance = np.random.default_rng(0)
    theta = {name: float(chance.normal()) for name in library.names}
    definition = dataclasses.replace(library.definition, terms=tuple(factored_terms(theta, library)))
    whole = compile_rule(check(definition, Locality.layer))
    layer = {n: torch.tensor(chance.normal(size=s)) for n, s in LAYER.items()}
    expected = compile_rule(library).update(torch.tensor(list(theta.values())), **layer)
    found = whole.update(torch.tensor(list(whole.program.initial), dtype=torch.float64), **layer)
    assert len(whole.names) < len(library.names)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)


LAYER = {"y_post": (3,), "y_pre": (4,), "e_post": (3,), "e_pre": (4,), "W": (3, 4)}


def test_terms_that_are_more_than_an_expression_are_not_put_together() -> None:
    rule = ruledsl.rule(
        "term a = y_post * y_pre^T\nterm b = e_post * y_pre^T\nterm c for bias = e_post\n"
        "rule parts = a[layers = 1] + b[layers = 2] + c + pseudo_gradient[fixed = 0.5]"
    )
    theta = dict(zip(rule.names, (0.1, 0.2, 0.3, 0.5), strict=True))
    terms = factored_terms(theta, rule)
    assert [t.name for t in terms] == ["a", "b", "c", "pseudo_gradient"]
    assert [t.term.target for t in terms] == ["W", "W", "bias", "W"]
    assert [t.options.layers for t in terms[:2]] == [((1, 1),), ((2, 2),)]
    assert terms[3].options.fixed == 0.5
    shown = formula(theta, rule)
    assert shown == (
        "0.1 * y_post * y_pre^T in layer 1 + 0.2 * e_post * y_pre^T in layer 2 + 0.3 * e_post "
        "for bias - 0.5 * e_post * y_pre^T"
    )
