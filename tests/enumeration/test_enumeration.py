"""Every distinct term, each once: against texts by brute force, the paper's pool, and index forms."""

from __future__ import annotations

import itertools

import pytest

import ruledsl
from benchmarks.enumeration import agreement
from ruledsl import Alphabet, Locality, SettingsError, enumerate_terms
from ruledsl.algebra import Independent, direction, index_form
from ruledsl.checks import check_term
from ruledsl.enumeration import library, library_text, written
from ruledsl.ir import RuleError, SourceFile, TermStatement
from ruledsl.language import Term, parse
from tests.commands import run


def texts(quantities: list[str], functions: list[str], size: int) -> dict[int, list[str]]:
    """All expressions by size, as text with every parenthesis, transposed or not; most have no shape."""
    found: dict[int, list[str]] = {1: quantities}
    for now in range(2, size + 1):
        made = [f"{f}({sign}{a})" for f in functions for sign in ("", "-") for a in found[now - 1]]
        for first in range(1, now - 1):
            for a, b in itertools.product(found[first], found[now - 1 - first]):
                made += [f"({a}) {op} ({b})" for op in ("+", "-", ".*")]
                made += [f"({a}){s} * ({b}){t}" for s in ("", "^T") for t in ("", "^T")]
        found[now] = [text for text in made if shaped(text)]
    return found


def term_of(text: str) -> Term:
    statement = parse(SourceFile("brute", f"term t = {text}\n")).statements[0]
    assert isinstance(statement, TermStatement)
    return Term("t", statement.expression)


def shaped(text: str) -> bool:
    """Whether an expression has a shape at all: as a part of a larger one it may."""
    wraps = ("{}", "({}) * 1_pre^T", "1_post * ({})^T", "({}) * W", "W * ({})", "1_post * ({})", "({})^T")
    return any(not check_term(term_of(wrap.format(text))) for wrap in wraps)


@pytest.mark.parametrize(
    ("quantities", "functions", "size"),
    [
        (["y_post", "e_pre", "W"], [], 5),
        (["y_post", "y_pre"], ["tanh", "mean"], 4),
        (["e_post", "1_pre"], [], 5),
        (["y_post", "1_pre"], ["sqrt"], 4),
    ],
)
def test_nothing_that_can_be_written_is_missed(
    quantities: list[str], functions: list[str], size: int
) -> None:
    by_hand = set()
    for text in itertools.chain(*texts(quantities, functions, size).values()):
        term = term_of(text)
        if not check_term(term):
            try:
                by_hand.add(direction(index_form(term)))
            except RuleError:  # identically zero
                continue
    found = enumerate_terms(Alphabet(tuple(quantities), tuple(functions)), size=size)
    assert {direction(f.form) for f in found.terms} == by_hand


@pytest.mark.parametrize("name", ruledsl.load("pool").names)
def test_the_terms_of_the_paper_are_among_them(name: str) -> None:
    rule = ruledsl.load("pool")
    form = rule.forms[rule.names.index(name)]
    ones = {"presynaptic_error": ("1_post",), "population_gradient": ("1_post",)}.get(name, ())
    operators = ("-", "*") if name == "oja_subspace" else ("*",)
    found = enumerate_terms(Alphabet((*sorted(form.reads), *ones), operators=operators), size=9)
    assert direction(form) in {direction(f.form) for f in found.terms}


def test_what_is_equal_in_value_is_equal_in_index_form() -> None:
    """On random terms with functions and constants; `python -m benchmarks.enumeration` tries ten thousand."""
    found = agreement(300, seed=1)
    assert found.terms == 300
    assert found.apart_in_value == 0
    # Identities of functions that no algebra was told, such as relu(relu(x)) = relu(x).
    assert all("(" in example for example in found.examples)
    assert found.apart_in_form <= 30


def test_a_class_holds_what_fits_it_and_all_that_smaller_ones_hold() -> None:
    everything = {direction(f.form): f for f in enumerate_terms(size=7).terms}
    for allow in (Locality.synapse, Locality.dendrite, Locality.axon):
        within = {direction(f.form) for f in enumerate_terms(allow=allow, size=7).terms}
        assert within == {key for key, f in everything.items() if f.certificate.locality <= allow}


