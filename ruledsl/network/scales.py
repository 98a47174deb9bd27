"""How much of the pseudo-gradient F⁰ = −e yᵀ is hidden in each other term.

A coefficient whose term points along F⁰ is a second learning rate. Where the term is also long (F⁵
is F⁰ times the summed activity of a layer), a step that is right for θ_0 is far too long for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ruledsl.backend import EagerProgram, change_of
from ruledsl.compiler import RuleProgram
from ruledsl.network.measure import probe_values


@torch.no_grad()
def gradient_content(
    rule: RuleProgram,
    weights: Sequence[Tensor],
    feedback: Sequence[Tensor],
    pathway: str,
    beta: float,
    x: Tensor,
    y: Tensor,
) -> Tensor:
    """√⟨(F^r · F⁰)²⟩ / ⟨F⁰ · F⁰⟩ for each term, the products taken over all weights of the network.

    Args:
        weights, feedback: W[l] (N, n_{l+1}, n_l) and B[l] (N, n_l, n_{l+1}).
        x: (N, S, n_0) inputs. y: (N, S) labels.

    Returns:
        (R,), averaged over the N networks and S samples. About 1 for F⁰ itself, 24 for F⁵, below 1 for the
        other terms of the pool in the paper's network.
    """
    values = probe_values(weights, feedback, pathway, beta, x, y)
    shape = (len(rule.names), *x.shape[:2])
    products, reference = x.new_zeros(shape), x.new_zeros(shape[1:])
    one = x.new_ones(1)
    for layer, matrix in enumerate(weights, start=1):
        sizes = {"post": matrix.shape[1], "pre": matrix.shape[2]}
        quantities = {f"{q}_pre": values[f"{q}{layer - 1}"] for q in "yze"}
        quantities |= {f"{q}_post": values[f"{q}{layer}"] for q in "yze"}
        for sample in range(shape[2]):
            inputs = {name: value[:, sample] for name, value in quantities.items()} | {"W": matrix}
            e, y_pre = inputs["e_post"], inputs["y_pre"]
            reference[:, sample] += e.square().sum(-1) * y_pre.square().sum(-1)
            for r in range(shape[0]):
                if rule.acts_in(r, layer):
                    program = rule.single_program(r)
                    run = EagerProgram(program, sizes).run(inputs, one)
                    change = change_of(program.updates[0], run, matrix)
                    products[r, :, sample] -= torch.einsum("nj,nji,ni->n", e, change.expand_as(matrix), y_pre)
    return products.square().mean((1, 2)).sqrt() / reference.mean()
