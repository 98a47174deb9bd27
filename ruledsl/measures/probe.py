"""Everything that happens in a network at given samples, for measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from ruledsl.backend import EagerProgram
from ruledsl.ir import Kind
from ruledsl.network import StepPrograms, as_targets, programs_for, sizes_of, weights_of

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
    sizes = sizes_of(weights_of(named), programs.network)
    inputs = {name: value if value.dim() == 3 else value.unsqueeze(1) for name, value in named.items()}
    inputs |= {Kind.input: x, Kind.target: as_targets(y, sizes[f"n{depth}"], x.dtype)}
    for name, number in program.inputs().items():
        if name not in inputs:
            mean = MEAN_GAIN if name.kind == Kind.gain else 0.0
            inputs[name] = x.new_full((1, 1, *(sizes[d] for d in program.instructions[number].shape)), mean)
    values = EagerProgram(program, sizes).run(inputs, theta.unsqueeze(1))
    found = {name: values[number] for name, number in program.outputs}
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def exact_of(programs: StepPrograms) -> StepPrograms:
    """The same rule and network with backprop for its feedback."""
    network = replace(programs.network, feedback="symmetric", feedback_noise=0.0)
    return programs_for(programs.rule, programs.depth, network)
