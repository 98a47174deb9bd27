"""Runs the experiments of claims, each once: what two files ask alike, they share; what is there already is only read.

A training is a run folder like any other (`resume`, `report` and `diagnose` work on it); long streams and theory leave
a JSON file. Names end in a digest of everything that decides the numbers.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ruledsl import runs
from ruledsl.meta import coefficient_names, learning_curve
from ruledsl.pipeline import Rule, compile_rule, load
from ruledsl.reproduction.claims import ClaimFile, Experiment, LongStream, Theory, Training
from ruledsl.reproduction.results import Result, StreamResult, TheoryResult, TrainingResult
from ruledsl.reproduction.theory import THEORY
from ruledsl.runs import RunConfig, RunError
from ruledsl.runs.folder import used_plugins
from ruledsl.settings import EpisodeRecord, RunSpec, TrainSettings
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
class Job:
    """An experiment about to run: told to whoever shows progress."""

    name: str
    text: str
    episodes: int
    terms: tuple[str, ...]


Listener = Callable[[Job, Sequence[EpisodeRecord]], None]


@dataclass(frozen=True)
class _StreamPlan:
    """All that decides a long stream, and where its curves are kept."""

    path: Path
    rule: Rule
    settings: TrainSettings
    theta: dict[str, float]
    samples: int
    dataset: str


class Workshop:
    """The folder in which experiments are run and kept."""

    def __init__(self, out: Path, budget: Budget, listen: Listener) -> None:
        self.out, self.budget, self.listen = out, budget, listen
        self.results: dict[tuple[Path, str], Result] = {}
        self.sources: dict[str, ImageSource] = {}
        self.rules: dict[str, Rule] = {}
        self.differences: set[str] = set()
        """Versions that runs were made with, where they are not those of now."""
        self.used: list[str] = []
        """Names, with digests, of all that was asked for."""

    def open_data(self, files: Sequence[ClaimFile], download: bool = False) -> None:
        """Open every data set that files need: one that is missing must be told before hours are spent."""
        for file in files:
            for experiment in file.experiments.values():
                if not isinstance(experiment, Theory):
                    self._source(self.budget.dataset or experiment.dataset, download)

    def result(self, file: ClaimFile, name: str) -> Result:
        """An experiment's result, run now if it has not been.

        Raises:
            RunError, DataError, RuleError: it cannot be run; what others found is kept.
            KeyboardInterrupt: it was stopped; asked again, it goes on where it was.
        """
        key = (file.path, name)
        if key not in self.results:
            experiment = file.experiments[name]
            self.results[key] = self._run(file, experiment)
        return self.results[key]

    def _run(self, file: ClaimFile, experiment: Experiment) -> Result:
        match experiment:
            case Training():
                return self._training(file, experiment)
            case LongStream():
                return self._stream(file, experiment)
            case Theory():
                return self._theory(experiment)

    # Trainings

    def training_plan(self, file: ClaimFile, training: Training) -> tuple[Rule, RunConfig]:
        """The rule and the configuration of the run folder that a training is."""
        rule, config = self.training_config(file, training)
        if not training.frozen_at:
            return rule, config
        learned = self._trained(file, training.frozen_at).final_theta()
        initial = tuple(learned[_meant(name, learned)] for name in config.terms)
        settings = replace(config.settings, learning_rate=0.0, engine="none")
        return rule, replace(
            config, settings=settings, runs=tuple(replace(spec, initial=initial) for spec in config.runs)
        )

    def training_config(self, file: ClaimFile, training: Training) -> tuple[Rule, RunConfig]:
        """The same, as it is before it is known where Θ is to be kept (`frozen_at`)."""
        rule = self._rule(file, training.rule)
        settings = self._settings(rule, training.settings)
        names = coefficient_names(rule.program, settings)
        if training.frozen_at:
            other = file.experiments[training.frozen_at]
            assert isinstance(other, Training)
            learned = self.training_config(file, other)[1].terms
            for name in names:
                _meant(name, learned)
        specs = tuple(RunSpec(n, n, training.l1) for n in range(self.budget.seeds))
        dataset = self.budget.dataset or training.dataset
        return rule, RunConfig(rule.name, dataset, str(self.budget.data_root), settings, specs, names)

    def _rule(self, file: ClaimFile, spec: str) -> Rule:
        """The rule that an experiment names: a file beside the claims first, then any on the search path."""
        path, colon, name = spec.partition(":")
        beside = file.path.parent / path
        whole = f"{beside}{colon}{name}" if path.endswith(".rule") and beside.is_file() else spec
        if whole not in self.rules:
            self.rules[whole] = load(whole)
        return self.rules[whole]

    def _settings(self, rule: Rule, own: Mapping[str, Any]) -> TrainSettings:
        chosen: dict[str, Any] = {"recipe": "paper", **own}
        if self.budget.recipe:
            chosen["recipe"] = self.budget.recipe
        chosen.setdefault("feedback", rule.definition.feedback or "fixed")
        chosen.setdefault("meta_batch", 2 if chosen["recipe"] == "robust" else 1)
        chosen["episodes"] = self.budget.scaled(chosen.get("episodes", TrainSettings.episodes))
        return TrainSettings(**{**chosen, **self.budget.overrides})

    def unfinished(self, file: ClaimFile, name: str) -> tuple[Path, int]:
        """The run folder of a training that uses no other, and how many episodes it still lacks."""
        training = file.experiments[name]
        assert isinstance(training, Training)
        assert not training.frozen_at
        rule, config = self.training_plan(file, training)
        folder = self._folder(rule, config)
        return folder, 0 if _finished(folder) else config.settings.episodes - _recorded(folder)

    def _folder(self, rule: Rule, config: RunConfig) -> Path:
        return self.out / "trainings" / f"{rule.name.replace('+', '-')}-{_digest(rule, config)}"

    def _training(self, file: ClaimFile, training: Training) -> TrainingResult:
        rule, config = self.training_plan(file, training)
        folder = self._folder(rule, config)
        self.used.append(folder.name)
        job = Job(
            training.name, f"{file.name}: {training.label or training.name}", config.settings.episodes, config.terms
        )

        def hear(records: Sequence[EpisodeRecord]) -> None:
            self.listen(job, records)

        if not _finished(folder):
            source = self._source(config.dataset)
            with self._timed(folder.name):
                if (folder / "checkpoint.json").exists():
                    outcome = runs.resume(folder, hear)
                else:
                    outcome = runs.start(folder, rule, config, source, hear)
            if outcome.interrupted:
                raise KeyboardInterrupt
        self.differences |= set(runs.version_differences(folder))
        return TrainingResult(folder, config, runs.read_metrics(folder))

    def _trained(self, file: ClaimFile, name: str) -> TrainingResult:
        result = self.result(file, name)
        assert isinstance(result, TrainingResult)
        return result

    # Long streams and theory

    def _stream(self, file: ClaimFile, stream: LongStream) -> StreamResult:
        plan = self._stream_plan(file, stream)

        def measure() -> dict[str, Any]:
            curve = learning_curve(
                compile_rule(plan.rule), list(plan.theta.values()), plan.settings, self._source(plan.dataset),
                range(self.budget.seeds), plan.samples, test_images=stream.test_images, angles=True,
            )  # fmt: skip
            return asdict(curve) | {"theta": plan.theta}

        job = Job(stream.name, f"{file.name}: {stream.label or stream.name}", 0, plan.rule.names)
        document = self._kept(plan.path, job, plan.settings, measure)
        alpha = tuple(tuple(tuple(_number(a) for a in point) for point in curve) for curve in document["alpha"])
        accuracy = tuple(tuple(curve) for curve in document["accuracy"])
        return StreamResult(tuple(document["samples"]), accuracy, alpha, document["theta"])

    def _stream_plan(self, file: ClaimFile, stream: LongStream) -> _StreamPlan:
        rule = self._rule(file, stream.rule)
        settings = self._settings(rule, stream.settings)
        theta = dict(zip(rule.names, rule.program.initial, strict=True))
        learned = self._trained(file, stream.theta_of).final_theta() if stream.theta_of else {}
        theta |= {**learned, **stream.theta}
        samples, dataset = stream.samples, self.budget.dataset or stream.dataset
        identity = [rule.source, dataset, *_deciding(settings), theta, samples, stream.test_images, self.budget.seeds]
        path = self.out / "streams" / f"{stream.name}-{_hash(identity)}.json"
        return _StreamPlan(path, rule, settings, theta, samples, dataset)

    def chance(self, file: ClaimFile, name: str) -> float:
        """Accuracy of a guess among all classes of a stream's data set."""
        stream = file.experiments[name]
        assert isinstance(stream, LongStream)
        return 1.0 / self._source(self.budget.dataset or stream.dataset).classes

    def check_stream(self, file: ClaimFile, stream: LongStream) -> TrainSettings:
        """The settings of a stream. Raises `RunError` when it sets coefficients that its rule has not."""
        rule = self._rule(file, stream.rule)
        given = list(stream.theta)
        if stream.theta_of:
            other = file.experiments[stream.theta_of]
            assert isinstance(other, Training)
            given += self.training_config(file, other)[1].terms
        for name in given:
            if name not in rule.names:
                raise RunError(f"{file.path}: stream `{stream.name}` sets `{name}`, which {rule.name} has not")
        return self._settings(rule, stream.settings)

    def _theory(self, theory: Theory) -> TheoryResult:
        path, rule, settings, samples = self.theory_plan(theory)

        def measure() -> dict[str, Any]:
            found = THEORY[theory.kind](rule, settings, range(self.budget.seeds), samples)
            return {"values": {name: list(values) for name, values in found.items()}}

        job = Job(theory.name, f"{theory.name}: {samples} samples", 0, ())
        values = self._kept(path, job, settings, measure)["values"]
        return TheoryResult({name: tuple(_number(v) for v in row) for name, row in values.items()})

    def theory_plan(self, theory: Theory) -> tuple[Path, Rule, TrainSettings, int]:
        """Where its numbers are kept, and what decides them."""
        rule = load("error_hebb" if theory.kind == "error_hebb" else "backprop")
        chosen = {"feedback": rule.definition.feedback or "fixed", **theory.settings}
        settings = TrainSettings(**{**chosen, **_theory_overrides(self.budget.overrides)})
        samples = theory.samples
        identity = [rule.source, theory.kind, *_deciding(settings), samples, self.budget.seeds]
        return self.out / "theory" / f"{theory.name}-{_hash(identity)}.json", rule, settings, samples

    def _kept(self, path: Path, job: Job, settings: TrainSettings, measure: Callable[[], dict[str, Any]]) -> Any:
        """The JSON document at `path`, measured and written now if it is not there."""
        self.used.append(path.stem)
        if not path.exists():
            self.listen(job, ())
            runs.use_threads(settings.threads)
            with self._timed(path.stem):
                document = measure()
            runs.write_json(path, document)
        return runs.read_json(path)

    def is_done(self, file: ClaimFile, name: str) -> bool:
        """Whether an experiment's result lies in the folder; what it is built on must."""
        match file.experiments[name]:
            case Training() as training:
                return _finished(self._folder(*self.training_plan(file, training)))
            case LongStream() as stream:
                return self._stream_plan(file, stream).path.exists()
            case Theory() as theory:
                return self.theory_plan(theory)[0].exists()

    def seconds(self) -> list[float]:
        """What every experiment that was asked for took, also in earlier calls."""
        paths = [self._seconds_file(name) for name in dict.fromkeys(self.used)]
        return [float(runs.read_json(path)) for path in paths if path.exists()]

    def _seconds_file(self, name: str) -> Path:
        """One for each experiment: several processes may run at once."""
        return self.out / "seconds" / f"{name}.json"

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        """Keep count of the seconds spent inside, also when they end by an interruption."""
        path, began = self._seconds_file(name), time.monotonic()
        try:
            yield
        finally:
            spent = float(runs.read_json(path)) if path.exists() else 0.0
            runs.write_json(path, round(spent + time.monotonic() - began, 1))

    def _source(self, dataset: str, download: bool = False) -> ImageSource:
        if dataset not in self.sources:
            self.sources[dataset] = open_dataset(dataset, self.budget.data_root, download)
        return self.sources[dataset]


