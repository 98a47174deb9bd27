"""What decides a meta-training, with the paper's values as defaults, and what is recorded of it. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PAPER_SIZES = (784, 170, 130, 100, 70, 47)


@dataclass(frozen=True)
class TaskShape:
    """M labels, K training and Q query images per label (Methods 4.1)."""

    labels: int = 5
    shots: int = 50
    queries: int = 10

    @property
    def stream(self) -> int:
        return self.labels * self.shots


@dataclass(frozen=True)
class Network:
    """How a network is wired: everything that decides its programs besides its rule and its depth."""

    feedback: str = "fixed"
    """A feedback plugin: how errors reach the layers below the output."""
    beta: float = 10.0
    activation: str = "softplus"
    """An activation plugin, for hidden cells."""
    output: Literal["softmax", "linear"] = "softmax"
    """Softmax with cross-entropy, or linear with half the squared error."""
    bias: bool = False
    """Whether cells have a bias, which terms `for bias` move."""
    third: Literal["task", "surprise", "reward"] = "surprise"
    """What `third` broadcasts: a signal of the task's, the sample's loss, or the probability given to its label."""
    inhibitory: float = 0.0
    """The fraction of inhibitory cells in hidden layers. Above 0, every weight keeps the sign of its cell (Dale)."""
    feedback_noise: float = 0.0
    """Noise on every carried error, as a fraction of its root mean square."""
    costs: tuple[tuple[str, float], ...] = ()
    """Objectives paid at every sample, with their weights."""


@dataclass(frozen=True)
class TrainSettings:
    """Settings shared by all runs of one training (Algorithm 1, Methods 4.1–4.3)."""

    sizes: tuple[int, ...] = PAPER_SIZES
    beta: float = 10.0
    labels: int = 5
    shots: int = 50
    queries: int = 10
    episodes: int = 500
    learning_rate: float = 1e-3
    feedback: str = "fixed"
    recipe: str = "robust"
    """A recipe plugin: how Θ moves."""
    meta_batch: int = 2
    """Tasks whose gradients are averaged in one meta-step; 1 is the paper's."""
    engine: Literal["auto", "rebuild", "checkpoint", "autograd", "forward", "none", "retied"] = "auto"
    backend: Literal["auto", "compiled", "eager"] = "auto"
    device: str = "cpu"
    dtype: Literal["float32", "float64"] = "float32"
    threads: int = 0
    """CPU threads; 0 takes every core."""
    teacher: tuple[float, ...] = ()
    """A planted Θ*, one number per coefficient: query labels come from networks that learned by it."""
    tasks: str = "classes"
    """A task plugin: what an episode's stream and queries are."""
    objective: tuple[tuple[str, float], ...] = (("query", 1.0),)
    """Objective plugins with their weights."""
    optimiser: str = ""
    """An optimiser plugin in the recipe's place."""
    diagnostics: tuple[str, ...] = ()
    """Diagnostic plugins: further columns of metrics.csv."""
    activation: str = "softplus"
    output: Literal["softmax", "linear"] = "softmax"
    bias: bool = False
    third: Literal["task", "surprise", "reward"] = "surprise"
    inhibitory: float = 0.0
    feedback_noise: float = 0.0
    init: str = "xavier"
    """How initial weights are drawn. See `Network` for those before it."""

    @property
    def task(self) -> TaskShape:
        return TaskShape(self.labels, self.shots, self.queries)


@dataclass(frozen=True)
class RunSpec:
    """One independent run of a batch: its own seed, penalty λ and set of terms."""

    run: int
    seed: int
    l1: float = 0.0
    terms: tuple[str, ...] = ()
    """The coefficients that take part; none listed means all, `NO_TERMS` none. The others are held at 0."""
    initial: tuple[float, ...] = ()
    """Where Θ starts, one number per coefficient; none listed means the rule's own start."""


NO_TERMS = ("∅",)
"""The set of terms of a run that learns nothing: no term can have this name."""


@dataclass(frozen=True)
class EpisodeRecord:
    """One run's episode: what was measured, and Θ *before* the step that follows from it."""

    run: int
    seed: int
    episode: int
    meta_loss: float
    meta_accuracy: float
    diverged: bool
    theta: tuple[float, ...]
    alpha: tuple[float, ...]
    ortho: tuple[float, ...]
    engine: str = ""
    """The engine that computed it: tells when `rebuild` fell back to `checkpoint`."""
    diagnostics: tuple[float, ...] = ()
