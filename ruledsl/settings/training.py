"""What decides a meta-training, with the paper's values as defaults.
This is the one place where settings stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as plain
from typing import Any, Literal

from ruledsl.settings import checks
from ruledsl.settings.layers import Convolution, convolutions_of, written
from ruledsl.settings.table import Setting, changed, field, flat, known_names, rows_of

PAPER_SIZES = (784, 170, 130, 100, 70, 47)
RULE, TASK, NETWORK, META, RUN = "Rule", "Task", "Network", "Meta-training", "Run"
"""Headings of `train --help`, in order."""


@dataclass(frozen=True)
class TaskShape:
    """M labels, K training and Q query images per label (Methods 4.1)."""

    labels: int = field(5, checks.count, "M, labels in a task.", group=TASK)
    shots: int = field(50, checks.count, "K, training images per label.", group=TASK)
    queries: int = field(10, checks.count, "Q, query images per label.", group=TASK)

    @property
    def stream(self) -> int:
        return self.labels * self.shots


@dataclass(frozen=True)
class Network:
    """How a network is wired: everything that decides its programs besides its rule and its depth.

    >>> Network(feedback="symmetric").beta
    10.0
    """

    feedback: str = field(
        "fixed", checks.name, "How errors travel back: a feedback plugin (`list plugins`).",
        group=NETWORK, kind="feedback", shown_default="the rule's, else fixed",
    )  # fmt: skip
    beta: float = field(10.0, checks.positive, "Sharpness of the activation.", group=NETWORK)
    activation: str = field(
        "softplus", checks.name, "Of hidden cells: an activation plugin.", group=NETWORK, kind="activation"
    )
    output: Literal["softmax", "linear"] = field(
        "softmax", checks.choice("softmax", "linear"),
        "Softmax with cross-entropy, or linear with half the squared error.", group=NETWORK,
    )  # fmt: skip
    bias: bool = field(False, checks.flag, "Give cells biases, which terms `for bias` move.", group=NETWORK)
    third: Literal["task", "surprise", "reward"] = field(
        "surprise", checks.choice("task", "surprise", "reward"),
        "What `third` broadcasts: a signal of the task's, the sample's loss, or the probability given to "
        "its label.", group=NETWORK,
    )  # fmt: skip
    inhibitory: float = field(
        0.0, checks.fraction,
        "Fraction of inhibitory cells in hidden layers; above 0 every weight keeps its cell's sign (Dale).",
        group=NETWORK,
    )  # fmt: skip
    feedback_noise: float = field(
        0.0,
        checks.not_negative,
        "Noise on every carried error, as a fraction of its root mean square.",
        group=NETWORK,
    )
    costs: tuple[tuple[str, float], ...] = ()
    """Objectives paid at every sample, with their weights: what `wired` takes from a training's objective."""
    convolutions: tuple[Convolution | None, ...] = ()
    """For each layer of weights what its synapses share; none listed means that every synapse is its own."""


