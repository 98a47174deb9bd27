"""Equations measured by letting the real engine run:
what it learns is compared with what the equation says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ruledsl.backend import compile_rule
from ruledsl.engines import Learner
from ruledsl.errors import RunError
from ruledsl.ir import Kind, Slot
from ruledsl.meta import backend_for
from ruledsl.network import network_of, programs_of
from ruledsl.rules import Rule
from ruledsl.settings import TrainSettings
from ruledsl.tasks import STREAM, WEIGHTS, draw_networks, draw_weights, generator

PUSH = 1e-12
"""|θ_2| of Eq. 13's streams: so small that W stays what it is while its changes add up."""
TARGETS = 10.0
"""Standard deviation of the targets: errors at the output are then nearly independent and alike, as Eq.
13 assumes."""

Values = Mapping[str, tuple[float, ...]]


@torch.no_grad()
def expected_error_hebb(rule: Rule, settings: TrainSettings, seeds: Sequence[int], samples: int) -> Values:
    """Eq. 13 by Monte Carlo: ⟨e_ℓ e_{ℓ−1}ᵀ | B⟩ in a linear network, read off what the eHebb term does to W.

    Inputs are standard normal, targets as well but ten times larger, one sample at a time. With θ_2 = −10⁻¹²
    the change of W_{ℓ−1,ℓ} is 10⁻¹² Σ e_ℓ e_{ℓ−1}ᵀ. Returned for each layer ℓ and seed: the angle, in
    degrees, of that matrix to Bᵀ (the equation), and to Cov(e_ℓ) Bᵀ, which it equals whether or not the parts
    of e_ℓ are independent.
    """
    _require(settings, "error_hebb", activation="identity", output="linear", feedback="fixed", bias=False)
    compiled = compile_rule(rule)
    programs = programs_of(rule.program, settings)
    sizes, depth = settings.sizes, settings.depth
    x, y = (
        torch.stack(part)
        for part in zip(*(_normal_samples(sizes, seed, samples) for seed in seeds), strict=True)
    )
    exact = settings.put(dtype="float64")
    drawn = draw_networks(programs.needs(sizes), exact, [(s, 0, 0) for s in seeds], [samples] * len(seeds))
    weights, feedback = drawn.W, drawn.B
    theta = torch.full((len(seeds), 1), -PUSH, dtype=torch.float64)
    backend = backend_for(settings.backend, samples * len(seeds))
    learner = Learner(compiled, theta, network_of(settings), weights, feedback, backend)
    learner.see(x, y, drawn.signals)
    means = [(learner.state[Slot(Kind.weights, n)] - weights[n]) / (PUSH * samples) for n in range(depth)]
    covariance = _output_covariance(weights)
    found: dict[str, tuple[float, ...]] = {}
    for layer in range(depth, 0, -1):
        matrix = feedback[Slot(Kind.feedback, layer - 1)]
        found[f"angle_to_B[{layer}]"] = _angles(means[layer - 1], matrix.mT)
        found[f"angle_to_covariance[{layer}]"] = _angles(means[layer - 1], covariance @ matrix.mT)
        covariance = matrix @ covariance @ matrix.mT
    return found


def _require(settings: TrainSettings, kind: str, **needed: object) -> None:
    """Raise `RunError` for a network that an equation does not speak of."""
    own = settings.flat()
    for name, value in needed.items():
        if own[name] != value:
            raise RunError(f"theory `{kind}` is about networks with {name} = {value!r}, not {own[name]!r}")


def _normal_samples(sizes: Sequence[int], seed: int, samples: int) -> tuple[Tensor, Tensor]:
    random = generator(seed, 0, STREAM)
    x, y = (torch.from_numpy(random.standard_normal((samples, n))) for n in (sizes[0], sizes[-1]))
    return x, TARGETS * y


def _output_covariance(weights: Sequence[Tensor]) -> Tensor:
    """Cov(e_L) = M Mᵀ + σ² 1: M the linear network's whole map of standard normal inputs,
    σ the targets' deviation."""
    whole = weights[0]
    for matrix in weights[1:]:
        whole = matrix @ whole
    return whole @ whole.mT + TARGETS**2 * torch.eye(whole.shape[1], dtype=whole.dtype)


def _angles(first: Tensor, second: Tensor) -> tuple[float, ...]:
    cosine = torch.cosine_similarity(first.flatten(1), second.flatten(1), dim=1).clamp(-1, 1)
    return tuple(torch.rad2deg(torch.arccos(cosine)).tolist())


def gradient_digits(rule: Rule, settings: TrainSettings, seeds: Sequence[int], samples: int) -> Values:
    """Eq. 4: through B = Wᵀ, F⁰ is minus the gradient of the sample's loss. To how many digits, in the worst
    layer?

    The gradient is autograd's, of the loss written with torch's own functions; digits are −log10 of the
    relative distance in float64, of which there are about 16.
    """
    _require(settings, "gradient", activation="softplus", output="softmax", feedback="symmetric", bias=False)
    compiled = compile_rule(rule)
    worst = []
    for seed in seeds:
        weights = [w.double().unsqueeze(0) for w in draw_weights(settings.sizes, seed, 0, WEIGHTS)]
        random = generator(seed, 0, STREAM)
        errors = []
        for _ in range(samples):
            x = torch.from_numpy(random.random((1, 1, settings.sizes[0])))
            y = torch.from_numpy(random.integers(settings.sizes[-1], size=(1, 1)))
            learner = Learner(
                compiled, torch.ones(1, 1, dtype=torch.float64), network_of(settings), weights, None
            )
            learner.see(x, y)
            exact = _loss_gradient(weights, x[0], y[0], settings.network.beta)
            for n, gradient in enumerate(exact):
                moved = learner.state[Slot(Kind.weights, n)][0] - weights[n][0]
                errors.append(float((moved + gradient).norm() / gradient.norm()))
        worst.append(max(errors))
    return {"gradient_digits": tuple(-math.log10(max(error, 1e-17)) for error in worst)}


def _loss_gradient(weights: Sequence[Tensor], x: Tensor, y: Tensor, beta: float) -> tuple[Tensor, ...]:
    """∂𝓛/∂W of every layer, by autograd."""
    leaves = [w[0].clone().requires_grad_() for w in weights]
    with torch.enable_grad():
        for number, matrix in enumerate(leaves):
            x = x @ matrix.T
            if number < len(leaves) - 1:
                x = torch.nn.functional.softplus(x, beta=beta, threshold=1e6)
        return torch.autograd.grad(torch.nn.functional.cross_entropy(x, y), leaves)


THEORY: Mapping[str, Callable[[Rule, TrainSettings, Sequence[int], int], Values]] = {
    "gradient": gradient_digits,
    "error_hebb": expected_error_hebb,
}
