"""What the paper measures on an adapted network: alignment angles and the orthonormality error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ruledsl.backend import EagerProgram
from ruledsl.ir.program import Program
from ruledsl.network.step import probe_program


@dataclass(frozen=True)
class Measurements:
    """Per run: `alpha` (N, L+1) in degrees, `ortho` (N, L−1) for layers 1 … L−1."""

    alpha: Tensor
    ortho: Tensor


@lru_cache(maxsize=32)
def _probe(depth: int, feedback: str, beta: float) -> Program:
    return probe_program(depth, feedback, beta)


@torch.no_grad()
def measure(
    weights: Sequence[Tensor], feedback: Sequence[Tensor], pathway: str, beta: float, x: Tensor, labels: Tensor
) -> Measurements:
    """Angles and E_W of networks with weights W[l] (N, n_{l+1}, n_l) on queries x (N, Q, n_0).

    α_ℓ is the angle between e_ℓ carried by B and e_ℓ carried by Wᵀ, from the same activities and the
    same e_L, both averaged over the queries first. E_W = ‖z_ℓ − W Wᵀ y_ℓ‖² (Eq. 10), averaged over
    the queries. A run whose weights are not finite measures NaN.
    """
    depth = len(weights)
    carried = probe_values(weights, feedback, pathway, beta, x, labels)
    exact = probe_values(weights, feedback, "symmetric", beta, x, labels)
    angles = [_angle(carried[f"e{n}"].mean(1), exact[f"e{n}"].mean(1)) for n in range(depth + 1)]
    errors = []
    for layer in range(1, depth):
        matrix = weights[layer - 1]
        back = carried[f"y{layer}"] @ matrix
        errors.append((carried[f"z{layer}"] - back @ matrix.mT).square().sum(-1).mean(-1))
    ortho = torch.stack(errors, -1) if errors else x.new_zeros(x.shape[0], 0)
    return Measurements(torch.stack(angles, -1), ortho)


def probe_values(
    weights: Sequence[Tensor], feedback: Sequence[Tensor], pathway: str, beta: float, x: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """z0 …, y0 … and e0 … of networks (N) on samples x (N, Q, n_0): each (N, Q, n_ℓ)."""
    depth = len(weights)
    sizes = {"n0": weights[0].shape[2]} | {f"n{n + 1}": w.shape[1] for n, w in enumerate(weights)}
    inputs = {"x": x, "target": torch.nn.functional.one_hot(labels, sizes[f"n{depth}"]).to(x.dtype)}
    inputs |= {f"W{n}": w for n, w in enumerate(weights)} | {f"B{n}": b for n, b in enumerate(feedback)}
    program = _probe(depth, pathway, beta)
    values = EagerProgram(program, sizes).run(inputs, x.new_zeros(()))
    found = {name: values[number] for name, number in program.outputs}
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def _angle(first: Tensor, second: Tensor) -> Tensor:
    """Degrees between vectors (N, n), accurate near 0 too; NaN where a vector is zero or not finite."""
    a = first.double() / first.double().norm(dim=-1, keepdim=True)
    b = second.double() / second.double().norm(dim=-1, keepdim=True)
    # acos loses half its digits near 0°: the two half-angle norms do not (Kahan).
    return torch.rad2deg(2 * torch.atan2((a - b).norm(dim=-1), (a + b).norm(dim=-1)))
