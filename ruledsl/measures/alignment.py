"""What the paper measures on an adapted network: alignment angles and the orthonormality error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ruledsl.ir import Kind, Slot
from ruledsl.measures.probe import exact_of, probe_values
from ruledsl.network import StepPrograms, convolution_into


@dataclass(frozen=True)
class Measurements:
    """Per run: `alpha` (N, L+1) in degrees, `ortho` (N, L−1) for layers 1 … L−1."""

    alpha: Tensor
    ortho: Tensor


@torch.no_grad()
def measure(
    programs: StepPrograms, named: Mapping[str, Tensor], theta: Tensor, x: Tensor, y: Tensor
) -> Measurements:
    """Angles and E_W of networks on queries x (N, Q, n_0), y labels (N, Q) or targets (N, Q, n_L).

    `named` holds W0 … (N, n_{l+1}, n_l), and B0 …, b1 … where the network has them; theta (N, R).

    α_ℓ is the angle between e_ℓ as the pathway carries it and e_ℓ carried by Wᵀ, from the same activities and
    the same e_L, both averaged over the queries first. E_W = ‖z_ℓ − W Wᵀ y_ℓ‖² (Eq. 10), averaged over
    the queries; in a convolution it is that of each position, summed over them. A run whose weights are not
    finite measures NaN.
    """
    depth = programs.depth
    carried = probe_values(programs, named, theta, x, y)
    exact = probe_values(exact_of(programs), named, theta, x, y)
    angles = [
        _angle(carried[Slot(Kind.error, n)].mean(1), exact[Slot(Kind.error, n)].mean(1))
        for n in range(depth + 1)
    ]
    errors = []
    for layer in range(1, depth):
        matrix = named[Slot(Kind.weights, layer - 1)]
        y, z = (carried[Slot(kind, layer)] for kind in (Kind.activity, Kind.potential))
        if convolution_into(programs.network, layer) is not None:  # every position is a layer of its own
            y, z = (v.reshape(len(v), -1, matrix.shape[1]) for v in (y, z))
        squared = (z - y @ matrix @ matrix.mT).square().sum(-1)
        errors.append(squared.reshape(len(x), x.shape[1], -1).sum(-1).mean(-1))
    ortho = torch.stack(errors, -1) if errors else x.new_zeros(x.shape[0], 0)
    return Measurements(torch.stack(angles, -1), ortho)


def _angle(first: Tensor, second: Tensor) -> Tensor:
    """Degrees between vectors (N, n), accurate near 0 too; NaN where a vector is zero or not finite."""
    a = first.double() / first.double().norm(dim=-1, keepdim=True)
    b = second.double() / second.double().norm(dim=-1, keepdim=True)
    # acos loses half its digits near 0°: the two half-angle norms do not (Kahan).
    return torch.rad2deg(2 * torch.atan2((a - b).norm(dim=-1), (a + b).norm(dim=-1)))
