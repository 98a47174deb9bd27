"""Experiments as cells: each is run once, wherever there is room, and what is there already is only read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ruledsl.backend import compile_rule
from ruledsl.evidence import write_sealed
from ruledsl.meta import learning_curve
from ruledsl.reproduction.claims import ClaimFile, LongStream, Theory, Training
from ruledsl.reproduction.planning import Budget, Planner
from ruledsl.reproduction.theory import THEORY
from ruledsl.runs import Run, use_threads
from ruledsl.settings import EpisodeRecord, TrainSettings
from ruledsl.storage import in_full, read_json, taking_turns, write_json
from ruledsl.studies import Tick


@dataclass(frozen=True)
class Experiment:
    """One experiment of a file, as a cell of a plan."""

    file: ClaimFile
    label: str
    out: Path
    budget: Budget

    @cached_property
    def planner(self) -> Planner:
        return Planner(self.out, self.budget)

    def __reduce__(self) -> tuple[Any, ...]:
        # Rules that were read stay here: another process reads them anew.
        return Experiment, (self.file, self.label, self.out.absolute(), self.budget)

    @property
    def name(self) -> str:
        return f"{self.file.name}: {self.label}"

    @property
    def needs(self) -> Sequence[str]:
        leans = self.file.leans_on(self.label)
        return [Experiment(self.file, leans, self.out, self.budget).key] if leans else []

    @property
    def key(self) -> str:
        return self._key

    @cached_property
    def _key(self) -> str:
        """The same experiment of two files is one, unless it leans on another of its own file."""
        if self.file.leans_on(self.label):
            return f"{self.file.path}/{self.label}"
        return str(self.planner.place(self.file, self.label))

    @property
    def episodes(self) -> int:
        experiment = self.file.experiments[self.label]
        if not isinstance(experiment, Training):
            return 0
        total = self.planner.training_config(self.file, experiment)[1].settings.episodes
        return total if self.needs else max(0, total - Run(Path(self.key)).episodes)

    @property
    def root(self) -> Path:
        return self.out

    score = None

    def reads(self) -> list[Path]:
        path, found, label = self.planner.place(self.file, self.label), [], self.label
        while leans := self.file.leans_on(label):
            found.append(self.planner.place(self.file, leans))
            label = leans
        return [path, seconds_file(self.out, path), *found]

    def given(self) -> list[Path]:
        """Rules beside the claims are looked up where the claims were read: they do not travel."""
        return []

    def moved(self, root: Path, given: Mapping[Path, Path]) -> Experiment:
        return replace(self, out=root)

    def is_done(self) -> bool:
        return self.planner.is_done(self.file, self.label)

    def run(self, tick: Tick) -> None:
        path = self.planner.place(self.file, self.label)
        with _timed(seconds_file(self.out, path)):
            match self.file.experiments[self.label]:
                case Training() as training:
                    self._train(training, tick)
                case LongStream() as stream:
                    _keep(path, self._live(stream))
                case Theory() as theory:
                    _keep(path, self._measure(theory))

    def _train(self, training: Training, tick: Tick) -> None:
        def hear(_: Sequence[EpisodeRecord]) -> None:
            tick(1)

        spec = self.planner.training_spec(self.file, training, self.planner.source(self.file, self.label))
        self.planner.run_of(spec).ensure(spec, hear, fresh_tasks=0)

    def _live(self, stream: LongStream) -> Mapping[str, Any]:
        plan = self.planner.stream(self.file, stream)
        use_threads(plan.settings.threads)
        curve = learning_curve(
            compile_rule(plan.rule), list(plan.theta.values()), plan.settings, self.planner.source(self.file,
            self.label),
            range(self.budget.seeds), plan.samples, test_images=plan.test_images, angles=True,
        )  # fmt: skip
        return asdict(curve) | {"theta": plan.theta}

    def _measure(self, theory: Theory) -> Mapping[str, Any]:
        plan = self.planner.theory(theory)
        use_threads(plan.settings.threads)
        found = THEORY[theory.kind](plan.rule, plan.settings, range(self.budget.seeds), plan.samples)
        return {"values": {name: list(values) for name, values in found.items()}}


def experiments(planner: Planner, files: Sequence[ClaimFile]) -> list[Experiment]:
    """Everything that files need. Where data lie is said in full: a worker may start in another folder."""
    budget = replace(planner.budget, data_root=Path(in_full(str(planner.budget.data_root))))
    return [Experiment(file, name, planner.out, budget) for file in files for name in file.experiments]


def seconds_file(out: Path, place: Path) -> Path:
    """Where the seconds that an experiment took are kept:
    one file for each, since several may run at once."""
    return out / "seconds" / f"{place.name.removesuffix('.json')}.json"


@contextmanager
def _timed(path: Path) -> Iterator[None]:
    """Keep count of the seconds spent inside, also when they end by an interruption."""
    began = time.monotonic()
    try:
        yield
    finally:
        with taking_turns(path.parent):
            spent = float(read_json(path)) if path.exists() else 0.0
            write_json(path, round(spent + time.monotonic() - began, 1))


def _keep(path: Path, document: Mapping[str, Any]) -> None:
    with taking_turns(path.parent):
        write_sealed(path, document)


def known_settings(planner: Planner, file: ClaimFile, name: str) -> TrainSettings:
    """The settings of an experiment, before anything is run."""
    match file.experiments[name]:
        case Training() as training:
            return planner.training_config(file, training)[1].settings
        case LongStream() as stream:
            return planner.check_stream(file, stream)
        case Theory() as theory:
            return planner.theory(theory).settings
