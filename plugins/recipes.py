"""How one run's Θ moves from episode to episode.

`paper` is Algorithm 1 to the letter: Adam on the gradient of query loss + λ‖Θ‖₁. On the ten-term pool
it collapses: Adam moves every θ by the same amount, and for F⁵ that amount is an update twenty times
that of F⁰. `robust` is Adam with five changes, each measured in docs/results/recipes.md:

1.  A coefficient whose term holds more than one F⁰ takes smaller steps, in proportion (`gradient_content`).
2.  Gradients are heavy-tailed: one longer than the running median is shortened to it, direction kept.
3.  A diverged or chaotic stream (a loss far above chance, or a gradient a hundred times longer than in
    healthy episodes) touches neither Θ nor Adam's moments. Θ goes back a few steps, and steps are halved
    for a while. Where every episode is lost nevertheless, Θ itself is halved, from the seventh on.
4.  Steps shrink along half a cosine to a twentieth, so that late episodes settle Θ.
5.  The penalty acts as soft-thresholding in Adam's metric: coefficients become exactly zero. It is λ Σ w_r
|θ_r| with
    w_r = 1, but twice the content of a term that holds more than one F⁰. With w_r = 1 such a term (F⁵) is a
    cheaper learning rate than θ_0 and outlives every other; with its content alone it costs the same, and
    both stay.

All of it is in units of the numbers that terms were written with: 1000 F^r with θ_r / 1000 is trained alike.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ruledsl.plugin import Adam, Coefficients, Recipe, recipe, vector


@recipe("paper")
class PaperRecipe(Recipe):
    """Adam, the penalty's sub-gradient inside it. Only an episode that is not finite is refused."""

    def __init__(
        self, coefficients: Coefficients, learning_rate: float, l1: float, episodes: int, seed: int = 0
    ) -> None:
        super().__init__(coefficients, learning_rate, l1, episodes, seed)
        self.adam = Adam(torch.zeros_like(self.theta), torch.zeros_like(self.theta))

    def step(self, losses: Tensor, gradients: Tensor) -> bool:
        if not (bool(losses.isfinite().all()) and bool(gradients.isfinite().all())):
            return False
        penalised = (gradients.mean(0) + self.l1 * self.theta.sign()) * self.coefficients.trainable
        direction, _ = self.adam.direction(penalised)
        self.theta += self.learning_rate * direction
        self._bounded()
        return True

    def state(self) -> dict[str, Any]:
        return {"theta": self.theta.tolist(), "adam": self.adam.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.theta = vector(state["theta"])
        self.adam = Adam.of(state["adam"])


@recipe("paper_proximal")
class ProximalPaperRecipe(PaperRecipe):
    """Algorithm 1 with the penalty as soft-thresholding in Adam's metric,
    so that coefficients become exactly zero."""

    def step(self, losses: Tensor, gradients: Tensor) -> bool:
        if not (bool(losses.isfinite().all()) and bool(gradients.isfinite().all())):
            return False
        direction, metric = self.adam.direction(gradients.mean(0) * self.coefficients.trainable)
        moved = self.theta + self.learning_rate * direction
        threshold = self.learning_rate * self.l1 * metric * self.coefficients.trainable
        self.theta = moved.sign() * (moved.abs() - threshold).clamp_min(0.0)
        self._bounded()
        return True


@dataclass
class _Good:
    """A Θ that is known to work, with the moments that belong to it."""

    theta: list[float]
    adam: dict[str, Any]


@dataclass
class _Caution:
    """What the last episodes looked like."""

    rate: float = 1.0
    """Factor on every step: halved by a diverged episode, growing back by a fiftieth per good one."""
    norms: list[float] = field(default_factory=list)
    healthy: float = math.inf
    """The smallest running median of gradient norms so far."""
    good: list[_Good] = field(default_factory=list)
    refused: int = 0
    """Episodes refused in a row."""


@recipe("robust")
class RobustRecipe(Recipe):
    """Adam with five guards, see the file's text.
    Steps are taken in φ = θ / scale: each is worth one of F⁰'s."""

    MEMORY = 30
    """Gradient norms that tell what is usual, and steps that can be taken back."""
    CLIP = 1.0
    """A gradient longer than this many medians of the last ones is shortened to that."""
    CHAOS = 100.0
    """A gradient longer than this many healthy medians comes from a chaotic stream: it is refused."""
    FLOOR = 0.05
    """What is left of the steps at the end."""
    BACK = 5
    """Steps that each refused episode takes back: those that led there."""
    SMALLEST = 1 / 64
    """Factor on every step below which refusals do not take it."""
    PATIENCE = 6
    """Episodes refused in a row after which Θ itself is halved, at each further one."""

    def __init__(
        self, coefficients: Coefficients, learning_rate: float, l1: float, episodes: int, seed: int = 0
    ) -> None:
        super().__init__(coefficients, learning_rate, l1, episodes, seed)
        content, written = coefficients.scales, coefficients.written
        self.scale = 1.0 / content
        # F⁰'s own content is 1 up to rounding; only what clearly holds more is a rival of it.
        self.weights = torch.where(content > 1.5 * written, 2.0 * content, written)
        self.adam = Adam(torch.zeros_like(self.theta), torch.zeros_like(self.theta))
        self.caution = _Caution()
        self.done = 0

    def penalty(self) -> float:
        return self.l1 * float((self.theta.abs() * self.weights).sum())

    def _schedule(self) -> float:
        """Half a cosine from 1 to `FLOOR` over the planned episodes, `FLOOR` beyond them."""
        progress = min(1.0, self.done / self.episodes)
        return self.FLOOR + (1 - self.FLOOR) * (1 + math.cos(math.pi * progress)) / 2

    def step(self, losses: Tensor, gradients: Tensor) -> bool:
        rate = self.learning_rate * self.caution.rate * self._schedule()
        self.done += 1
        gradients = gradients * self.scale * self.coefficients.trainable
        norms = gradients.norm(dim=-1)
        if not bool(
            ((losses < self.coefficients.worst_loss) & (norms < self.CHAOS * self.caution.healthy)).all()
        ):
            self._go_back()
            return False
        longest = self.CLIP * self._usual(norms.tolist())
        if longest > 0.0:  # where most gradients are exactly zero nothing says what is long
            gradients = gradients * (longest / norms.clamp_min(longest)).unsqueeze(-1)
        gradient = gradients.mean(0)
        self.caution.good = [
            *self.caution.good[-self.MEMORY + 1 :],
            _Good(self.theta.tolist(), self.adam.state()),
        ]
        direction, metric = self.adam.direction(gradient)
        moved = self.theta + rate * self.scale * direction
        threshold = rate * self.l1 * self.weights * self.scale.square() * metric * self.coefficients.trainable
        self.theta = moved.sign() * (moved.abs() - threshold).clamp_min(0.0)
        self._bounded()
        self.caution.rate = min(1.0, self.caution.rate * 1.02)
        self.caution.refused = 0
        return True

    def _usual(self, norms: list[float]) -> float:
        """The median of the last gradient norms, these included."""
        caution = self.caution
        caution.norms = [*caution.norms, *norms][-self.MEMORY :]
        usual = sorted(caution.norms)[len(caution.norms) // 2]
        if len(caution.norms) >= 10 and usual > 0.0:
            caution.healthy = min(caution.healthy, usual)
        return usual

    def _go_back(self) -> None:
        caution = self.caution
        caution.refused += 1
        if caution.refused > self.PATIENCE:
            self._start_smaller()
            return
        caution.rate = max(caution.rate / 2, self.SMALLEST)
        if caution.good:
            caution.good = caution.good[: -self.BACK] or caution.good[:1]
            self.theta, self.adam = vector(caution.good[-1].theta), Adam.of(caution.good[-1].adam)

    def _start_smaller(self) -> None:
        """Going back has not helped, to the earliest Θ that is known: half of it may."""
        half = torch.where(self.coefficients.trainable, self.theta / 2, self.theta)
        self.theta, self.caution.good = self.bounded(half), []
        self.adam = Adam(torch.zeros_like(half), torch.zeros_like(half))

    def state(self) -> dict[str, Any]:
        caution = self.caution
        return {
            "theta": self.theta.tolist(),
            "adam": self.adam.state(),
            "done": self.done,
            "rate": caution.rate,
            "norms": caution.norms,
            "healthy": caution.healthy if math.isfinite(caution.healthy) else None,
            "good": [{"theta": g.theta, "adam": g.adam} for g in caution.good],
            "refused": caution.refused,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.theta = vector(state["theta"])
        self.adam = Adam.of(state["adam"])
        self.done = int(state["done"])
        healthy = math.inf if state["healthy"] is None else float(state["healthy"])
        good = [_Good(vector(g["theta"]).tolist(), Adam.of(g["adam"]).state()) for g in state["good"]]
        if any(len(g.theta) != len(self.theta) for g in good):
            raise ValueError("a Θ to go back to is not that of this rule")
        norms, refused = vector(state["norms"]).tolist(), int(state.get("refused", 0))  # older states lack it
        self.caution = _Caution(float(state["rate"]), norms, healthy, good, refused)
