"""A run folder as an object: what was asked for, what was recorded, what was found, and how it goes on.

Everything in the folder is text that any tool reads. Writes replace whole files atomically, except the
metrics, which grow by whole rows and are cut back to the checkpoint on resuming.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ruledsl.errors import OtherTraining, RunError
from ruledsl.evidence import refuse_edited
from ruledsl.figures import draw_panels
from ruledsl.ir import Locality
from ruledsl.rules import Rule, formula, load, table
from ruledsl.runs.config import (
    RunConfig,
    read_config,
    recorded_versions,
    refuse_other_data,
    version_differences,
)
from ruledsl.runs.metrics import Metrics, first_difference, read_metrics
from ruledsl.runs.names import CHECKPOINT, CONFIG, DATA, FIGURE, METRICS, RESULT, RULE
from ruledsl.runs.panels import training_panels
from ruledsl.runs.spec import Crews, Spec
from ruledsl.runs.summary import late_episodes, read_result, recorded_groups
from ruledsl.settings import ACCURACY, DIVERGED
from ruledsl.statistics import Interval, finite_mean
from ruledsl.storage import read_json

if TYPE_CHECKING:
    from ruledsl.meta import MetaTrainer
    from ruledsl.runs.driver import Listener, Outcome
    from ruledsl.tasks import ImageSource

State = Literal["new", "started", "finished"]


@dataclass(frozen=True)
class Run:
    """One run folder. Opening it reads nothing; each part is read when it is asked for.

    Raises `RunError`, from whatever reads, when the folder is none, or a file of it is missing, damaged or
    not what its training wrote.

    >>> Run(Path("nowhere")).state
    'new'
    """

    folder: Path
    accept_edited: bool = False
    """Read it although a file was changed since its training."""

    def refuse_edited(self) -> None:
        """Raise `RunError` when a file is not as its training left it; looked at once, before all else."""
        if not self.accept_edited:
            _ = self._is_evidence

    @cached_property
    def _is_evidence(self) -> bool:
        refuse_edited(self.folder)
        return True

    @cached_property
    def config(self) -> RunConfig:
        """Settings, data and runs."""
        self.refuse_edited()
        return read_config(self.folder)

    @cached_property
    def rule(self) -> Rule:
        """The rule that was trained. Its locality was judged when it was: any class is accepted now."""
        self.refuse_edited()
        path = self.folder / RULE
        if not path.exists():
            raise RunError(f"{path} is missing: without it nobody can say what was trained")
        return load(path, allow=Locality.layer)

    @property
    def metrics(self) -> Metrics:
        """Every recorded episode, as columns."""
        self.refuse_edited()
        return self._fitting(read_metrics(self.folder), unfinished=0)

    @property
    def metrics_so_far(self) -> Metrics:
        """The same while another process may be writing."""
        self.refuse_edited()
        # Of the first episode some rows may not be written yet.
        return self._fitting(read_metrics(self.folder, complete_lines=True), unfinished=1)

    def _fitting(self, metrics: Metrics, unfinished: int) -> Metrics:
        """The metrics, if they are of the columns and the runs that the configuration names: of all of them,
        once there are more than `unfinished` episodes."""
        config = self.config
        known, runs = set(next(iter(metrics.runs.values()))) | {"group"}, {r.run for r in config.runs}
        if metrics.terms != config.terms or not set(config.columns) <= known or not set(metrics.runs) <= runs:
            raise RunError(f"{self.folder / METRICS} is not of the training that {CONFIG} describes")
        if set(metrics.runs) < runs and any(len(c["episode"]) > unfinished for c in metrics.runs.values()):
            raise RunError(f"{self.folder / METRICS} does not hold every run that {CONFIG} describes")
        return metrics

    @property
    def result(self) -> Mapping[str, Any]:
        """result.json: what was found, by group and by run."""
        self.refuse_edited()
        found, runs = read_result(self.folder), {r.run for r in self.config.runs}
        told = {r["run"] for r in found["runs"]}
        others = [r for r in found["runs"] if set(r["theta"]) != set(self.config.terms)]
        if others or not told <= runs or (found["finished"] and told != runs):
            raise RunError(f"{self.folder / RESULT} is not of the training that {CONFIG} describes")
        return found

    # where it stands ---------------------------------------------------------

    @property
    def exists(self) -> bool:
        return (self.folder / CONFIG).is_file()

    @property
    def state(self) -> State:
        """`new` before its training began, `started` while episodes are missing, `finished`."""
        if not (self.folder / CHECKPOINT).exists():
            return "new"
        try:
            ended = read_result(self.folder)["finished"]
        except RunError:
            return "started"
        # It may have been asked for more since its result was written.
        return "finished" if ended and self.episodes >= self._counted("episodes_asked") else "started"

    @property
    def episodes(self) -> int:
        """Episodes that the checkpoint knows; 0 when there is none to read."""
        return self._counted("episodes_done")

    @property
    def asked(self) -> int:
        """Episodes, once all are done: those of the configuration, or what `resume` was asked for since."""
        return self._counted("episodes_asked") or self.config.settings.episodes

    def _counted(self, name: str) -> int:
        try:
            return int(read_json(self.folder / CHECKPOINT)[name])
        except (RunError, KeyError, TypeError, ValueError):
            return 0

    @property
    def other_versions(self) -> list[str]:
        """What it was made with and is not what is installed now; see `version_differences`."""
        return version_differences(self.folder)

    @property
    def versions(self) -> dict[str, str]:
        """What it was made with."""
        return recorded_versions(self.folder)

    # what was found ----------------------------------------------------------

    @property
    def groups(self) -> dict[str, list[int]]:
        """Recorded runs by what they differ in beside their seed."""
        return recorded_groups(self.config, self.metrics_so_far)

    @property
    def seeds(self) -> dict[int, int]:
        """Seed → run, for a batch whose runs differ in nothing else."""
        return {r.seed: r.run for r in self.config.runs}

    @property
    def theta(self) -> dict[str, Interval]:
        """What was learned: each coefficient with its interval over seeds.

        Raises `RunError` for a run of several groups; `thetas` has each of them.
        """
        thetas = self.thetas
        if len(thetas) != 1:
            labels = "; ".join(thetas) or "none"
            raise RunError(
                f"{self.folder} must hold one group of runs, but holds: {labels}; see `Run.thetas`"
            )
        return next(iter(thetas.values()))

    @property
    def thetas(self) -> dict[str, dict[str, Interval]]:
        """`theta` of each group, by its label."""
        groups = self.result.get("groups", [])
        return {g["label"]: {name: Interval.read(v) for name, v in g["theta"].items()} for g in groups}

    def accuracy_by_seed(
        self, runs: list[int], metrics: Metrics | None = None, column: str = ACCURACY
    ) -> dict[int, float]:
        """Seed → mean query accuracy of the last episodes, or of another column; see `late_episodes`.

        Raises `ValueError` for runs that differ in more than their seed: ask for one of `groups`.
        """
        known = metrics or self.metrics_so_far
        late = late_episodes(known.episodes)
        seeds = {r.run: r.seed for r in self.config.runs}
        if len({seeds[run] for run in runs}) < len(runs):
            raise ValueError(f"runs {runs} of {self.folder} share seeds")
        return {seeds[run]: finite_mean(known.column(run, column)[-late:]) for run in runs}

    @property
    def end_accuracy(self) -> float | None:
        """Mean accuracy of the last episodes, of the group of runs where it is best; None without a result.

        Read from result.json alone, for tables of many runs while they are made.
        """
        try:
            means = [g["meta_accuracy"]["mean"] for g in read_result(self.folder)["groups"]]
        except RunError:
            return None
        return max((m for m in means if m is not None), default=None)

    @property
    def refused(self) -> int:
        """Episodes that diverged or were not finite, over all runs."""
        return int(sum(sum(c[DIVERGED]) for c in self.metrics_so_far.runs.values()))

    # going on ----------------------------------------------------------------

    def source(self) -> ImageSource:
        """The data it was trained on; arrays of a user's lie in the folder itself.

        Raises `RunError` where there are other samples under the same name now.
        """
        from ruledsl.tasks import open_dataset

        own = self.folder / self.config.dataset
        spec = str(own) if self.config.dataset == DATA else self.config.dataset
        source = open_dataset(spec, Path(self.config.data_root))
        refuse_other_data(self.folder, source)
        return source

    def trained_rule(self) -> Rule:
        """The rule, once more certain that it belongs to the configuration.
        Raises `RunError` when it does not."""
        from ruledsl.meta import coefficient_names

        if coefficient_names(self.rule.program, self.config.settings) != self.config.terms:
            raise RunError(f"{self.folder / RULE} defines other terms than {CONFIG} names")
        return self.rule

    def trainer(self) -> MetaTrainer:
        """A trainer as it was before the first episode."""
        from ruledsl.backend import compile_rule
        from ruledsl.meta import MetaTrainer

        return MetaTrainer(
            compile_rule(self.trained_rule()), self.config.settings, self.config.runs, self.source()
        )

    def start(
        self,
        spec: Spec,
        listen: Listener | None = None,
        fresh_tasks: int | None = None,
        begun: Callable[[], None] = lambda: None,
        crews: Crews | None = None,
    ) -> Outcome:
        """Train from the beginning; `begun` is called before the first episode, when nothing is in its way.

        Raises `RunError` when the folder holds a run or cannot be used.
        """
        from ruledsl.runs import driver

        tasks = driver.FRESH_TASKS if fresh_tasks is None else fresh_tasks
        heard = listen or driver.unheard
        crew = crews(self.folder, spec) if crews else None
        return driver.start(self.folder, spec.rule, spec.config, spec.source, heard, tasks, begun, crew)

    def resume(
        self,
        episodes: int | None = None,
        listen: Listener | None = None,
        fresh_tasks: int | None = None,
        other_backend: bool = False,
        crews: Crews | None = None,
    ) -> Outcome:
        """Go on from the last checkpoint, bit for bit; to `episodes` in place of the number asked for before.

        With `other_backend`, also where compiled code computed what only eager torch can go on with, or the
        other way round: the last bits then differ from there on.
        """
        from ruledsl.runs import driver

        tasks = driver.FRESH_TASKS if fresh_tasks is None else fresh_tasks
        spec = Spec(self.trained_rule(), self.config, self.source())
        heard, crew = listen or driver.unheard, crews(self.folder, spec) if crews else None
        return driver.resume(
            self.folder, spec.rule, spec.config, spec.source, heard, episodes, tasks, other_backend, crew
        )

    def ensure(
        self,
        spec: Spec,
        listen: Listener | None = None,
        fresh_tasks: int | None = None,
        crews: Crews | None = None,
    ) -> Run:
        """The same run, finished: started, gone on with, or only read.

        Raises:
            OtherTraining: the folder holds a run of another rule, on other data or with other settings.
            KeyboardInterrupt: stopped by a signal; asked again, it goes on.
        """
        if self.state != "new":
            self._refuse_other(spec)
        outcome = None
        if self.state == "new":
            outcome = self.start(spec, listen, fresh_tasks, crews=crews)
        elif self.state == "started":
            outcome = self.resume(listen=listen, fresh_tasks=fresh_tasks, crews=crews)
        if outcome is not None and outcome.interrupted:
            raise KeyboardInterrupt
        return Run(self.folder)

    def _refuse_other(self, spec: Spec) -> None:
        """Raise `OtherTraining` unless the folder's numbers are those that a specification leads to."""
        before, asked = read_config(self.folder), spec.config
        if self.rule.source != spec.rule.source:
            raise OtherTraining(f"{self.folder} holds a training of another rule; choose another `--out`")
        if (before.settings.deciding(), before.runs) != (asked.settings.deciding(), asked.runs):
            raise OtherTraining(f"{self.folder} holds a training with other settings; choose another `--out`")
        refuse_other_data(self.folder, spec.source)

    def rerun(self, out: Path, listen: Listener | None = None) -> Outcome:
        """Train again, from nothing but this folder's configuration and rule, into another folder.

        On the same machine and versions the numbers are the same bit for bit; see `difference`.
        """
        spec = Spec(self.trained_rule(), self.config, self.source())

        def begun() -> None:
            if self.config.dataset == DATA:  # it lies in this folder, and must lie in the other to go on
                shutil.copyfile(self.folder / DATA, out / DATA)

        return Run(out).start(spec, listen, begun=begun)

    def difference(self, other: Run) -> str | None:
        """Where the metrics of two runs part, in words;
        None when one begins with all that the other holds."""
        return first_difference(self.folder, other.folder)

    # showing -----------------------------------------------------------------

    def plot(self) -> list[Path]:
        """Draw the figures of the training, PNG and PDF, beside its metrics; their paths."""
        title, panels = training_panels(self.config, self.metrics_so_far)
        return draw_panels(self.folder / FIGURE, title, panels)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """The rule's formula, and each coefficient with its locality, for a notebook."""
        locality = self.rule.locality
        rows = [
            (group, name, str(locality.get(name, "")), value.text(".3e"))
            for group, theta in (self.thetas.items() if self.state != "new" else ())
            for name, value in theta.items()
        ]
        shown = table(("runs", "term", "locality", "θ (95 %)"), rows)
        return f"<div><b>{self.folder.name}</b>: {self.state}<br>{formula(self.rule.latex())}{shown}</div>"


def open_run(folder: str | Path, accept_edited: bool = False) -> Run:
    """A run folder. Raises `RunError` when there is none, or when a file of it was changed since.

    Args:
        folder: what `train` wrote.
        accept_edited: read it all the same.

    >>> import ruledsl, tempfile
    >>> small = dict(sizes="49-10-47", labels=3, shots=4, queries=3, episodes=2, progress=False)
    >>> folder = ruledsl.train("bio", out=tempfile.mkdtemp(), **small).folder
    >>> open_run(folder).state
    'finished'
    """
    run = Run(Path(folder), accept_edited)
    run.refuse_edited()
    if not run.exists:
        raise RunError(f"{folder} is not a run folder: it has no {CONFIG}")
    return run
