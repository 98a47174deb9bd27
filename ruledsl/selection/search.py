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
from functools import cached_property
from pathlib import Path
from typing import Any

from ruledsl.errors import OtherTraining, RunError
from ruledsl.meta import naive_networks, worst_loss
from ruledsl.runs import DATA, Crews, Run, Spec, locked
from ruledsl.selection.fits import (
    Fit,
    Recorded,
    Round,
    Stage,
    Support,
    fit_of,
    smallest_as_good,
    train_groups,
)
from ruledsl.selection.outcome import Outcome, write_selection
from ruledsl.selection.path import PathPoint, sparsity_path, stable_support
from ruledsl.selection.plan import Plan
from ruledsl.settings import EpisodeRecord
from ruledsl.storage import make_folder
from ruledsl.tasks import ImageSource

StageListener = Callable[[Stage, Sequence[EpisodeRecord]], None]


@dataclass
class _Search:
    run: Run
    out: Path
    plan: Plan
    source: ImageSource
    listen: StageListener
    crews: Crews | None = None

    @cached_property
    def worst(self) -> float:
        """The loss at which streams are capped: that beyond which the trainer refused them."""
        settings = self.run.config.settings
        return worst_loss(settings, naive_networks(self.run.rule.program, settings, self.source))

    def fits(
        self, stage: Stage, groups: Sequence[Support], seeds: Sequence[int], warm: Mapping[str, float]
    ) -> list[Fit]:
        """Train groups of terms side by side, one run per seed each;
        a stage that is finished is only read."""
        config = self.run.config
        if config.dataset == DATA:  # it lies in the folder of the run, not in those of the stages
            config = replace(config, dataset=str((self.run.folder / DATA).absolute()))
        if self.plan.at_once:
            config = replace(config, settings=config.settings.put(at_once=self.plan.at_once))
        base = Spec(self.run.rule, config, self.source)

        def hear(records: Sequence[EpisodeRecord]) -> None:
            self.listen(stage, records)

        try:
            folder, starts = Run(self.out / stage.name), [warm] * len(groups)
            trained = train_groups(folder, base, groups, starts, seeds, stage.episodes, hear, self.crews)
        except OtherTraining as error:
            other = f"{self.out} holds a selection with other options, or of another training"
            raise RunError(f"{other}: {error}") from None
        recorded = Recorded.of(folder)
        return [self.fit(recorded, terms, own) for terms, (_, own) in zip(groups, trained, strict=True)]

    def fit(self, recorded: Recorded, terms: Support, numbers: Sequence[int]) -> Fit:
        """What some runs of a folder found."""
        return fit_of(recorded, terms, numbers, self.plan.measure, self.worst)


def _unheard(stage: Stage, records: Sequence[EpisodeRecord]) -> None:
    """For selections that nobody watches."""


def select(
    run: Run | str | Path,
    out: str | Path | None = None,
    plan: Plan | None = None,
    listen: StageListener = _unheard,
    crews: Crews | None = None,
) -> dict[str, Any]:
    """Search the smallest rule that does as well as the pool of a finished training; the document written.

    Writes selection.json, the stages' run folders and, unless nothing is worth keeping, selected.rule into
    `out`, by default RUN/selection.

    Args:
        run: a finished training, as an object or its folder.
        out: another folder.
        plan: what is spent, and what counts as good as another.
        listen: told of every stage's episodes.
        crews: who computes the streams of meta-steps, see `ruledsl.studies.crews`; this process by default.

    Raises:
        RunError: the run is no finished training of one pool, or `out` holds another selection.
        KeyboardInterrupt: stopped by a signal; calling it again goes on.

    >>> import ruledsl, tempfile
    >>> small = dict(sizes="49-10-47", labels=3, shots=4, queries=3, episodes=2, progress=False)
    >>> run = ruledsl.train("feedback_alignment", out=tempfile.mkdtemp(), seeds=2, l1=(0, 1), **small)
    >>> sorted(ruledsl.select(run, plan=Plan(seeds=1, episodes=2)))[:2]
    ['chosen', 'dataset']
    """
    run = run if isinstance(run, Run) else Run(Path(run))
    path = sparsity_path(run)
    run.trained_rule()
    plan = plan or Plan()
    search = _Search(run, Path(out) if out else run.folder / "selection", plan, run.source(), listen, crews)
    with locked(make_folder(search.out)):
        return write_selection(search.out, run, plan, _searched(search, path))


