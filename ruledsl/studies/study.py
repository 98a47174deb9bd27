"""A study: rules × settings, each cell a run folder with all its seeds, wherever cells are run."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ruledsl.errors import OtherTraining, RunError, SettingsError
from ruledsl.figures import Colour, Curve, Panel, draw_panels
from ruledsl.progress import Board
from ruledsl.runs import RULE, Run, Spec, recorded_groups, used_plugins
from ruledsl.settings import ACCURACY, OPTIONS, EpisodeRecord, known_names
from ruledsl.statistics import Interval
from ruledsl.storage import in_full
from ruledsl.studies.cells import Plan, Tick, Watcher
from ruledsl.studies.places import open_place
from ruledsl.studies.specify import Opened, specify


def digest(spec: Spec, *more: Any) -> str:
    """Ten letters that everything which decides the numbers of a training decides;
    the data count by their name."""
    config = spec.config
    deciding = [config.settings.deciding(), *(plugin["sha256"] for plugin in used_plugins(config.settings))]
    return hashed([spec.rule.source, config.dataset, *deciding, [asdict(r) for r in config.runs], *more])


def hashed(document: Any) -> str:
    """Ten letters that a document decides."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class StudyCell:
    """One training of a study: its rule, and what is varied in it."""

    rule: str
    label: str
    """The rule among the study's: short, and no other's."""
    values: tuple[tuple[str, Any], ...]
    settings: tuple[tuple[str, Any], ...]
    root: Path
    place: Path | None = None
    """Its run folder, where another process has found out which it is."""
    opened: Opened = field(default_factory=Opened, compare=False, repr=False)
    """The rules and data sets that cells of a study share."""

    @cached_property
    def spec(self) -> Spec:
        return specify(self.rule, opened=self.opened, **dict(self.settings), **dict(self.values))

    @cached_property
    def run_folder(self) -> Run:
        """Named by what decides its numbers, bytes of data included."""
        return Run(self.place or self.root / self._folder_name())

    def _folder_name(self) -> str:
        name = self.spec.rule.name.replace("+", "-")
        return f"{name}-{digest(self.spec, self.spec.source.digest)}"

    @property
    def name(self) -> str:
        return " ".join([self.label, *(f"{name}={shown(value)}" for name, value in self.values)])

    @property
    def key(self) -> str:
        return str(self.run_folder.folder)

    needs = ()

    def __reduce__(self) -> tuple[Any, ...]:
        # What was read of the rule and the data stays here: another process reads it anew, in a folder of its
        # own perhaps.
        place = self.run_folder.folder.absolute()
        rule, root = in_full(self.rule), self.root.absolute()
        return StudyCell, (rule, self.label, self.values, self.settings, root, place)

    @property
    def planned(self) -> int:
        """Its episodes, once all are done."""
        run = self.run_folder
        return run.asked if run.exists else self.spec.config.settings.episodes

    @property
    def episodes(self) -> int:
        return 0 if self.is_done() else self.planned - self.run_folder.episodes

    @property
    def score(self) -> float | None:
        """Accuracy at the end, of the best of its runs that differ in more than their seed."""
        return Run(self.run_folder.folder).end_accuracy

    def reads(self) -> list[Path]:
        return [self.run_folder.folder]

    def given(self) -> list[Path]:
        """The file of its rule. Data are not moved: a run folder says where they are."""
        file = Path(self.rule.partition(":")[0])
        file = file / RULE if file.is_dir() else file
        return [file] if file.is_file() else []

    def moved(self, root: Path, given: Mapping[Path, Path]) -> StudyCell:
        file, colon, name = self.rule.partition(":")
        path = Path(file) / RULE if Path(file) / RULE in given else Path(file)
        rule = f"{given[path]}{colon}{name}" if path in given else self.rule
        return replace(self, rule=rule, root=root, place=root / self.run_folder.folder.name)

    def is_done(self) -> bool:
        return self.run_folder.state == "finished"

    def run(self, tick: Tick) -> None:
        """Raises `OtherTraining` where its rule, data or plugins read otherwise than when the study began."""
        if self._folder_name() != self.run_folder.folder.name:
            raise OtherTraining(f"{self.name}: its rule, data or plugins were changed since the study began")

        def hear(_: Sequence[EpisodeRecord]) -> None:
            tick(1)

        Run(self.run_folder.folder).ensure(self.spec, hear)


def _labels(rules: Sequence[str]) -> dict[str, str]:
    """Each rule's short name, `two` of `rules/two.rule`; all of what was written where others would be called
    the same.

    >>> _labels(["bio", "a/two.rule", "b/two.rule", "b/two.rule:mine"])["a/two.rule"]
    'a/two.rule'
    """
    stems = {rule: Path(rule).stem for rule in rules}
    return {rule: stem if list(stems.values()).count(stem) == 1 else rule for rule, stem in stems.items()}


def shown(value: Any) -> str:
    """A value of a setting as people write it."""
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


