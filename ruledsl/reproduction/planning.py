"""What each experiment of a file of claims is, before any is run: rule, settings, and where its result is
kept.

A training is a run folder like any other (`resume`, `report` and `diagnose` work on it); long streams and
theory leave a JSON file. Names end in a digest of everything that decides the numbers, so files share what
they ask alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ruledsl.errors import RunError
from ruledsl.evidence import refuse_edited_document
from ruledsl.meta import coefficient_names
from ruledsl.reproduction.claims import ClaimFile, LongStream, Theory, Training
from ruledsl.reproduction.results import Result, StreamResult, TheoryResult, TrainingResult
from ruledsl.rules import Rule, load
from ruledsl.runs import Run, RunConfig, Spec, used_plugins
from ruledsl.settings import RunSpec, TrainSettings
from ruledsl.storage import read_json
from ruledsl.studies import digest, hashed
from ruledsl.tasks import ImageSource, open_dataset


@dataclass(frozen=True)
class Budget:
    """How much is spent, and what replaces the settings of the files."""

    seeds: int = 8
    share: float = 1.0
    """Of the paper's episodes. Long streams and theory take little time and keep their lengths."""
    recipe: str = ""
    dataset: str = ""
    data_root: Path = Path("data")
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Settings of every experiment, over those of the files: sizes of a toy network …"""

    def scaled(self, count: int) -> int:
        return max(1, round(count * self.share))


@dataclass(frozen=True)
class StreamPlan:
    """All that decides a long stream, and where its curves are kept."""

    path: Path
    rule: Rule
    settings: TrainSettings
    theta: dict[str, float]
    samples: int
    test_images: int
    dataset: str


@dataclass(frozen=True)
class TheoryPlan:
    """All that decides an equation's measurement, and where its numbers are kept."""

    path: Path
    rule: Rule
    settings: TrainSettings
    samples: int


