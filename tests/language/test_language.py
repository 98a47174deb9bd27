"""The language: print/parse round trips, canonical form, names across files, settings."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lark import Lark

import ruledsl
from ruledsl.ir import Expression, RuleError, SourceFile, TermStatement
from ruledsl.language import format_number, format_source, load_rule, parse, print_expression
from tests.drawing import expressions


def parsed(text: str) -> Expression:
    (statement,) = parse(SourceFile("test", f"term t = {text}")).statements
    assert isinstance(statement, TermStatement)
    return statement.expression


@given(expressions(depth=5, smooth=False))
def test_what_is_printed_reads_back_as_the_same_tree(expression: Expression) -> None:
    assert parsed(print_expression(expression)) == expression


@given(expressions(depth=4))
def test_formatting_twice_changes_nothing(expression: Expression) -> None:
    once = format_source(SourceFile("a", f"term   t=({print_expression(expression)})\n"))
    assert format_source(SourceFile("b", once)) == once


@given(st.fractions(min_value=0, max_value=10**6, max_denominator=10**6))
def test_numbers_print_exactly(value: Fraction) -> None:
    decimal = Fraction(round(value * 10**9), 10**9)
    assert Fraction(format_number(decimal)) == decimal


def test_the_grammar_has_no_conflicts_even_in_strict_mode() -> None:
    grammar = (Path(ruledsl.__file__).parent / "language" / "grammar.lark").read_text(encoding="utf-8")
    Lark(grammar, parser="lalr", lexer="contextual", strict=True)


@pytest.mark.parametrize(
    ("paper", "plain"),
    [
        ("−e_post * y_preᵀ", "-e_post * y_pre^T"),
        ("y_post ⊙ e_post · 1_preᵀ", "(y_post .* e_post) * 1_pre^T"),
        ("1_post^T*y_post", "1_post^T * y_post"),
        ("y_post.^2*y_pre^⊤", "y_post.^2 * y_pre^T"),
        ("((W))", "W"),
        ("2.*W", "2 .* W"),
        ("- - W", "--W"),
        ("1_post *\n  y_pre^T  # continued\n", "1_post * y_pre^T"),
        ("1_post * \\\n  y_pre^T", "1_post * y_pre^T"),
        ("1e3 * W", "1000 * W"),
        (".5 * W", "0.5 * W"),
    ],
)
def test_the_papers_notation_reads(paper: str, plain: str) -> None:
    assert print_expression(parsed(paper)) == plain


def test_comments_survive_formatting() -> None:
    text = "// top\n\n\n#about a\nterm a=W   # behind\nterm b = W +   # inside\n  W\n# end"
    assert format_source(SourceFile("t", text)) == (
        "# top\n\n# about a\nterm a = W  # behind\n# inside\nterm b = W + W\n# end\n"
    )


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.rule").write_text(text, encoding="utf-8")
    return folder


def test_dropping_a_file_into_the_folder_is_enough(tmp_path: Path) -> None:
    write(tmp_path, mine="term mine_t = y_post * y_pre^T", both="rule both = mine_t + oja_subspace + bio")
    rule = ruledsl.load(tmp_path / "both.rule")
    assert rule.names == ("mine_t", "oja_subspace", "pseudo_gradient", "error_hebb")


def test_the_search_path_variable_and_the_rules_folder_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "rules", "c"):
        (tmp_path / name).mkdir()
    write(tmp_path / "rules", r="term in_rules = y_post * y_pre^T")
    write(tmp_path / "c", c="term in_path = e_post * y_pre^T")
    write(tmp_path / "a", a="rule a = in_rules + in_path")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RULEDSL_PATH", str(tmp_path / "c"))
    assert ruledsl.load("a/a.rule").names == ("in_rules", "in_path")
    assert ruledsl.load("in_path").names == ("in_path",)


def test_a_users_term_replaces_the_packaged_one_of_that_name(tmp_path: Path) -> None:
    write(tmp_path, own="term oja_subspace = y_post * y_pre^T\nrule own = oja_subspace + pseudo_gradient")
    assert "y_post * y_pre^T" in ruledsl.load(tmp_path / "own.rule").source.splitlines()[0]


def test_settings_are_read_and_items_override_terms(tmp_path: Path) -> None:
    write(
        tmp_path,
        s="term a = W [init = 1e-3, sign = positive]\nterm b = y_post * y_pre^T [bounds = -1 1, layers = "
        "1..2]\n"
        "term c = e_post * y_pre^T [fixed = 0.5]\nrule s = a[init = 2] + b + 0.01 * c + b[layers = 3]",
    )
    rule = ruledsl.load(tmp_path / "s.rule")
    assert rule.names == ("a", "b[1..2]", "c", "b[3]")
    assert rule.program.initial == (2.0, 0.0, 0.005, 0.0)
    assert rule.program.trainable == (True, True, False, True)
    assert rule.program.bounds[0] == (0.0, float("inf"))
    assert rule.program.bounds[1] == (-1.0, 1.0)
    assert [rule.program.acts_in(3, n) for n in (1, 2, 3, 4)] == [False, False, True, False]


def test_a_file_of_terms_alone_is_their_sum(tmp_path: Path) -> None:
    write(tmp_path, sum="const c = 2\nlet v = c * y_post\nterm a = v * y_pre^T\nterm b = W")
    rule = ruledsl.load(tmp_path / "sum.rule")
    assert (rule.name, rule.names) == ("sum", ("a", "b"))
    assert print_expression(rule.definition.terms[0].term.expression) == "2 * y_post * y_pre^T"


def test_the_source_of_a_rule_defines_the_same_rule(tmp_path: Path) -> None:
    for name in ("pool", "backprop", "soft_bound", "competition"):
        rule = ruledsl.load(name)
        (tmp_path / "again.rule").write_text(rule.source, encoding="utf-8")
        again = ruledsl.load(tmp_path / "again.rule")
        assert (again.names, again.identity, again.program) == (rule.names, rule.identity, rule.program)


def test_identity_ignores_spelling_but_not_algebra(tmp_path: Path) -> None:
    write(
        tmp_path,
        a="term p = -(e_post * y_pre^T)",
        b="term q = (-e_post)*y_preᵀ",
        c="term r = e_post * y_pre^T",
    )
    a, b, c = (ruledsl.load(tmp_path / f"{n}.rule").identity for n in "abc")
    assert a == b
    assert a != c


def test_several_rules_in_a_file_must_be_told_apart(tmp_path: Path) -> None:
    write(tmp_path, two="term a = W\nrule first = a\nrule second = a + pseudo_gradient")
    assert load_rule(f"{tmp_path}/two.rule:second").name == "second"
    with pytest.raises(RuleError, match=r"defines several rules[\s\S]*`first`, `second`[\s\S]*--rule first"):
        load_rule(f"{tmp_path}/two.rule")