class Study:
    """Rules × values of settings, trained side by side.

    >>> import tempfile
    >>> small = dict(sizes="49-10-47", labels=3, shots=4, queries=3, episodes=2)
    >>> study = Study(["bio", "backprop"], vary={"beta": [1.0, 10.0]}, out=tempfile.mkdtemp(), **small)
    >>> len(study.run(progress=False).table())
    4
    """

    def __init__(
        self,
        rules: Sequence[str | Path],
        vary: Mapping[str, Sequence[Any]] | None = None,
        out: str | Path = "runs/study",
        **settings: Any,
    ) -> None:
        """Rules, and keywords of `train` with several values each;
        `settings` are those that all cells share.

        Raises `SettingsError` for a name that is no keyword of `train`.
        """
        self.out, self.vary, self.settings = Path(out), dict(vary or {}), settings
        self.rules = [str(rule) for rule in rules]
        known_names({**self.vary, **settings}, OPTIONS)
        if twice := set(self.vary) & set(settings):
            raise SettingsError(f"`{min(twice)}` is both varied and the same for all cells")
        opened = Opened()
        # Run folders say where data lie in full: the same text wherever their cell was trained.
        shared = tuple((n, in_full(str(v)) if n == "data_root" else v) for n, v in settings.items())
        labels = _labels(self.rules)
        self.cells = [
            StudyCell(
                rule,
                labels[rule],
                tuple(zip(self.vary, values, strict=True)),
                shared,
                self.out,
                opened=opened,
            )
            for rule in self.rules
            for values in itertools.product(*self.vary.values())
        ]

    def run(
        self,
        executor: str = "here",
        progress: bool = True,
        part: tuple[int, int] = (1, 1),
        watch: Watcher | None = None,
        begun: Callable[[], None] = lambda: None,
    ) -> Study:
        """Train every cell that is not trained yet; stopped, the same call goes on.

        Args:
            executor: where, `here`, `processes:4`, `dask:tcp://HOST:8786` …, see docs/cluster.md.
            part: (k, n) for the k-th of n parts of the cells, from 1.
            watch: told how far all cells are, in place of a table that is redrawn, or lines in a log.
            begun: called before the first cell is trained, when nothing is wrong with any of them.

        Raises:
            RunError: a cell could not be trained; the others were.
            KeyboardInterrupt: stopped; everything is kept.
        """
        number, count = part
        plan, place = Plan.of(self.cells[number - 1 :: count]), open_place(executor)
        begun()
        with Board(quiet=not progress or watch is not None) as board:
            failures = plan.run(place, watch or board)
        if failures:
            raise RunError("; ".join(f"{Path(key).name}: {message}" for key, message in failures.items()))
        return self

    def runs(self) -> Iterator[tuple[StudyCell, Run]]:
        """Every cell that is trained, with its run."""
        for cell in self.cells:
            if cell.is_done():
                yield cell, Run(cell.run_folder.folder)

    def table(self) -> list[dict[str, Any]]:
        """A row for each cell that is trained: what it is, accuracy at the end over its seeds, its run.

        A cell whose runs differ in more than their seed, in λ say, has a row for each `group` of them.
        """
        rows = []
        for cell, run in self.runs():
            metrics, own = run.metrics_so_far, {"rule": cell.rule, "label": cell.label, **dict(cell.values)}
            for group, members in recorded_groups(run.config, metrics).items():
                accuracy = Interval.of(run.accuracy_by_seed(members, metrics).values())
                rows.append({**own, "group": group, "accuracy": accuracy, "run": run})
        return rows

    def plot(self, x: str, path: str | Path, y: str = "accuracy", hue: str = "rule") -> list[Path]:
        """A measure at the end against a setting, a curve for each rule or value of `hue`; PNG and PDF.

        Args:
            x: a setting that the study varies.
            path: of the picture.
            y: `accuracy`, or any column of metrics.csv: `meta_loss`, `alpha_1`, `theta[hebb]` …
            hue: `rule`, or another setting that is varied. Cells that differ in neither count together; runs
                of a cell that differ in more than their seed do not.

        Raises `SettingsError` for a setting that is not varied, or a column that nobody recorded.
        """
        known_names([x], self.vary)
        known_names([hue], {"rule": None, **self.vary})
        names, found = [shown(v) for v in self.vary[x]], self._measured(x, y, hue)
        curves = []
        for n, label in enumerate(dict.fromkeys(key[0] for key in found)):
            own = {names.index(at): Interval.of(v) for (one, at), v in found.items() if one == label}
            means, halves = [i.mean for i in own.values()], [i.half for i in own.values()]
            curves.append(Curve(label, list(own), means, halves, Colour("rule", n)))
        of_accuracy = y == "accuracy"
        panel = Panel(
            "", x, "query accuracy (fraction)" if of_accuracy else y, tuple(curves),
            limits=(0.0, 1.0) if of_accuracy else None, kind="points", names=tuple(names),
        )  # fmt: skip
        return draw_panels(Path(path), f"{y.capitalize()} at the end, by {x}", [panel])

    def _measured(self, x: str, y: str, hue: str) -> dict[tuple[str, str], list[float]]:
        """By hue and x: a value for each seed of each cell that is trained."""
        column, found = ACCURACY if y == "accuracy" else y, defaultdict[tuple[str, str], list[float]](list)
        for cell, run in self.runs():
            metrics, values = run.metrics, dict(cell.values)
            columns = next(iter(metrics.runs.values()))
            if column not in columns:
                raise SettingsError(f"no column `{y}` was recorded; there are {', '.join(columns)}")
            label = cell.label if hue == "rule" else f"{hue} {shown(values[hue])}"
            groups = recorded_groups(run.config, metrics)
            for group, members in groups.items():
                own = label if len(groups) == 1 else f"{label}, {group}"
                found[own, shown(values[x])] += run.accuracy_by_seed(members, metrics, column).values()
        return found
