"""Meta-optimisers for `--optimiser NAME`; without it, the recipe moves Θ.

Those with `needs_gradient = False` try a population of Θ in every meta-step, all on the same tasks, and see
losses
alone: activations with kinks and objectives without derivatives are no trouble to them. They need
    `ruledsl[es]`.
"""

import functools
import importlib
import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from ruledsl.plugin import Coefficients, Optimiser, TorchOptimiser, optimiser, vector


@optimiser("adam")
class AdamOptimiser(TorchOptimiser):
    """Adam (Kingma & Ba 2015)."""

    make = torch.optim.Adam


@optimiser("adamw")
class AdamWOptimiser(TorchOptimiser):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    make = torch.optim.AdamW


@optimiser("rmsprop")
class RmspropOptimiser(TorchOptimiser):
    """RMSprop (Tieleman & Hinton 2012)."""

    make = torch.optim.RMSprop


@optimiser("sgd")
class SgdOptimiser(TorchOptimiser):
    """Gradient descent with momentum 0.9. Meta-gradients are heavy-tailed:
    choose a small rate, about 1e-5."""

    make = functools.partial(torch.optim.SGD, momentum=0.9)


class Population(Optimiser):
    """Candidates in φ = θ/scale, so that a step of one size suits every coefficient.
    Told again, it is restored."""

    needs_gradient: ClassVar[bool] = False
    SIZE = 8
    SPREAD = 10.0
    """First steps, in units of the learning rate."""

    def __init__(
        self, coefficients: Coefficients, learning_rate: float, l1: float, episodes: int, seed: int = 0
    ) -> None:
        super().__init__(coefficients, learning_rate, l1, episodes, seed)
        self.scale = 1.0 / coefficients.scales
        self.free = coefficients.trainable.nonzero().squeeze(-1).tolist()
        self.history: list[list[float]] = []
        self.begin()

    def begin(self) -> None:
        """Make the method's own state, from the seed."""
        raise NotImplementedError

    def points(self) -> list[list[float]]:
        """The next candidates, as coordinates of the free coefficients."""
        raise NotImplementedError

    def judge(self, losses: list[float]) -> list[float]:
        """Take their penalised losses in; the coordinates now believed best."""
        raise NotImplementedError

    def ask(self) -> Tensor:
        self.asked = torch.stack([self._theta(point) for point in self.points()])
        return self.asked

    def _theta(self, point: list[float]) -> Tensor:
        theta = self.coefficients.initial.clone()
        theta[self.free] = vector(point) * self.scale[self.free]
        return self.bounded(theta)

    def tell(self, losses: Tensor, gradients: Tensor | None) -> bool:
        healthy = losses.isfinite() & (losses < self.coefficients.worst_loss)
        # A diverged task counts as the worst that a healthy one can be: its own number says nothing.
        judged = torch.where(healthy, losses, self.coefficients.worst_loss).mean(-1)
        self._learn((judged + self.l1 * self.asked.abs().sum(-1)).tolist())
        # Populations reach far on purpose: a few candidates that diverge are how they learn where not to go.
        return bool(healthy.all(-1).double().mean() >= 0.5)

    def _learn(self, losses: list[float]) -> None:
        self.history.append(losses)
        self.theta = self._theta(self.judge(losses))

    def state(self) -> dict[str, Any]:
        return {"theta": self.theta.tolist(), "history": self.history}

    def restore(self, state: dict[str, Any]) -> None:
        """The methods keep random state that only they can write down:
        they live their history again instead."""
        self.history = []
        self.begin()
        for losses in state["history"]:
            self.ask()
            self._learn(list(losses))
        self.theta = vector(state["theta"])


def need(module: str) -> Any:
    """A module of the extra `es`."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(
            f"this meta-optimiser needs the package `{module}`: pip install 'ruledsl[es]'"
        ) from None


@optimiser("cma")
class CovarianceMatrixAdaptation(Population):
    """CMA-ES (Hansen 2016), by pycma."""

    def begin(self) -> None:
        random = torch.Generator().manual_seed(self.seed)

        def normal(*shape: int) -> Any:
            return torch.randn(shape, generator=random, dtype=torch.float64).numpy()

        # pycma has no one-dimensional form: a coordinate that nothing depends on stands beside a single θ.
        start = (self.coefficients.initial / self.scale)[self.free].tolist() + (
            [0.0] if len(self.free) == 1 else []
        )
        options = {
            "popsize": self.SIZE,
            "verbose": -9,
            "randn": normal,
            "seed": math.nan,
            "tolx": 0,
            "tolfun": 0,
        }
        sigma = self.SPREAD * self.learning_rate
        self.strategy = need("cma").CMAEvolutionStrategy(start, sigma, options)

    def points(self) -> list[list[float]]:
        self.proposed = self.strategy.ask()
        return [list(p[: len(self.free)]) for p in self.proposed]

    def judge(self, losses: list[float]) -> list[float]:
        self.strategy.tell(self.proposed, losses)
        return list(self.strategy.mean[: len(self.free)])


@optimiser("genetic")
class Genetic(Population):
    """A genetic algorithm with elitism (NSGA-II on one objective), by Optuna;
    reports the mean of the best quarter."""

    SIZE = 16

    def begin(self) -> None:
        optuna = need("optuna")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.NSGAIISampler(population_size=self.SIZE, seed=self.seed)
        self.study = optuna.create_study(sampler=sampler)
        self.start = (self.coefficients.initial / self.scale)[self.free].tolist()
        self.reach = 50.0 * self.learning_rate

    def points(self) -> list[list[float]]:
        self.trials = [self.study.ask() for _ in range(self.SIZE)]
        return [
            [t.suggest_float(str(n), s - self.reach, s + self.reach) for n, s in enumerate(self.start)]
            for t in self.trials
        ]

    def judge(self, losses: list[float]) -> list[float]:
        for trial, loss in zip(self.trials, losses, strict=True):
            self.study.tell(trial, loss)
        order = sorted(range(self.SIZE), key=losses.__getitem__)[: self.SIZE // 4]
        points = [[self.trials[n].params[str(k)] for k in range(len(self.start))] for n in order]
        return [sum(column) / len(points) for column in zip(*points, strict=True)]
