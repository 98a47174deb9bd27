"""What the paper measures on an adapted network: alignment angles and the orthonormality error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ruledsl.backend import EagerProgram
from ruledsl.network.engines import StepPrograms, programs_for, sizes_of
from ruledsl.network.objectives import EndView, as_targets


@dataclass(frozen=True)
class Measurements:
    """Per run: `alpha` (N, L+1) in degrees, `ortho` (N, L−1) for layers 1 … L−1."""

    alpha: Tensor
    ortho: Tensor


@torch.no_grad()
def measure(programs: StepPrograms, named: Mapping[str, Tensor], theta: Tensor, x: Tensor, y: Tensor) -> Measurements:
    """Angles and E_W of networks on queries x (N, Q, n_0), y labels (N, Q) or targets (N, Q, n_L).

    `named` holds W0 … (N, n_{l+1}, n_l), and B0 …, b1 … where the network has them; theta (N, R).

    α_ℓ is the angle between e_ℓ as the pathway carries it and e_ℓ carried by Wᵀ, from the same activities and the
    same e_L, both averaged over the queries first. E_W = ‖z_ℓ − W Wᵀ y_ℓ‖² (Eq. 10), averaged over
    the queries. A run whose weights are not finite measures NaN.
    """
    depth = programs.depth
    carried = probe_values(programs, named, theta, x, y)
    exact = probe_values(exact_of(programs), named, theta, x, y)
    angles = [_angle(carried[f"e{n}"].mean(1), exact[f"e{n}"].mean(1)) for n in range(depth + 1)]
    errors = []
    for layer in range(1, depth):
        matrix = named[f"W{layer - 1}"]
        back = carried[f"y{layer}"] @ matrix
        errors.append((carried[f"z{layer}"] - back @ matrix.mT).square().sum(-1).mean(-1))
    ortho = torch.stack(errors, -1) if errors else x.new_zeros(x.shape[0], 0)
    return Measurements(torch.stack(angles, -1), ortho)


MEAN_GAIN = 0.7978845608028654
"""⟨|g|⟩ of a standard normal: what stands for a pathway's random gains when it is measured."""


def probe_values(
    programs: StepPrograms, named: Mapping[str, Tensor], theta: Tensor, x: Tensor, y: Tensor
) -> dict[str, Tensor]:
    """z0 …, y0 … and e0 … of networks (N) on samples x (N, Q, n_0): each (N, Q, n_ℓ); `third` is (N, Q).

    What the feedback pathway draws anew at every sample takes its mean.
    """
    program = programs.probe
    depth = programs.depth
    sizes = sizes_of([named[f"W{n}"] for n in range(depth)])
    inputs = {name: value if value.dim() == 3 else value.unsqueeze(1) for name, value in named.items()}
    inputs |= {"x": x, "target": as_targets(y, sizes[f"n{depth}"], x.dtype)}
    for name, number in program.inputs().items():
        if name not in inputs:
            mean = MEAN_GAIN if name.startswith("gain") else 0.0
            inputs[name] = x.new_full((1, 1, *(sizes[d] for d in program.instructions[number].shape)), mean)
    values = EagerProgram(program, sizes).run(inputs, theta.unsqueeze(1))
    found = {name: values[number] for name, number in program.outputs}
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


@dataclass
class AdaptedView(EndView):
    """What a diagnostic sees: as an objective's view, and the errors that travel in the adapted networks.

    Attributes:
        theta: (N, R), read by pathways that have coefficients of their own.
    """

    theta: Tensor | None = None

    def errors(self, exact: bool = False) -> list[Tensor]:
        """e_0 … e_L of every query, (N, Q, n_ℓ) each, as the pathway carries them; `exact`: as Wᵀ would."""
        programs = exact_of(self.programs) if exact else self.programs
        theta = self.x.new_zeros(len(self.x), 1) if self.theta is None else self.theta
        values = probe_values(programs, self.state, theta, self.x, self.y)
        return [values[f"e{n}"] for n in range(self.programs.depth + 1)]


def exact_of(programs: StepPrograms) -> StepPrograms:
    """The same rule and network with backprop for its feedback."""
    network = replace(programs.network, feedback="symmetric", feedback_noise=0.0)
    return programs_for(programs.rule, programs.depth, network)


def _angle(first: Tensor, second: Tensor) -> Tensor:
    """Degrees between vectors (N, n), accurate near 0 too; NaN where a vector is zero or not finite."""
    a = first.double() / first.double().norm(dim=-1, keepdim=True)
    b = second.double() / second.double().norm(dim=-1, keepdim=True)
    # acos loses half its digits near 0°: the two half-angle norms do not (Kahan).
    return torch.rad2deg(2 * torch.atan2((a - b).norm(dim=-1), (a + b).norm(dim=-1)))
