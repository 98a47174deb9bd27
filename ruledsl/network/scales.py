"""How much of the pseudo-gradient F⁰ = −e yᵀ is hidden in each other term.

A coefficient whose term points along F⁰ is a second learning rate. Where the term is also long (F⁵
is F⁰ times the summed activity of a layer), a step that is right for θ_0 is far too long for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ruledsl.compiler import RuleProgram
from ruledsl.network.measure import probe_values
from ruledsl.network.terms import layer_quantities, term_change


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
    for layer, matrix in enumerate(weights, start=1):
        for sample in range(shape[2]):
            quantities = layer_quantities(values, layer, sample)
            e, y_pre = quantities["e_post"], quantities["y_pre"]
            reference[:, sample] += e.square().sum(-1) * y_pre.square().sum(-1)
            for r in range(shape[0]):
                if rule.acts_in(r, layer):
                    change = term_change(rule, r, quantities, matrix)
                    products[r, :, sample] -= torch.einsum("nj,nji,ni->n", e, change, y_pre)
    return products.square().mean((1, 2)).sqrt() / reference.mean()