def _searched(search: _Search, path: Sequence[PathPoint]) -> Outcome:
    config, plan, names = search.run.config, search.plan, search.run.rule.names
    start, support = stable_support(path)
    seeds = sorted({r.seed for r in config.runs})
    nested, rounds = _eliminate(search, start, support, seeds[: plan.seeds])
    episodes = plan.refit_episodes or search.run.episodes
    full = _full_pool(search, path, seeds, episodes)
    found = dict.fromkeys([*nested, *(p.support for p in path if p.l1 > 0)])
    found[()] = None  # learning nothing is judged on the same tasks as every rule
    groups = [terms for terms in found if len(terms) <= plan.largest and terms != names]
    stage = Stage("refits", f"{len(groups)} smaller rules, from scratch", episodes)
    smaller = search.fits(stage, groups, seeds, {})
    chosen = smallest_as_good([full, *smaller], plan.tolerance)
    knocked = _knock_outs(search, chosen, [full, *smaller], seeds, episodes)
    return Outcome(path, start, rounds, full, smaller, chosen, knocked)


def _full_pool(search: _Search, path: Sequence[PathPoint], seeds: Sequence[int], episodes: int) -> Fit:
    """Every term without penalty: the training itself where it has λ = 0, else trained here."""
    config, names = search.run.config, search.run.rule.names
    numbers = [r.run for r in config.runs if r.l1 == 0.0]
    if path[0].l1 == 0.0 and episodes == search.run.episodes:
        numbers.sort(key=lambda n: config.runs[n].seed)
        return search.fit(Recorded.of(search.run), names, numbers)
    stage = Stage("full", "the full pool without penalty", episodes)
    return search.fits(stage, [names], seeds, {})[0]


def _eliminate(
    search: _Search, start: PathPoint, support: Support, seeds: Sequence[int]
) -> tuple[list[Support], list[Round]]:
    """Nested supports, largest first, down to no term at all."""
    nested, rounds, warm = [support], [], dict(start.theta)
    while len(support) > 1:
        without = [tuple(t for t in support if t != name) for name in support]
        stage = Stage(f"round-{len(support)}", f"knock-outs of {len(support)} terms", search.plan.episodes)
        whole, *fits = search.fits(stage, [support, *without], seeds, warm)
        best = max(range(len(fits)), key=lambda n: fits[n].mean)
        scores = {name: fit.mean for name, fit in zip(support, fits, strict=True)}
        rounds.append(Round(support, whole.mean, scores, support[best]))
        support, warm = without[best], {name: value.mean for name, value in fits[best].theta.items()}
        nested.append(support)
    return ([*nested, ()] if support else nested), rounds


def _knock_outs(
    search: _Search, chosen: Fit, known: Sequence[Fit], seeds: Sequence[int], episodes: int
) -> dict[str, Fit]:
    """The chosen rule without each of its terms, refitted from scratch;
    what is known is not trained again."""
    without = {name: tuple(t for t in chosen.terms if t != name) for name in chosen.terms}
    found = {fit.terms: fit for fit in known}
    missing = [terms for terms in without.values() if terms not in found]
    if missing:
        stage = Stage("knock-outs", f"the chosen {len(chosen.terms)} terms, each left out", episodes)
        found |= {fit.terms: fit for fit in search.fits(stage, missing, seeds, {})}
    return {name: found[terms] for name, terms in without.items()}
