"""How one run's Θ moves from episode to episode: what every recipe and meta-optimiser is built on.

All have one shape: `ask` names the Θ to be tried next, one or a whole population, and `tell` is given what
each of them led to. Those with `needs_gradient` are given exact gradients too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ruledsl.meta.asking import Told


@dataclass(frozen=True)
class Coefficients:
    """What a recipe must know of a rule's coefficients: (R,) each, float64."""

    initial: Tensor
    trainable: Tensor
    lower: Tensor
    upper: Tensor
    scales: Tensor
    """What divides steps: how much of F⁰ each term holds in a naive network (`gradient_content`),
    where that is more than its written size."""
    written: Tensor
    """The numbers that terms were written with: 1000 for `1000 * y_post * y_pre^T`. Nothing that a recipe
    does to θ_r F^r should depend on them."""
    worst_loss: float
    """A query loss beyond this is that of a stream that diverged."""


class Optimiser(ABC):
    """Owns Θ of one run. Sees losses and gradients *without* penalty.

    Attributes:
        theta: (R,) float64, what is reported as this run's Θ.
    """

    needs_gradient: ClassVar[bool] = True

    def __init__(
        self, coefficients: Coefficients, learning_rate: float, l1: float, episodes: int, seed: int = 0
    ) -> None:
        self.coefficients, self.learning_rate, self.l1, self.episodes, self.seed = (
            coefficients,
            learning_rate,
            l1,
            episodes,
            seed,
        )
        self.theta = coefficients.initial.clone()

    @abstractmethod
    def ask(self) -> Tensor:
        """(P, R) the candidates whose episodes are wanted; P is the same every time."""

    @abstractmethod
    def tell(self, losses: Tensor, gradients: Tensor | None) -> Told:
        """What the candidates led to: losses (P, T) of their T tasks, gradients (P, T, R).

        False when something diverged and Θ was not moved by it. It may ask first; see `ruledsl.meta.asking`.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything but the constructor's arguments, as JSON: numbers, lists and dicts."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Undo everything since `state` was taken."""

    def penalty(self) -> float:
        """λ‖Θ‖₁ as this optimiser weighs it."""
        return self.l1 * float(self.theta.abs().sum())

    def bounded(self, theta: Tensor) -> Tensor:
        """Θ inside its bounds; coefficients that take no part stay where they start."""
        inside = torch.minimum(torch.maximum(theta, self.coefficients.lower), self.coefficients.upper)
        return torch.where(self.coefficients.trainable, inside, self.coefficients.initial)


class Recipe(Optimiser):
    """An optimiser that follows gradients from one Θ to the next."""

    def ask(self) -> Tensor:
        return self.theta.unsqueeze(0)

    def tell(self, losses: Tensor, gradients: Tensor | None) -> Told:
        assert gradients is not None
        return self.step(losses[0], gradients[0])

    @abstractmethod
    def step(self, losses: Tensor, gradients: Tensor) -> Told:
        """Move Θ after a meta-step of T tasks, given (T,) losses and (T, R) gradients.

        False when a task diverged and the step was refused: Θ was not moved by its gradient. It may ask
        first.
        """

    def _bounded(self) -> None:
        self.theta.clamp_(self.coefficients.lower, self.coefficients.upper)


@dataclass
class Adam:
    """Adam's moments of one run (Kingma & Ba 2015), as torch.optim.Adam keeps them, open to save and restore.

    torch's own optimiser is not used because a refused episode must leave no trace in it, and the
    proximal step needs its metric.
    """

    first: Tensor
    second: Tensor
    count: int = 0
    decay: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def direction(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The step for a rate of 1, and the metric 1/(√v̂ + ε) it was taken in."""
        a, b = self.decay
        self.count += 1
        self.first = a * self.first + (1 - a) * gradient
        self.second = b * self.second + (1 - b) * gradient.square()
        metric = 1.0 / ((self.second / (1 - b**self.count)).sqrt() + self.epsilon)
        return -metric * self.first / (1 - a**self.count), metric

    def state(self) -> dict[str, Any]:
        return {"first": self.first.tolist(), "second": self.second.tolist(), "count": self.count}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Adam:
        return cls(vector(state["first"]), vector(state["second"]), int(state["count"]))


def vector(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class TorchOptimiser(Recipe):
    """One of torch.optim's, on Θ and the penalty's sub-gradient; steps are scaled as the robust recipe's are.

    A diverged episode is refused and leaves no trace.
    """

    make: ClassVar[Callable[..., torch.optim.Optimizer]]

    def __init__(
        self, coefficients: Coefficients, learning_rate: float, l1: float, episodes: int, seed: int = 0
    ) -> None:
        super().__init__(coefficients, learning_rate, l1, episodes, seed)
        self.scale = 1.0 / coefficients.scales
        self.point = (self.theta / self.scale).requires_grad_()
        self.optimiser = type(self).make([self.point], lr=learning_rate)

    def step(self, losses: Tensor, gradients: Tensor) -> bool:
        if not (bool((losses < self.coefficients.worst_loss).all()) and bool(gradients.isfinite().all())):
            return False
        penalised = (
            (gradients.mean(0) + self.l1 * self.theta.sign()) * self.scale * self.coefficients.trainable
        )
        self.point.grad = penalised
        self.optimiser.step()
        self.theta = self.bounded(self.point.detach() * self.scale)
        with torch.no_grad():
            self.point.copy_(self.theta / self.scale)
        return True

    def state(self) -> dict[str, Any]:
        slots = self.optimiser.state_dict()["state"].get(0, {})
        plain = {n: v.tolist() if isinstance(v, Tensor) else v for n, v in slots.items()}
        return {"theta": self.theta.tolist(), "slots": plain}

    def restore(self, state: dict[str, Any]) -> None:
        self.theta = vector(state["theta"])
        with torch.no_grad():
            self.point.copy_(self.theta / self.scale)
        document = self.optimiser.state_dict()
        document["state"] = (
            {0: {n: _tensor(n, v) for n, v in state["slots"].items()}} if state["slots"] else {}
        )
        self.optimiser.load_state_dict(document)


def _tensor(name: str, value: Any) -> Any:
    # torch keeps its step counters in float32 whatever the parameter's dtype.
    if isinstance(value, int | float) and name == "step":
        return torch.tensor(float(value))
    return torch.tensor(value, dtype=torch.float64) if isinstance(value, list | float) else value
