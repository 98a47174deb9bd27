"""From a stable support to the smallest rule that does as well: backward elimination by refitting.

A coefficient that L1 leaves alive need not matter, and one it kills may: the penalty weighs numbers, not
their effect. So each remaining term is knocked out in turn and the rest refitted without penalty (warm,
for few episodes); the least missed goes, until none is left. The nested rules found so are then trained
from scratch, beside the full pool, on the same tasks; and so are the knock-outs of the chosen one.

Every stage is a run folder of its own inside the selection: interrupted selections go on where they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, log
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from ruledsl import runs
from ruledsl.pipeline import Rule
from ruledsl.runs import RunConfig, RunError, mean_and_interval, read_metrics
from ruledsl.selection.outcome import write_selection
from ruledsl.selection.path import PathPoint, sparsity_path, stable_support
from ruledsl.settings import NO_TERMS, EpisodeRecord, RunSpec
from ruledsl.tasks import ImageSource, open_dataset

Measure = Literal["accuracy", "loss"]
Terms = tuple[str, ...]
Listener = Callable[["Stage", Sequence[EpisodeRecord]], None]


@dataclass(frozen=True)
class Plan:
    """What a selection may spend, and what it holds to be as good."""

    seeds: int = 4
    """Seeds of the elimination; the refits take those of the run."""
    episodes: int = 100
    """Episodes of each knock-out in the elimination, from the coefficients found so far."""
    refit_episodes: int = 0
    """Episodes of the refits from scratch; 0 takes the run's."""
    measure: Measure = "accuracy"
    tolerance: float = 0.02
    """A rule is as good when its mean is at most this much worse than the best."""
    largest: int = 6
    """Refit from scratch no rule with more terms than this (the full pool always)."""


@dataclass(frozen=True)
class Stage:
    """One training inside a selection: what it is for, and how many episodes it takes."""

    name: str
    text: str
    episodes: int


@dataclass(frozen=True)
class Fit:
    """A set of terms refitted without penalty: a score per seed (larger is better) and the mean Θ."""

    terms: Terms
    scores: tuple[float, ...]
    accuracy: tuple[float, ...]
    theta: Mapping[str, tuple[float, float]]
    """Mean and 95 % half-width over seeds."""

    @property
    def mean(self) -> float:
        return fmean(self.scores)

    def against(self, other: Fit) -> tuple[float, float]:
        """Mean and half-width of the difference in accuracy to another fit, seed by seed."""
        return mean_and_interval([a - b for a, b in zip(self.accuracy, other.accuracy, strict=True)])


