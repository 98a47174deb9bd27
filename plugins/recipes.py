"""How one run's Θ moves from episode to episode.

`paper` is Algorithm 1 to the letter: Adam on the gradient of query loss + λ‖Θ‖₁. On the ten-term pool
it collapses: Adam moves every θ by the same amount, and for F⁵ that amount is an update twenty times
that of F⁰. `robust` is Adam with six changes, each measured in docs/results/recipes.md:

1.  A coefficient whose term holds more than one F⁰ takes smaller steps, in proportion (`gradient_content`).
2.  Gradients are heavy-tailed: one longer than the running median is shortened to it, direction kept.
3.  A lost stream (a loss far above chance, a gradient a hundred times longer than in healthy episodes, or
    a network that answers the same to everything and has no gradient) touches neither Θ nor Adam's moments.
    It is lived through again without some of the terms, to find those whose absence saves it: their
    coefficients are kept within half of what they were (nine tenths, if that had been well for a while), on
    that side of 0, and Θ goes back one step. A term that lost more than one in fifty of the streams so far by
    itself sits out, at 0, until it no longer has. Where no term that started at 0 is to blame, or several
    together for a chaotic gradient, Θ goes back a few steps, and steps are halved for a while. Where every
    episode is lost nevertheless, Θ itself is halved, from the seventh on. On the plateau where networks
    answer alike to everything no gradient is too long: it ends with long ones.
4.  Steps shrink along half a cosine to a twentieth, so that late episodes settle Θ.
5.  The penalty acts as soft-thresholding in Adam's metric: coefficients become exactly zero. It is λ Σ w_r
|θ_r| with
    w_r = 1, but twice the content of a term that holds more than one F⁰. With w_r = 1 such a term (F⁵) is a
    cheaper learning rate than θ_0 and outlives every other; with its content alone it costs the same, and
    both stay.

6.  How far a coefficient may be moved is felt for: the first healthy episode is lived through again with each
    of them elsewhere, to either side, then a fourth of that, and so on, until the loss is no worse than it
    was (`WORSE`). A step of one is half of that at most, or of where the coefficient is. Of n terms that
    start at 0 each has an n-th of it for its room at first, which grows by a tenth with every healthy
    episode, and slowly once a term was to blame.

All of it is in units of the numbers that terms were written with: 1000 F^r with θ_r / 1000 is trained alike.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ruledsl.plugin import (
    Adam,
    Again,
    Asking,
    Coefficients,
    Guilt,
    Recipe,
    Room,
    guilt_of,
    reach,
    recipe,
    vector,
)


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


def _median(values: list[float]) -> float:
    """The lower one of two: one wild value beside the first sane one must not be what is usual."""
    return sorted(values)[(len(values) - 1) // 2]


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
    losses: list[float] = field(default_factory=list)
    healthy: float = math.inf
    """The smallest running median of gradient norms so far."""
    good: list[_Good] = field(default_factory=list)
    refused: int = 0
    """Episodes refused in a row."""


@recipe("robust")
class RobustRecipe(Recipe):
    """Adam with six guards, see the file's text.
    Steps are taken in φ = θ / scale: each is worth one of F⁰'s."""

    MEMORY = 30
    """Gradient norms that tell what is usual, and steps that can be taken back."""
    CLIP = 1.0
    """A gradient longer than this many medians of the last ones is shortened to that."""
    CHAOS = 100.0
    """A gradient longer than this many healthy medians comes from a chaotic stream: it is refused."""
    PLATEAU = 0.45
    """Where the running median of losses is above this part of the worst, networks answer alike to
    everything. Gradients are hundreds of times longer where that ends: were they refused, no training could
    leave it."""
    FLOOR = 0.05
    """What is left of the steps at the end."""
    BACK = 5
    """Steps that each refused episode takes back: those that led there."""
    SMALLEST = 1 / 64
    """Factor on every step below which refusals do not take it."""
    PATIENCE = 6
    """Episodes refused in a row after which Θ itself is halved, at each further one."""
    DEATH = 1000.0
    """A gradient so many times shorter than healthy ones, of a stream that knows nothing: it is refused."""
    ROOM, STEPS = 10.0, 2.0
    """How far it is tried to move a coefficient, in steps; and how many it takes for what is fine."""
    WORSE = 0.013
    """By what part of the worst loss an episode may be worse for a term, where one feels how far it may go: a
    tenth of a nat with 47 classes."""
    WARNED = 0.9
    """What is left to a guilty term that was as large for a while without losing anything; half to others."""
    TRUST, FORGIVENESS = 0.1, 0.03
    """By what part a term's room grows with every healthy episode: never blamed; and blamed, by one more than
    how often."""

    def __init__(
        self, coefficients: Coefficients, learning_rate: float, l1: float, episodes: int, seed: int = 0
    ) -> None:
        super().__init__(coefficients, learning_rate, l1, episodes, seed)
        content, written = coefficients.scales, coefficients.written
        self.scale = 1.0 / content
        # F⁰'s own content is 1 up to rounding; only what clearly holds more is a rival of it.
        self.weights = torch.where(content > 1.5 * written, 2.0 * content, written)
        self.absent = (coefficients.initial == 0.0) & coefficients.trainable
        self.adam = Adam(torch.zeros_like(self.theta), torch.zeros_like(self.theta))
        self.caution = _Caution()
        self.room = self._first_room()
        self.felt = False
        self.done, self.tasks = 0, 1

    def _first_room(self) -> Room:
        size = self._most() / max(1, int(self.absent.sum()))
        return Room.of_size(torch.where(self.absent, size, math.inf))

    def _most(self) -> Tensor:
        """How far from 0 each coefficient is tried."""
        return self.ROOM * self.learning_rate * self.scale

    def _feel(self, losses: Tensor) -> Asking[None]:
        """How far each coefficient may be moved, either way: as far as this episode gets no worse for it."""
        usual, most, worst = float(losses.mean()), self._most(), self.coefficients.worst_loss

        def are_fine(tried: Tensor) -> Asking[Tensor]:
            found, _ = yield Again(self.bounded(tried))  # where it may not go there is nothing to fear
            return (found < worst).all(-1) & (found.mean(-1) <= usual + self.WORSE * worst)

        small = (self.theta.abs() < most) & self.coefficients.trainable  # the steps of others are no danger
        terms = small.nonzero().flatten().tolist()
        below, above = yield from reach(self.theta, most, terms, are_fine)
        crowd = max(1, int(self.absent.sum()))
        self.room.below = torch.where(self.absent, below / crowd, self.room.below)
        self.room.above = torch.where(self.absent, above / crowd, self.room.above)
        self.room.reach = torch.minimum(below, above) / torch.where(self.absent, crowd, 1)
        self.felt = True

    def _steps(self) -> Tensor:
        """(R,) what a step of one moves: at most a part of where it is, or of how far it may be moved."""
        far = torch.maximum(self.room.reach, self.theta.abs())
        return torch.minimum(self.scale, far / (self.STEPS * self.learning_rate))

    def penalty(self) -> float:
        return self.l1 * float((self.theta.abs() * self.weights).sum())

    def _schedule(self) -> float:
        """Half a cosine from 1 to `FLOOR` over the planned episodes, `FLOOR` beyond them."""
        progress = min(1.0, self.done / self.episodes)
        return self.FLOOR + (1 - self.FLOOR) * (1 + math.cos(math.pi * progress)) / 2

    def step(self, losses: Tensor, gradients: Tensor) -> Asking[bool]:
        rate = self.learning_rate * self.caution.rate * self._schedule()
        self.done += 1
        self.tasks = len(losses)
        gradients = self._weighed(gradients)
        if not bool(self._healthy(losses, gradients).all()):
            yield from self._go_back(bool((losses < self.coefficients.worst_loss).all()))
            return False
        if not self.felt:
            yield from self._feel(losses)
        norms = gradients.norm(dim=-1)
        longest = self.CLIP * self._usual(norms.tolist(), losses.tolist())
        if longest > 0.0:  # where most gradients are exactly zero nothing says what is long
            gradients = gradients * (longest / norms.clamp_min(longest)).unsqueeze(-1)
        gradient = gradients.mean(0)
        self.caution.good = [
            *self.caution.good[-self.MEMORY + 1 :],
            _Good(self.theta.tolist(), self.adam.state()),
        ]
        direction, metric = self.adam.direction(gradient)
        steps = self._steps()
        moved = self.theta + rate * steps * direction
        threshold = rate * self.l1 * self.weights * self.scale * steps * metric * self.coefficients.trainable
        self.theta = self.room.inside(moved.sign() * (moved.abs() - threshold).clamp_min(0.0))
        self._bounded()
        self._trust(gradient)
        return True

    def _weighed(self, gradients: Tensor) -> Tensor:
        """Gradients by φ = θ / scale; none where nothing moves."""
        guilty_before = self.absent & (self.room.blamed > 0)
        return self._limited(gradients, guilty_before & (self.theta == 0.0))

    def _limited(self, gradients: Tensor, terms: Tensor) -> Tensor:
        """Weighed gradients (…, R). What terms (…, R) that are not in the rule would have is no longer than
        gradients usually are: of those whose θ is 0 nothing was lived through."""
        weighed = gradients * self.scale * self.coefficients.trainable
        norms, usual = self.caution.norms, self.caution.healthy
        most = usual if math.isfinite(usual) else _median(norms) if norms else 0.0
        return torch.where(terms, weighed.nan_to_num(0.0, most, -most).clamp(-most, most), weighed)

    def _healthy(self, losses: Tensor, gradients: Tensor, by_loss_alone: bool = False) -> Tensor:
        """Streams that may be learned from: losses (…,), weighed gradients (…, R)."""
        sane = losses < self.coefficients.worst_loss
        if by_loss_alone:
            return sane
        norms, usual = gradients.norm(dim=-1), self.caution.healthy
        dead = (norms < usual / self.DEATH) & (losses > self.coefficients.worst_loss / 8)
        longest = math.inf if self._on_plateau() else self.CHAOS * usual
        return sane & (norms < longest) & ~(dead & math.isfinite(usual))

    def _trust(self, gradient: Tensor) -> None:
        """A healthy episode: steps grow back, and so does the room of each term."""
        self.caution.rate, self.caution.refused = min(1.0, self.caution.rate * 1.02), 0
        self.room = self.room.grown(gradient, self.TRUST, self.FORGIVENESS)

    def _usual(self, norms: list[float], losses: list[float]) -> float:
        """The median of the last gradient norms, these included."""
        caution = self.caution
        caution.norms = [*caution.norms, *norms][-self.MEMORY :]
        caution.losses = [*caution.losses, *losses][-self.MEMORY :]
        usual = _median(caution.norms)
        if len(caution.norms) >= 10 and usual > 0.0:
            caution.healthy = min(caution.healthy, usual)
        return usual

    def _on_plateau(self) -> bool:
        losses = self.caution.losses
        return bool(losses) and _median(losses) > self.PLATEAU * self.coefficients.worst_loss

    def _go_back(self, by_gradient: bool) -> Asking[None]:
        """An episode was lost, by its gradient alone or by its loss."""
        caution = self.caution
        caution.refused += 1
        present = [r for r in range(len(self.theta)) if self.absent[r] and self.theta[r] != 0.0]
        matter = self.room.slopes * self.theta.abs() * self.coefficients.scales
        guilt = yield from guilt_of(
            self.theta, present, matter, lambda tried: self._saved(tried, by_gradient), by_gradient
        )
        if guilt.terms:
            self._confine(guilt)
            return
        if caution.refused > self.PATIENCE:
            self._start_smaller()
            return
        caution.rate = max(caution.rate / 2, self.SMALLEST)
        if caution.good:
            caution.good = caution.good[: -self.BACK] or caution.good[:1]
            self.theta, self.adam = vector(caution.good[-1].theta), Adam.of(caution.good[-1].adam)
            self.theta = self.room.inside(self.theta)

    def _saved(self, tried: Tensor, by_gradient: bool) -> Asking[Tensor]:
        """(K,) whether the lost episode is healthy with other Θ."""
        losses, gradients = yield Again(tried, by_gradient)
        left_out = (self.absent & (tried == 0.0)).unsqueeze(1)
        return self._healthy(losses, self._limited(gradients, left_out), not by_gradient).all(-1)

    def _confine(self, guilt: Guilt) -> None:
        """Leave the guilty half of what they took, on that side of 0, and nothing for a while to those that
        lost the stream by themselves; all else goes back one step."""
        room, caution = self.room, self.caution
        for r in guilt.terms:
            part = self.WARNED if self._lived_with(r) else 0.5
            room.confine(r, float(self.theta[r]), part)
        for r in guilt.alone:
            room.send_out(r, self.done, self.tasks)
        if caution.good:
            self.theta = vector(caution.good[-1].theta)
        self.theta = room.inside(self.theta)
        self.adam.first[guilt.terms] = 0.0

    def _lived_with(self, term: int) -> bool:
        """Was it about as large in all episodes that are remembered? Then one lost stream is an exception."""
        remembered, now = self.caution.good, float(self.theta[term])
        return len(remembered) >= self.MEMORY and all(g.theta[term] / now > 0.8 for g in remembered)

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
            "losses": caution.losses,
            "healthy": caution.healthy if math.isfinite(caution.healthy) else None,
            "good": [{"theta": g.theta, "adam": g.adam} for g in caution.good],
            "refused": caution.refused,
            "room": self.room.state(),
            "absent": self.absent.tolist(),
            "felt": self.felt,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.theta = vector(state["theta"])
        self.adam = Adam.of(state["adam"])
        self.done = int(state["done"])
        healthy = math.inf if state["healthy"] is None else float(state["healthy"])
        good = [_Good(vector(g["theta"]).tolist(), Adam.of(g["adam"]).state()) for g in state["good"]]
        if any(len(g.theta) != len(self.theta) for g in good):
            raise ValueError("a Θ to go back to is not that of this rule")
        norms, losses = (vector(state.get(name, [])).tolist() for name in ("norms", "losses"))
        refused = int(state.get("refused", 0))
        self.caution = _Caution(float(state["rate"]), norms, losses, healthy, good, refused)
        if "room" not in state:  # begun before terms were asked who lost a stream: it goes on as it began
            self.absent = torch.zeros_like(self.absent)
            self.room, self.felt = self._first_room(), True
            return
        self.absent = torch.tensor([bool(value) for value in state["absent"]])
        self.felt = bool(state.get("felt", True))  # one begun before that was felt for goes on with its room
        none = [0.0] * len(self.theta)
        older = {"reach": [None] * len(self.theta), "lost": none, "owed": none}
        self.room = Room.of({**older, **state["room"]})
        if any(len(values) != len(self.theta) for values in (self.absent, *vars(self.room).values())):
            raise ValueError("the room of its terms is not that of this rule")