def _meant(name: str, learned: Collection[str]) -> str:
    """The coefficient of another rule that stands for one: `a` for `a[2]`. Raises `RunError` when there is none."""
    base = name.partition("[")[0]
    if base not in learned and name not in learned:
        raise RunError(
            f"`{name}` cannot be kept: the other training has no such coefficient, only {', '.join(learned)}"
        )
    return base if base in learned else name


def _finished(folder: Path) -> bool:
    try:
        return bool(runs.read_json(folder / "result.json")["finished"])
    except (RunError, KeyError):
        return False


def _recorded(folder: Path) -> int:
    try:
        return int(runs.read_json(folder / "checkpoint.json")["episodes_done"])
    except (RunError, KeyError, TypeError, ValueError):
        return 0


def _digest(rule: Rule, config: RunConfig) -> str:
    return _hash([rule.source, config.dataset, *_deciding(config.settings), [asdict(r) for r in config.runs]])


def _deciding(settings: TrainSettings) -> list[Any]:
    """What decides numbers: settings that are not the defaults (later versions may add others), a user's plugins."""
    own = {k: v for k, v in asdict(settings).items() if k != "threads" and v != getattr(TrainSettings, k)}
    return [own, *(plugin["sha256"] for plugin in used_plugins(settings))]


def _hash(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:10]


def _theory_overrides(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Theory has networks of its own; only what concerns the machine is taken over."""
    return {k: v for k, v in overrides.items() if k in ("threads", "backend")}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