@dataclass
class _Search:
    folder: Path
    out: Path
    plan: Plan
    rule: Rule
    config: RunConfig
    source: ImageSource
    listen: Listener

    def fits(self, stage: Stage, groups: Sequence[Terms], seeds: Sequence[int], warm: Mapping[str, float]) -> list[Fit]:
        """Train groups of terms side by side, one run per seed each; a stage that is finished is only read."""
        warmed = tuple(warm.get(name, 0.0) for name in self.rule.names) if warm else ()
        each = ((terms, seed) for terms in groups for seed in seeds)
        specs = tuple(RunSpec(n, s, 0.0, terms or NO_TERMS, warmed) for n, (terms, s) in enumerate(each))
        settings = replace(self.config.settings, episodes=stage.episodes)
        config = replace(self.config, settings=settings, runs=specs)
        folder = self.out / stage.name
        self._train(folder, config, stage)
        return [self.fit(folder, terms, [s.run for s in specs if s.terms == (terms or NO_TERMS)]) for terms in groups]

    def _train(self, folder: Path, config: RunConfig, stage: Stage) -> None:
        def hear(records: Sequence[EpisodeRecord]) -> None:
            self.listen(stage, records)

        if (folder / "checkpoint.json").exists():
            before = runs.read_config(folder)
            if (before.settings, before.runs) != (config.settings, config.runs):
                raise RunError(f"{self.out} holds a selection with other options; choose another `--out`")
            outcome = runs.resume(folder, hear) if not _finished(folder) else None
        else:
            outcome = runs.start(folder, self.rule, config, self.source, hear)
        if outcome is not None and outcome.interrupted:
            raise KeyboardInterrupt

    def fit(self, folder: Path, terms: Terms, numbers: Sequence[int]) -> Fit:
        """What some runs of a folder found, in order."""
        metrics = read_metrics(folder)
        learned = {r["run"]: r["theta"] for r in runs.read_json(folder / "result.json")["runs"]}
        late = {n: len(metrics.column(n, "episode")) // 2 for n in numbers}
        accuracy = tuple(fmean(metrics.column(n, "meta_accuracy")[late[n] :]) for n in numbers)
        # Capped, since one diverged stream would outweigh all others; a mean, so that differences are those of tasks.
        worst = 2.0 * log(self.config.settings.sizes[-1])
        loss = tuple(-fmean(_capped(metrics.column(n, "meta_loss")[late[n] :], worst)) for n in numbers)
        theta = {t: mean_and_interval([float(learned[n][t] or 0.0) for n in numbers]) for t in terms}
        return Fit(terms, accuracy if self.plan.measure == "accuracy" else loss, accuracy, theta)


def _capped(losses: Sequence[float], worst: float) -> list[float]:
    return [min(loss, worst) if isfinite(loss) else worst for loss in losses]


def _finished(folder: Path) -> bool:
    try:
        return bool(runs.read_json(folder / "result.json")["finished"])
    except RunError:
        return False


def select(folder: Path, out: Path, plan: Plan, listen: Listener) -> dict[str, Any]:
    """Search the smallest rule that does as well as the pool of a finished training; the document written.

    Writes selection.json, the stages' run folders and, unless nothing is worth keeping, selected.rule.

    Raises:
        RunError: the folder is no finished training of one pool, or `out` holds another selection.
        KeyboardInterrupt: stopped by a signal; calling it again goes on.
    """
    path = sparsity_path(folder)
    config = runs.read_config(folder)
    rule = runs.load_recorded(folder, config)
    source = open_dataset(config.dataset, Path(config.data_root))
    search = _Search(folder, out, plan, rule, config, source, listen)
    start, support = stable_support(path)
    seeds = sorted({r.seed for r in config.runs})
    nested, rounds = _eliminate(search, start, support, seeds[: plan.seeds])
    episodes = plan.refit_episodes or config.settings.episodes
    full = _full_pool(search, path, seeds, episodes)
    found = dict.fromkeys([*nested, *(p.support for p in path if p.l1 > 0)])
    found[()] = None  # learning nothing is judged on the same tasks as every rule
    groups = [terms for terms in found if len(terms) <= plan.largest and terms != rule.names]
    stage = Stage("refits", f"{len(groups)} smaller rules, from scratch", episodes)
    smaller = search.fits(stage, groups, seeds, {})
    chosen = _smallest_as_good([full, *smaller], plan.tolerance)
    knocked = _knock_outs(search, chosen, [full, *smaller], seeds, episodes)
    return write_selection(out, folder, rule, config, plan, path, start, rounds, full, smaller, chosen, knocked)


def _full_pool(search: _Search, path: Sequence[PathPoint], seeds: Sequence[int], episodes: int) -> Fit:
    """Every term without penalty: the training itself where it has λ = 0, else trained here."""
    config = search.config
    numbers = [r.run for r in config.runs if r.l1 == 0.0]
    if path[0].l1 == 0.0 and episodes == config.settings.episodes:
        return search.fit(search.folder, search.rule.names, sorted(numbers, key=lambda n: config.runs[n].seed))
    stage = Stage("full", "the full pool without penalty", episodes)
    return search.fits(stage, [search.rule.names], seeds, {})[0]


@dataclass(frozen=True)
class Round:
    """One step of the elimination: each term's score when it is left out, and the term that was dropped."""

    terms: Terms
    score: float
    without: Mapping[str, float]
    dropped: str


def _eliminate(
    search: _Search, start: PathPoint, support: Terms, seeds: Sequence[int]
) -> tuple[list[Terms], list[Round]]:
    """Nested supports, largest first, down to no term at all."""
    nested, rounds, warm = [support], [], dict(start.theta)
    while len(support) > 1:
        without = [tuple(t for t in support if t != name) for name in support]
        stage = Stage(f"round-{len(support)}", f"knock-outs of {len(support)} terms", search.plan.episodes)
        whole, *fits = search.fits(stage, [support, *without], seeds, warm)
        best = max(range(len(fits)), key=lambda n: fits[n].mean)
        scores = {name: fit.mean for name, fit in zip(support, fits, strict=True)}
        rounds.append(Round(support, whole.mean, scores, support[best]))
        support, warm = without[best], {name: mean for name, (mean, _) in fits[best].theta.items()}
        nested.append(support)
    return ([*nested, ()] if support else nested), rounds


def _smallest_as_good(fits: Sequence[Fit], tolerance: float) -> Fit:
    best = max(fit.mean for fit in fits)
    return min((f for f in fits if f.mean >= best - tolerance), key=lambda f: (len(f.terms), -f.mean))


def _knock_outs(
    search: _Search, chosen: Fit, known: Sequence[Fit], seeds: Sequence[int], episodes: int
) -> dict[str, Fit]:
    """The chosen rule without each of its terms, refitted from scratch; what is known is not trained again."""
    without = {name: tuple(t for t in chosen.terms if t != name) for name in chosen.terms}
    found = {fit.terms: fit for fit in known}
    missing = [terms for terms in without.values() if terms not in found]
    if missing:
        stage = Stage("knock-outs", f"the chosen {len(chosen.terms)} terms, each left out", episodes)
        found |= {fit.terms: fit for fit in search.fits(stage, missing, seeds, {})}
    return {name: found[terms] for name, terms in without.items()}