def test_the_library_spans_every_term_and_no_term_of_it_is_a_sum_of_others() -> None:
    found = enumerate_terms(allow=Locality.axon, size=5)
    again = Independent()
    assert all(again.add(f.form) for f in reversed(found.library))
    assert not any(again.add(f.form) for f in found.terms)


def test_a_library_is_a_rule_file_that_trains(tmp_path: object) -> None:
    found = enumerate_terms(allow=Locality.synapse, size=3)
    rule = ruledsl.rule(library_text(found, "small"))
    assert rule.name == "small"
    assert [direction(f) for f in rule.forms] == [direction(f.form) for f in found.library]
    assert [t.term for t in library(found.library).terms] == [f.term for f in found.library]


@pytest.mark.parametrize("target", ["B", "bias"])
def test_terms_for_other_targets_are_enumerated_in_their_own_names(target: str) -> None:
    quantities = {"B": ("y_post", "e_pre", "B"), "bias": ("y_post", "e_post", "bias")}[target]
    found = enumerate_terms(Alphabet(quantities, target=target), size=3)
    assert {f.term.target for f in found.terms} == {target}
    assert target in {f.text for f in found.terms}
    text = "".join(f"term t{n} for {target} = {f.text}\n" for n, f in enumerate(found.terms))
    items = " + ".join(f"t{n}" for n in range(len(found.terms)))
    assert len(ruledsl.rule(f"{text}rule all = pseudo_gradient + {items}").pieces) == len(found.terms) + 1


def test_as_many_forms_are_written_as_can_be_counted_by_hand() -> None:
    """Two vectors: one outer product; with a third symbol nothing has the shape; with five, products
    with squares and numbers before them."""
    assert written(Alphabet(("y_post", "y_pre"), operators=("*",)), 5) == [0, 0, 1, 0, 0]
    only = Alphabet(("y_post", "y_pre"), operators=("*", ".*"))
    # (y∘y) yᵀ, y (y∘y)ᵀ.
    assert written(only, 5) == [0, 0, 1, 0, 2]


def test_equal_alphabets_give_equal_libraries() -> None:
    once, again = (library_text(enumerate_terms(size=5)) for _ in range(2))
    assert once == again


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--quantities", "y_post,y_prr"],
            "`y_prr` is no quantity that these terms may read; did you",
        ),
        (["--functions", "tan"], "`tan` is no function; did you mean `tanh`?"),
        (["--operators", "@"], "`@` is no operator"),
        (["--traces", "0.5"], "a trace's time is a number of samples above 1"),
        (["--target", "V"], "`V` is no target"),
        (["--size", "0"], "--size"),
    ],
)
def test_what_is_no_alphabet_is_refused_in_words(options: list[str], said: str) -> None:
    result = run("enumerate", *options)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_the_command_prints_a_table_and_writes_what_check_accepts(tmp_path: object) -> None:
    out = f"{tmp_path}/mine.rule"
    result = run("enumerate", "--allow", "dendrite", "--size", "5", "--quiet", "--out", out)
    assert result.exit_code == 0, result.output
    assert "105 distinct terms; 56 of them sums of others" in result.output
    checked = run("check", out, "--allow", "dendrite")
    assert checked.exit_code == 0, checked.output
    assert "49 terms, rules: mine" in checked.output


def test_an_alphabet_says_what_is_wrong_with_it() -> None:
    with pytest.raises(SettingsError, match="did you mean `e_post`"):
        Alphabet(("e_pots",))


def test_numbers_beyond_floats_are_no_terms_and_end_nothing() -> None:
    found = enumerate_terms(Alphabet(("y_post", "1_pre"), ("exp", "sqrt"), operators=("+", "*")), size=7)
    texts = {f.text for f in found.terms}
    assert "(sqrt(y_post) + sqrt(-y_post)) * 1_pre^T" not in texts
    assert "(y_post - exp(y_post)) * 1_pre^T" in texts, "a sum brings the difference: signs are free"
