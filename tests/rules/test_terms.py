"""Every shipped term against its equation written as plain loops in float64."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import ruledsl
from ruledsl.language import load_file, packaged_folders
from tests.drawing import layer_quantities
from tests.oracle import TERMS, Synapses

SHIPPED = {
    t.name: str(p) for p in sorted(packaged_folders()[0].glob("*.rule")) for t in load_file(str(p)).terms
}


IN_EPISODES = {
    "kp_feedback", "kp_decay", "kp_feedback_decay", "mirror", "mirror_decay",
    "surprise_gradient", "lasting_activity",
    "eligibility", "bias_gradient", "shrunk_gradient",
}  # fmt: skip
"""Terms with memory, or of other targets than W: tests/test_pathways.py has their loops."""


def test_the_oracle_knows_every_shipped_term() -> None:
    assert set(SHIPPED) == set(TERMS) | IN_EPISODES


@pytest.mark.parametrize("name", sorted(TERMS))
@pytest.mark.parametrize(("n_pre", "n_post", "batch"), [(1, 1, ()), (5, 3, ()), (4, 7, (2,)), (3, 3, (2, 3))])
def test_a_shipped_term_equals_its_equation(
    name: str, n_pre: int, n_post: int, batch: tuple[int, ...]
) -> None:
    compiled = ruledsl.compile_rule(ruledsl.load(f"{SHIPPED[name]}:{name}"))
    values = layer_quantities(n_pre, n_post, batch, seed=n_pre)
    theta = torch.randn(*batch, 1, dtype=torch.float64)
    found = compiled.update(theta, **values)
    assert found.shape == (*batch, n_post, n_pre)
    for where in (
        torch.cartesian_prod(*(torch.arange(n) for n in batch)).reshape(-1, len(batch)) if batch else [()]
    ):
        index = tuple(int(i) for i in where)
        literal = TERMS[name](Synapses(**{k: v[index].tolist() for k, v in values.items()}))
        expected = theta[index] * torch.tensor(literal, dtype=torch.float64)
        torch.testing.assert_close(found[index], expected, rtol=1e-12, atol=1e-12)


def test_the_pool_is_the_weighted_sum_of_its_terms() -> None:
    rule = ruledsl.load("pool")
    values = layer_quantities(6, 4)
    theta = torch.randn(10, dtype=torch.float64)
    synapses = Synapses(**{k: v.tolist() for k, v in values.items()})
    expected = sum(
        t * torch.tensor(TERMS[n](synapses), dtype=torch.float64)
        for t, n in zip(theta, rule.names, strict=True)
    )
    found = ruledsl.compile_rule(rule).update(theta, **values)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_named_rules_hold_the_papers_terms() -> None:
    pool = ruledsl.load("pool").names
    sets = {
        "pool": range(10),
        "bio": (0, 2, 9),
        "ehebb": (0, 2),
        "oja": (0, 9),
        "feedback_alignment": (0,),
        "backprop": (0,),
    }
    for name, members in sets.items():
        assert ruledsl.load(name).names == tuple(pool[m] for m in members)
    assert ruledsl.load("backprop").definition.feedback == "symmetric"
    assert ruledsl.load("pool").program.initial == (1e-3,) + (0.0,) * 9


def test_every_shipped_file_is_in_canonical_form_and_cites_its_terms() -> None:
    from ruledsl.language import format_source, read_source

    for path in sorted(packaged_folders()[0].glob("*.rule")):
        source = read_source(path)
        assert format_source(source) == source.text, path
        for term in load_file(str(path)).terms:
            assert term.options.cite, f"{path}: {term.name}"
            assert term.note, f"{path}: {term.name}"
    assert Path("rules").is_dir()