@dataclass(frozen=True)
class TrainSettings:
    """Settings shared by all runs of one training (Algorithm 1, Methods 4.1–4.3).

    >>> TrainSettings.of(episodes=100, feedback="direct").network.feedback
    'direct'
    """

    sizes: tuple[int, ...] = field(
        PAPER_SIZES, checks.sizes,
        "Layer sizes, from the input to the output; 8x5/2 is a convolution of 8 channels, kernels of 5 x 5, "
        "stride 2.", group=NETWORK,
    )  # fmt: skip
    network: Network = plain(default_factory=Network)
    init: str = field(
        "xavier",
        checks.choice("xavier", "kaiming", "orthogonal"),
        "How initial weights are drawn.",
        group=NETWORK,
    )
    task: TaskShape = plain(default_factory=TaskShape)
    tasks: str = field(
        "classes", checks.name, "What an episode's stream and queries are: a task plugin.",
        group=TASK, option="--task", kind="task",
    )  # fmt: skip
    episodes: int = field(500, checks.count, "Meta-training episodes.", group=META)
    learning_rate: float = field(1e-3, checks.positive, "Adam's rate.", group=META, option="--lr")
    recipe: str = field(
        "robust", checks.name, "How Θ moves: robust, paper (Algorithm 1 to the letter), or a recipe plugin.",
        group=META, kind="recipe",
    )  # fmt: skip
    optimiser: str = field(
        "", checks.name, "A meta-optimiser in the recipe's place: adam, cma …", group=META, kind="optimiser"
    )
    objective: tuple[tuple[str, float], ...] = field(
        (("query", 1.0),),
        checks.objective,
        "What is made small: query + 0.1*activity …",
        group=META,
        kind="objective",
    )
    meta_batch: int = field(
        2, checks.count, "Tasks whose gradients are averaged in one meta-step.", group=META,
        shown_default="2 for robust, 1 for others",
    )  # fmt: skip
    teacher: tuple[float, ...] = field(
        (), checks.Check("numbers, one for each coefficient", checks.numbers_of),
        "A planted Θ*, one number per coefficient: query "
        "labels come from networks that learned by it.", group=META, option="", claimed=False,
    )  # fmt: skip
    diagnostics: tuple[str, ...] = field(
        (), checks.names, "One more column of metrics.csv: a diagnostic plugin; may be repeated.",
        group=META, option="--diagnostic", kind="diagnostic",
    )  # fmt: skip
    engine: str = field(
        "auto",
        checks.choice("auto", "rebuild", "checkpoint", "autograd", "forward", "none", "retied"),
        "How gradients are computed; forward keeps memory flat on very long streams.", group=RUN,
    )  # fmt: skip
    backend: Literal["auto", "compiled", "eager"] = field(
        "auto", checks.choice("auto", "compiled", "eager"),
        "auto: compiled C++ when the episodes ahead repay compiling it.", group=RUN,
    )  # fmt: skip
    on_lost: Literal["again", "drop"] = field(
        "again", checks.choice("again", "drop"),
        "A stream whose weights cannot be rebuilt is computed again from checkpoints, or dropped: its step "
        "is refused, at no cost.", group=RUN,
    )  # fmt: skip
    at_once: int = field(
        0, checks.whole, "Streams (tasks of all runs) that are computed together in a meta-step, and handed "
        "to an executor at a time; it decides the last bits. 0 takes all.", group=RUN,
        shown_default="all, 8 with an executor", claimed=False,
    )  # fmt: skip
    dtype: Literal["float32", "float64"] = field(
        "float32", checks.choice("float32", "float64"), "Precision of every number.", group=RUN
    )
    device: str = field("cpu", checks.name, "Torch device: cpu, cuda …", group=RUN, claimed=False)
    threads: int = field(
        0,
        checks.whole_up_to(0, 512),
        "CPU threads; 0 is $OMP_NUM_THREADS, else all; 1 with `--at-once` or a convolution.",
        group=RUN,
        deciding=False,
        claimed=False,
    )

    @classmethod
    def of(cls, **settings: Any) -> TrainSettings:
        """By name, those of the task and the network among them; each in its type. Raises `SettingsError`."""
        return cls().having(**settings)

    def having(self, **changes: Any) -> TrainSettings:
        """These settings with some changed, by name. Raises `SettingsError`."""
        known_names(changes, TABLE)
        return self.put(**{name: TABLE[name].read(value) for name, value in changes.items()})

    def put(self, **changes: Any) -> TrainSettings:
        """As `having`, for values that were read already."""
        return changed(self, TABLE, changes)

    def flat(self) -> dict[str, Any]:
        """Every setting by name, as it is written: a convolution is a text."""
        return flat(self, TABLE) | {"sizes": tuple(written(self.sizes))}

    @property
    def convolutions(self) -> tuple[Convolution | None, ...]:
        """See `Network`."""
        return convolutions_of(self.sizes)

    def deciding(self) -> dict[str, Any]:
        """Settings that decide numbers and are not the defaults (later versions may add others)."""
        return {n: v for n, v in self.flat().items() if TABLE[n].deciding and v != TABLE[n].default}

    @property
    def threads_used(self) -> int:
        """`threads`, but one where nobody says otherwise and streams are computed in portions, since an
        executor's workers have one and sums in another order have other last bits; or a network has
        convolutions, whose many small tensors gain little by a second thread, and lose all where that one has
        to wait."""
        return self.threads or int(self.at_once > 0 or bool(self.convolutions))

    @property
    def depth(self) -> int:
        """Synapse layers."""
        return len(self.sizes) - 1

    def used_plugins(self) -> list[tuple[str, str]]:
        """(kind, name) of every plugin that these settings name; an optimiser takes the recipe's place."""
        own = self.flat()
        found = [(s.kind, plugin) for s in TABLE.values() for plugin in s.plugins(own[s.name])]
        return [(kind, name) for kind, name in found if not (kind == "recipe" and self.optimiser)]


TABLE: Mapping[str, Setting] = {s.name: s for s in rows_of(TrainSettings)}
"""Every setting of a training, by name."""