@dataclass(frozen=True)
class Planner:
    """Plans the experiments of files inside one folder, and reads those that are done."""

    out: Path
    budget: Budget
    _rules: dict[str, Rule] = field(default_factory=dict, compare=False, repr=False)

    # trainings ---------------------------------------------------------------

    def training_config(self, file: ClaimFile, training: Training) -> tuple[Rule, RunConfig]:
        """The rule and the configuration, as they are before it is known where Θ is to be kept
        (`frozen_at`)."""
        rule = self._rule(file, training.rule)
        settings = self._settings(rule, training.settings)
        names = coefficient_names(rule.program, settings)
        if training.frozen_at:
            learned = self.training_config(file, file.training(training.frozen_at))[1].terms
            for name in names:
                _meant(name, learned)
        specs = tuple(RunSpec(n, n, training.l1) for n in range(self.budget.seeds))
        dataset = self.budget.dataset or training.dataset
        return rule, RunConfig(rule.name, dataset, str(self.budget.data_root), settings, specs, names)

    def training_spec(self, file: ClaimFile, training: Training, source: ImageSource) -> Spec:
        """All of it. Raises `RunError` when the training whose Θ is to be kept is not done."""
        rule, config = self.training_config(file, training)
        if training.frozen_at:
            learned = self.trained(file, training.frozen_at).final_theta()
            initial = tuple(learned[_meant(name, learned)] for name in config.terms)
            runs = tuple(replace(spec, initial=initial) for spec in config.runs)
            config = replace(
                config, settings=config.settings.put(learning_rate=0.0, engine="none"), runs=runs
            )
        return Spec(rule, config, source)

    def run_of(self, spec: Spec) -> Run:
        return Run(self.out / "trainings" / f"{spec.rule.name.replace('+', '-')}-{digest(spec)}")

    def trained(self, file: ClaimFile, name: str) -> TrainingResult:
        result = self.result(file, name)
        assert isinstance(result, TrainingResult)
        return result

    # streams and theory ------------------------------------------------------

    def stream(self, file: ClaimFile, stream: LongStream) -> StreamPlan:
        """Raises `RunError` when the training whose Θ is used is not done."""
        rule = self._rule(file, stream.rule)
        settings = self._settings(rule, stream.settings)
        theta = dict(zip(rule.names, rule.program.initial, strict=True))
        learned = self.trained(file, stream.theta_of).final_theta() if stream.theta_of else {}
        theta |= {**learned, **stream.theta}
        dataset = self.budget.dataset or stream.dataset
        identity = [rule.source, dataset, *_deciding(settings), theta, stream.samples, stream.test_images]
        path = self.out / "streams" / f"{stream.name}-{hashed([*identity, self.budget.seeds])}.json"
        return StreamPlan(path, rule, settings, theta, stream.samples, stream.test_images, dataset)

    def check_stream(self, file: ClaimFile, stream: LongStream) -> TrainSettings:
        """The settings of a stream. Raises `RunError` when it sets coefficients that its rule has not."""
        rule = self._rule(file, stream.rule)
        given = list(stream.theta)
        if stream.theta_of:
            given += self.training_config(file, file.training(stream.theta_of))[1].terms
        for name in given:
            if name not in rule.names:
                raise RunError(
                    f"{file.path}: stream `{stream.name}` sets `{name}`, which {rule.name} has not"
                )
        return self._settings(rule, stream.settings)

    def theory(self, theory: Theory) -> TheoryPlan:
        """Theory has networks of its own; only what concerns the machine is taken over from the budget."""
        rule = load("error_hebb" if theory.kind == "error_hebb" else "backprop")
        machine = {k: v for k, v in self.budget.overrides.items() if k in ("threads", "backend")}
        settings = TrainSettings.of(
            **{"feedback": rule.definition.feedback or "fixed", **theory.settings, **machine}
        )
        identity = [rule.source, theory.kind, *_deciding(settings), theory.samples, self.budget.seeds]
        path = self.out / "theory" / f"{theory.name}-{hashed(identity)}.json"
        return TheoryPlan(path, rule, settings, theory.samples)

    # what all share ----------------------------------------------------------

    def source(self, file: ClaimFile, name: str, download: bool = False) -> ImageSource:
        """The data that an experiment is shown."""
        experiment = file.experiments[name]
        assert not isinstance(experiment, Theory)
        return open_dataset(self.budget.dataset or experiment.dataset, self.budget.data_root, download)

    def place(self, file: ClaimFile, name: str) -> Path:
        """Where an experiment's result is kept. Raises `RunError` when what it is built on is not done."""
        match file.experiments[name]:
            case Training() as training:
                return self.run_of(self.training_spec(file, training, self.source(file, name))).folder
            case LongStream() as stream:
                return self.stream(file, stream).path
            case Theory() as theory:
                return self.theory(theory).path

    def is_done(self, file: ClaimFile, name: str) -> bool:
        """Whether an experiment's result lies in the folder; what it is built on must."""
        path = self.place(file, name)
        return (
            Run(path).state == "finished" if isinstance(file.experiments[name], Training) else path.exists()
        )

    def result(self, file: ClaimFile, name: str) -> Result:
        """What an experiment left. Raises `RunError` when it is not done, damaged, or was changed since."""
        if not self.is_done(file, name):
            raise RunError(f"the experiment `{name}` of {file.name} was not run")
        path = self.place(file, name)
        match file.experiments[name]:
            case Training():
                return TrainingResult.read(Run(path))
            case LongStream():
                classes = self.source(file, name).classes
                return _read(path, lambda document: StreamResult.read(document, classes))
            case Theory():
                return _read(path, TheoryResult.read)

    def results(self, file: ClaimFile) -> dict[str, Result]:
        """What every experiment of a file left. Raises `RunError` when one is not done."""
        return {name: self.result(file, name) for name in file.experiments}

    def _rule(self, file: ClaimFile, spec: str) -> Rule:
        """The rule that an experiment names: a file beside the claims first, then any on the search path."""
        path, colon, name = spec.partition(":")
        beside = file.path.parent / path
        whole = f"{beside}{colon}{name}" if path.endswith(".rule") and beside.is_file() else spec
        if whole not in self._rules:
            self._rules[whole] = load(whole)
        return self._rules[whole]

    def _settings(self, rule: Rule, own: Mapping[str, Any]) -> TrainSettings:
        chosen: dict[str, Any] = {"recipe": "paper", **own}
        if self.budget.recipe:
            chosen["recipe"] = self.budget.recipe
        chosen.setdefault("feedback", rule.definition.feedback or "fixed")
        chosen.setdefault("meta_batch", 2 if chosen["recipe"] == "robust" else 1)
        chosen["episodes"] = self.budget.scaled(chosen.get("episodes", TrainSettings.episodes))
        return TrainSettings.of(**{**chosen, **self.budget.overrides})


def _meant(name: str, learned: Collection[str]) -> str:
    """The coefficient of another rule that stands for one: `a` for `a[2]`.
    Raises `RunError` when there is none."""
    base = name.partition("[")[0]
    if base not in learned and name not in learned:
        raise RunError(
            f"`{name}` cannot be kept: the other training has no such coefficient, only {', '.join(learned)}"
        )
    return base if base in learned else name


def _deciding(settings: TrainSettings) -> list[Any]:
    return [settings.deciding(), *(plugin["sha256"] for plugin in used_plugins(settings))]


R = TypeVar("R")


def _read(path: Path, reader: Callable[[Mapping[str, Any]], R]) -> R:
    """A result that an experiment wrote. Raises `RunError` for one that is damaged or was changed since."""
    refuse_edited_document(path)
    try:
        return reader(read_json(path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error!r}; remove it, and it is made again") from None
