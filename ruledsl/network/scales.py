"""How large each term's update is in a naive network: what a step of its coefficient amounts to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ruledsl.backend import EagerProgram, change_of
from ruledsl.compiler import RuleProgram
from ruledsl.network.measure import probe_values


@torch.no_grad()
def term_norms(
    rule: RuleProgram,
    weights: Sequence[Tensor],
    feedback: Sequence[Tensor],
    pathway: str,
    beta: float,
    x: Tensor,
    y: Tensor,
) -> tuple[Tensor, Tensor]:
    """Root-mean-square Frobenius norm over the network of each F^r, and of −e y_preᵀ (F⁰), at given weights.

    Args:
        weights, feedback: W[l] (N, n_{l+1}, n_l) and B[l] (N, n_l, n_{l+1}).
        x: (N, S, n_0) inputs. y: (N, S) labels.

    Returns:
        (R,) and (): averaged over the N networks and S samples.
    """
    values = probe_values(weights, feedback, pathway, beta, x, y)
    samples = x.shape[1]
    squares = x.new_zeros(len(rule.names))
    reference = x.new_zeros(())
    one = x.new_ones(1)
    for layer, matrix in enumerate(weights, start=1):
        post, pre = matrix.shape[1:]
        quantities = {f"{q}_pre": values[f"{q}{layer - 1}"] for q in "yze"} | {
            f"{q}_post": values[f"{q}{layer}"] for q in "yze"
        }
        for sample in range(samples):
            inputs = {name: value[:, sample] for name, value in quantities.items()} | {"W": matrix}
            reference += _square(inputs["e_post"].norm(dim=-1) * inputs["y_pre"].norm(dim=-1))
            for r in range(len(rule.names)):
                if rule.acts_in(r, layer):
                    program = rule.single_program(r)
                    run = EagerProgram(program, {"post": post, "pre": pre}).run(inputs, one)
                    squares[r] += _square(change_of(program.updates[0], run, matrix).flatten(1).norm(dim=-1))
    return (squares / samples).sqrt(), (reference / samples).sqrt()


def _square(norms: Tensor) -> Tensor:
    return norms.square().mean()
