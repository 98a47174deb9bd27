"""Texts that once raised, or took minutes: refused with a caret, or read, and at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import ruledsl
from fuzz.texts import Texts
from ruledsl import RuleError
from ruledsl.language import MAX_STATEMENTS

HOSTILE = {
    "\x1e": "this file defines nothing",
    "\u2028": "this file defines nothing",
    "\x85": "this file defines nothing",
    "term t = ((1/0)^0)*W": "something is divided by it",
    "term t = relu(1_post / 0) * y_pre^T": "something is divided by it",
    "term t = (1/0)*W": "something is divided by it",
    "term t = y_post / (n_pre - n_pre) * y_pre^T": "something is divided by it",
    "term t = exp(exp(exp(exp(1000))))*W": "not real and finite",
    "term t = relu(exp(1000) * e_post) * y_pre^T": "not real and finite",
    "term t = y_post * ((inh_pre/1e300).^1000)^T": "too large or too small",
    "term t = (0.1*(z_post+z_post)).^1e9 * y_pre^T": "beyond ±1000",
    "term t = ((n_pre+1)^1e15)*W": "beyond ±1000",
    "term t = (sum(y_post)^1e15)*W": "beyond ±1000",
    "term t = ((W * y_pre).^1000) * y_pre^T": "sum over cells is beyond ±50",
    "term t = ((y_post+z_post).^499)*y_pre^T": "more than 500 summands",
    "term t = diag(((y_post / (n_pre + 1)^1)).^1000) * W": "more than 500 summands",
    "term t = (1/3)^1000*W": "too large or too small",
    f"term t = {'1' * 5000}*W": "too large or too small",
    f"term t = y_post * y_pre^T [layers = {'9' * 5000}]": "",  # a number beyond any float, or no layer
    f"rule r = pseudo_gradient[layers = 1..{'9' * 5000}]": "postsynaptic layers",
}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_is_refused_in_words_and_at_once(text: str) -> None:
    started = time.process_time()
    with pytest.raises(RuleError) as refused:
        ruledsl.rule(text)
    assert HOSTILE[text] in str(refused.value)
    assert time.process_time() - started < 5.0  # a hundred times what it takes


@pytest.mark.parametrize("text", ["term a = y_post * y_pre^T\x1e", "term a = W\u2028\n\x85"])
def test_white_space_of_any_kind_is_white_space(text: str) -> None:
    assert ruledsl.rule(text).names == ("a",)


@pytest.mark.parametrize("text", ["(0.123456789 * y_post).^50 * y_pre^T", "(1.000001^1000) * W"])
def test_a_number_of_many_digits_is_no_large_number(text: str) -> None:
    """What counts is whether it fits a float, not how long it is when it is written out exactly."""
    assert ruledsl.rule(f"term t = {text}").locality


def test_thousands_of_terms_are_read_and_more_are_refused_at_once() -> None:
    started = time.process_time()
    terms = [f"term t{n} = {n + 1} * y_post * y_pre^T" for n in range(MAX_STATEMENTS)]
    rule = ruledsl.rule("\n".join(terms))
    assert len(rule.names) == MAX_STATEMENTS
    assert len(rule.warnings) == MAX_STATEMENTS - 1  # all are one term
    with pytest.raises(RuleError, match=f"this file has {MAX_STATEMENTS + 1} statements"):
        ruledsl.rule("\n".join([*terms, "term more = W"]))
    assert time.process_time() - started < 60.0  # it grew with the square once: minutes


def test_abbreviations_that_double_are_refused_before_they_are_written_out() -> None:
    lets = ["let a0 = y_post", *(f"let a{n} = a{n - 1} + a{n - 1}" for n in range(1, 60))]
    with pytest.raises(RuleError, match="too large"):
        ruledsl.rule("\n".join([*lets, "term t = a59 * y_pre^T"]))


def test_texts_drawn_at_random_are_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m fuzz texts` with more of them is the real thing: docs/results/reliability.md."""
    attack = Texts(tmp_path)
    monkeypatch.setattr(Texts, "slow", 50.0)
    found = [attack.run(0, number)[1] for number in range(250)]
    assert [str(f) for f in found if f] == []
