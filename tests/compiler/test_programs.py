"""Programs as text, and the change of one layer by any shipped rule."""

from __future__ import annotations

import pytest
import torch

import ruledsl
from ruledsl.ir import parse_program, program_text
from ruledsl.network import programs_for

RULES = ("pool", "bio", "kolen_pollack", "three_factor", "biased", "oja_single")


@pytest.mark.parametrize("name", RULES)
def test_a_program_survives_its_text_with_the_ranks_of_its_updates(name: str) -> None:
    programs = programs_for(ruledsl.load(name).program, 3, ruledsl.Network(bias=name == "biased"))
    for program in (programs.step, programs.adjoint.backward):
        again = parse_program(program_text(program))
        assert again == program
        assert [u.rank for u in again.updates] == [u.rank for u in program.updates]


def test_an_update_hears_a_third_factor() -> None:
    """By hand: the outer product, times what is passed as `third`, times θ."""
    F = ruledsl.compile_rule(ruledsl.rule("term reward = third * e_post * y_pre^T"))
    y, e = torch.rand(6), torch.randn(4)
    change = F.update(torch.tensor([0.5]), W=torch.randn(4, 6), y_pre=y, e_post=e, third=torch.tensor(2.0))
    assert torch.allclose(change, torch.outer(e, y))
