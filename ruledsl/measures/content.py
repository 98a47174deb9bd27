"""How much of the pseudo-gradient F⁰ = −e yᵀ is hidden in each other term.

A coefficient whose term points along F⁰ is a second learning rate. Where the term is also long (F⁵
is F⁰ times the summed activity of a layer), a step that is right for θ_0 is far too long for it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ruledsl.ir import Kind, Slot
from ruledsl.measures.probe import probe_values
from ruledsl.measures.terms import layer_quantities, signs_of, term_change
from ruledsl.network import StepPrograms


@torch.no_grad()
def gradient_content(
    programs: StepPrograms, named: Mapping[str, Tensor], theta: Tensor, x: Tensor, y: Tensor
) -> Tensor:
    """√⟨(F^r · F⁰)²⟩ / ⟨F⁰ · F⁰⟩ for each term, the products taken over all weights of the network.

    Args:
        named: W0 … (N, n_{l+1}, n_l), B0 … and whatever else the network holds, by name.
        theta: (N, R), read by pathways that have coefficients of their own.
        x: (N, S, n_0) inputs. y: (N, S) labels, or (N, S, n_L) targets.

    Returns:
        (R,), averaged over the N networks and S samples. About 1 for F⁰ itself, 24 for F⁵, below 1 for the
        other terms of the pool in the paper's network. Traces count as settled; terms of B and bias hold
        nothing.
    """
    rule = programs.rule
    values = probe_values(programs, named, theta, x, y)
    shape = (len(rule.names), *x.shape[:2])
    products, reference = x.new_zeros(shape), x.new_zeros(shape[1:])
    for layer in range(1, programs.depth + 1):
        matrix = named[Slot(Kind.weights, layer - 1)]
        for sample in range(shape[2]):
            quantities = layer_quantities(values, layer, sample, programs.network)
            e, y_pre = (quantities[q].unflatten(0, (len(matrix), -1)) for q in ("e_post", "y_pre"))
            reference[:, sample] += _squared(e, y_pre)
            for r in range(shape[0]):
                if rule.forms[r] is not None and rule.acts_in(r, layer):
                    change = term_change(rule, r, quantities | signs_of(named, layer), matrix)
                    # By two at a time: of three, torch chooses the order by whether opt_einsum is installed,
                    # and the last bits of a training must not depend on that.
                    told = torch.einsum("npj,nji->npi", e, change)
                    products[r, :, sample] -= torch.einsum("npi,npi->n", told, y_pre)
    return products.square().mean((1, 2)).sqrt() / reference.mean()


def _squared(e: Tensor, y_pre: Tensor) -> Tensor:
    """‖Σ_p e yᵀ‖² (N,) of vectors (N, P, n) at P positions."""
    if e.shape[1] == 1:
        return (e.square().sum(-1) * y_pre.square().sum(-1)).squeeze(1)
    return (e.mT @ y_pre).square().sum((1, 2))
