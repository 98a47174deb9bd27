"""What a file of claims says, as frozen data: experiments, claims about them, choices that were made, a
figure.

A file is TOML (see docs/claims.md). Experiments are of three kinds: `training` meta-learns Θ, `stream` lets
naive networks learn online by a fixed Θ, `theory` measures something that an equation says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Training:
    """A meta-training by Algorithm 1; `settings` are those of `TrainSettings` that differ from the
    paper's."""

    name: str
    rule: str
    dataset: str
    label: str = ""
    l1: float = 0.0
    frozen_at: str = ""
    """Another training, whose mean Θ is kept as it is: nothing is learned."""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LongStream:
    """Naive networks that learn online: accuracy and angles against samples seen."""

    name: str
    rule: str
    dataset: str
    label: str = ""
    samples: int = 8000
    test_images: int = 1000
    theta: Mapping[str, float] = field(default_factory=dict)
    theta_of: str = ""
    """A training, whose mean Θ is used."""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Theory:
    """An equation to be measured: `gradient` (Eq. 4) or `error_hebb` (Eq. 13)."""

    name: str
    kind: str
    label: str = ""
    samples: int = 20_000
    settings: Mapping[str, Any] = field(default_factory=dict)


Experiment = Training | LongStream | Theory


@dataclass(frozen=True)
class Measure:
    """A number for every seed: `accuracy`, `theta[oja_subspace]` … of one experiment,
    or a difference of two."""

    what: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.what}[{self.argument}]" if self.argument else self.what


@dataclass(frozen=True)
class Explanation:
    """Why a claim most likely fails, and the experiment, or the measure,
    in which it would hold if that is right."""

    reason: str
    of: str
    against: str = ""
    measure: Measure | None = None
    """The claim's own unless given."""


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, what is measured for it, and the numbers that agree with it."""

    name: str
    says: str
    printed: str
    of: str
    measure: Measure
    against: str = ""
    """The measure is that of `of` minus that of this experiment, seed by seed."""
    episodes: tuple[int, int] | None = None
    low: float = -inf
    high: float = inf
    mark: float | None = None
    """The printed number, where there is one: marked in the figure."""
    if_not: Explanation | None = None

    @property
    def accepted(self) -> str:
        """The numbers that agree, in words."""
        if self.low == -inf:
            return f"≤ {self.high:g}"
        if self.high == inf:
            return f"≥ {self.low:g}"
        return f"{self.low:g} … {self.high:g}"


@dataclass(frozen=True)
class Alternative:
    """Another way to read the paper, or what the released code does;
    compared with an experiment of the file."""

    name: str
    here: str
    there: str
    of: str
    others: tuple[str, ...]
    measures: tuple[Measure, ...]
    there_measures: tuple[Measure, ...]
    """What is measured of the others: the same, unless it is the measure that differs."""
    episodes: tuple[int, int] | None = None


@dataclass(frozen=True)
class PanelSpec:
    """One panel of the figure: `show` is what is drawn, for some experiments."""

    show: str
    of: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True)
class ClaimFile:
    """Everything one file holds."""

    path: Path
    title: str
    text: str
    experiments: Mapping[str, Experiment]
    claims: tuple[Claim, ...]
    alternatives: tuple[Alternative, ...]
    panels: tuple[PanelSpec, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    def training(self, name: str) -> Training:
        """An experiment that is known to be a training."""
        experiment = self.experiments[name]
        assert isinstance(experiment, Training)
        return experiment

    def leans_on(self, name: str) -> str:
        """The training whose Θ an experiment uses; nothing for one that stands alone."""
        match self.experiments[name]:
            case Training() as training:
                return training.frozen_at
            case LongStream() as stream:
                return stream.theta_of
            case Theory():
                return ""

    def label(self, experiment: str) -> str:
        """What an experiment is called in figures."""
        return self.experiments[experiment].label or experiment


THEORIES = ("gradient", "error_hebb")
