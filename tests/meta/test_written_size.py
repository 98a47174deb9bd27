"""How large a term was written changes nothing but its coefficient."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import ruledsl
from ruledsl.storage import read_json
from tests.commands import SMALL

TEXT = """
term grad = -{0} * e_post * y_pre^T
term long = {1} * (y_post * y_pre^T - y_post * y_post^T * W)
term rival = -{2} * e_post * 1_post^T * y_post * y_pre^T
term offset for bias = -{3} * e_post
rule r = grad[init = {start}] + long + rival + offset
"""


def trained(tmp_path: Path, sizes: tuple[float, ...], dtype: str) -> Tensor:
    """θ_r times the number that its term is written with, after three steps, all digits: (runs, R)."""
    text = TEXT.format(*sizes, start=2.0**-6 / sizes[0])
    folder = tmp_path / "-".join(map(str, sizes))
    ruledsl.train(
        ruledsl.rule(text), out=folder, progress=False, dtype=dtype, recipe="robust", l1=(0, 1), bias=True,
        **SMALL,
    )  # fmt: skip
    states = read_json(folder / "checkpoint.json")["states"]
    theta = torch.tensor([state["recipe"]["theta"] for state in states], dtype=torch.float64)
    return theta * torch.tensor(sizes, dtype=torch.float64)


def test_a_product_written_a_power_of_two_larger_moves_weights_bit_for_bit_alike(tmp_path: Path) -> None:
    # With numbers before them, the products of a sum are added up in another order: not `long`, therefore.
    plain = trained(tmp_path, (1.0, 1.0, 1.0, 1.0), "float32")
    assert bool((plain[0] != 0.0).all()), "every coefficient must have moved"
    assert torch.equal(trained(tmp_path, (2.0**-10, 1.0, 0.25, 64.0), "float32"), plain)


def test_a_term_written_a_thousand_times_larger_moves_weights_alike(tmp_path: Path) -> None:
    plain = trained(tmp_path, (1.0, 1.0, 1.0, 1.0), "float64")
    other = trained(tmp_path, (0.001, 1000.0, 0.001, 1000.0), "float64")
    torch.testing.assert_close(other, plain, rtol=1e-6, atol=1e-12)
