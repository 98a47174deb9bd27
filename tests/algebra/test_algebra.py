"""Index form, normal form and every backend agree with the literal reading of the tree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import ruledsl
from ruledsl.algebra import index_form, index_text, linear_relations
from ruledsl.backend import EagerProgram, change_of, run_updates, targets
from ruledsl.compiler import RuleProgram, minimum_cover
from ruledsl.ir import RuleError, SourceFile, parse_program, program_cost, program_text
from ruledsl.language import Term, parse
from tests.drawing import layer_quantities, terms
from tests.evaluator import evaluate

SIZES = {"pre": 3, "post": 4}


def compiled(term: Term) -> RuleProgram:
    try:
        form = index_form(term)
    except RuleError:  # identically zero, or too large when multiplied out: said so, nothing to compare
        assume(False)
        raise
    return RuleProgram(("t",), (form,), (0.0,), (True,), (None,), ((float("-inf"), float("inf")),))


def term_of(text: str) -> Term:
    (statement,) = parse(SourceFile("test", f"term t = {text}")).statements
    return Term("t", statement.expression)  # type: ignore[union-attr]


@given(terms())
def test_compiled_programs_equal_the_literal_tree(term: Term) -> None:
    program = compiled(term).update_program
    values = layer_quantities(SIZES["pre"], SIZES["post"])
    literal = evaluate(term.expression, values).numpy()
    assume(np.isfinite(literal).all() and abs(literal).max() < 1e6)
    arrays = {k: v.numpy() for k, v in values.items()}
    scale = max(1.0, float(abs(literal).max()))
    found = run_updates(program, arrays, [1.0], SIZES)["W"]
    np.testing.assert_allclose(found, literal, atol=1e-9 * scale)
    eager = EagerProgram(program, SIZES).run(values, torch.ones(1, dtype=torch.float64))
    np.testing.assert_allclose(
        change_of(program.updates[0], eager, values["W"]).numpy(), literal, atol=1e-9 * scale
    )


@given(terms(3))
def test_printed_torch_and_numpy_functions_run_and_agree(term: Term) -> None:
    program = compiled(term).update_program
    values = layer_quantities(SIZES["pre"], SIZES["post"])
    literal = evaluate(term.expression, values)
    assume(bool(literal.isfinite().all()) and float(literal.abs().max()) < 1e6)
    needed = set(program.inputs()) | {"W"}
    for source, arguments in (
        (targets()["torch"].source(program, ["t"]), {k: v for k, v in values.items() if k in needed}),
        (targets()["numpy"].source(program, ["t"]), {k: v.numpy() for k, v in values.items() if k in needed}),
    ):
        namespace: dict[str, object] = {}
        exec(source, namespace)  # the printed text is our own output
        one = torch.ones(1, dtype=torch.float64) if "torch" in source else np.ones(1)
        found = namespace["update"](one, **arguments)  # type: ignore[operator]
        np.testing.assert_allclose(
            np.asarray(found), literal.numpy(), atol=1e-8 * max(1.0, float(literal.abs().max()))
        )


@given(terms())
def test_program_text_reads_back_identically(term: Term) -> None:
    program = compiled(term).update_program
    assert parse_program(program_text(program)) == program


@given(terms(3), st.integers(0, 10**6))
def test_renaming_neurons_renames_the_update(term: Term, seed: int) -> None:
    """No term can tell neurons apart by their number."""
    program = compiled(term).update_program
    values = layer_quantities(SIZES["pre"], SIZES["post"], seed=1)
    random = np.random.default_rng(seed)
    rows, columns = random.permutation(SIZES["post"]), random.permutation(SIZES["pre"])
    arrays = {k: v.numpy() for k, v in values.items()}
    moved = {
        k: v[rows] if k.endswith("post") else v[columns] if k.endswith("pre") else v[rows][:, columns]
        for k, v in arrays.items()
    }
    plain = run_updates(program, arrays, [1.0], SIZES)["W"]
    assume(np.isfinite(plain).all() and abs(plain).max() < 1e6)
    np.testing.assert_allclose(
        run_updates(program, moved, [1.0], SIZES)["W"],
        plain[rows][:, columns],
        atol=1e-8 * max(1, abs(plain).max()),
    )


def test_batches_equal_loops() -> None:
    F = ruledsl.compile_rule(ruledsl.load("pool"))
    values = layer_quantities(5, 4, (2, 3))
    theta = torch.randn(2, 3, 10, dtype=torch.float64)
    together = F.update(theta, **values)
    for a in range(2):
        for b in range(3):
            alone = F.update(theta[a, b], **{k: v[a, b] for k, v in values.items()})
            torch.testing.assert_close(together[a, b], alone, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("(y_post * y_post^T) * W", "y_post * (y_post^T * W)"),
        ("(y_post + e_post) * y_pre^T", "y_post * y_pre^T + outer(e_post, y_pre)"),
        ("diag(y_post) * W", "(y_post * 1_pre^T) .* W"),
        ("sum(y_post) * W", "1_post^T * y_post * W"),
        ("mean(y_pre) * W", "(1_pre^T * y_pre) / n_pre * W"),
        ("norm(y_post)^2 * W", "(y_post^T * y_post) * W"),
        ("(y_post * y_pre^T) .* (e_post * e_pre^T)", "(y_post .* e_post) * (y_pre .* e_pre)^T"),
        ("W * (W^T * y_post) * 1_pre^T", "(W * W^T) * (y_post * 1_pre^T)"),
        ("square(y_post) * y_pre^T", "y_post.^2 * y_pre^T"),
        ("0.1 * W + 0.2 * W", "0.3 * W"),
        ("diag(y_post) * diag(e_post) * W", "diag(y_post .* e_post) * W"),
        ("(y_post^T * W * e_pre) * W", "(e_pre^T * W^T * y_post) * W"),
    ],
)
def test_equal_rules_have_equal_index_forms(one: str, other: str) -> None:
    assert index_form(term_of(one)) == index_form(term_of(other))


def test_index_text_names_the_sum() -> None:
    assert (
        index_text(index_form(term_of("y_post * y_post^T * W")).entry) == "(Σ_k y_post[k]·W[k,i])·y_post[j]"
    )


def test_linear_relations_are_found_and_only_those() -> None:
    texts = ["y_post * y_pre^T", "W", "(y_post + 2 * e_post) * y_pre^T", "-3 * e_post * y_pre^T"]
    forms = [index_form(term_of(t)) for t in texts]
    (relation,) = linear_relations(forms)
    assert set(relation) == {0, 2, 3}
    a, c, d = relation.values()
    assert a * 1 + c * 1 == 0
    assert c * 2 + d * -3 == 0
    assert linear_relations(forms[:3]) == []


def test_the_pool_needs_three_outer_products_and_two_matrix_products() -> None:
    program = ruledsl.load("pool").program.update_program
    assert len(program.updates[0].pairs) == 3
    assert program.updates[0].dense is None
    products = [i.op for i in program.instructions if i.op in ("matvec", "rmatvec", "matmul")]
    assert sorted(products) == ["matvec", "rmatvec"]


def test_terms_that_share_factors_cost_next_to_nothing_more() -> None:
    sizes = {"pre": 784, "post": 170}
    pool, single = (
        program_cost(ruledsl.load(n).program.update_program, sizes) for n in ("pool", "feedback_alignment")
    )
    assert pool < 7 * single


@given(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_the_cover_touches_every_edge_and_none_is_smaller(edges: set[tuple[int, int]]) -> None:
    left, right = minimum_cover(sorted(edges))
    assert all(a in left or b in right for a, b in edges)
    best = min(
        bin(mask).count("1")
        for mask in range(1 << 10)
        if all(mask >> a & 1 or mask >> (5 + b) & 1 for a, b in edges)
    )
    assert len(left) + len(right) == best
