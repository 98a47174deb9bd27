"""Whatever can be known to fail before hours are spent:
experiments are planned, claims are measured on blanks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ruledsl.errors import RunError
from ruledsl.meta import measuring_points
from ruledsl.registry import find
from ruledsl.reproduction.claims import ClaimFile, LongStream, Measure, Theory, Training
from ruledsl.reproduction.experiments import known_settings
from ruledsl.reproduction.measures import Window, measured
from ruledsl.reproduction.planning import Planner
from ruledsl.reproduction.results import Result, StreamResult, TheoryResult, TrainingResult
from ruledsl.runs import Metrics, Run
from ruledsl.settings import TrainSettings


def rehearse(planner: Planner, files: Sequence[ClaimFile], download: bool = False) -> None:
    """Raise `RunError`, `RuleError` or `PluginError` for the first thing that cannot work; nothing is run.

    Every data set that files need is opened: one that is missing must be told before hours are spent.
    """
    stems = [file.name for file in files]
    for file in files:
        if stems.count(file.name) > 1:
            raise RunError(
                f"two files of claims are called `{file.name}`; their figures would overwrite each other"
            )
        blanks = {name: _blank(planner, file, name) for name in file.experiments}
        for place, name, measure, window in _asked(file):
            try:
                measured(blanks[name], measure, window, planner.budget.share)
            except RunError as error:
                raise RunError(f"{file.path}: {place}: {error}") from None
    for file in files:
        for name, experiment in file.experiments.items():
            if not isinstance(experiment, Theory):
                planner.source(file, name, download)


def _asked(file: ClaimFile) -> Iterator[tuple[str, str, Measure, Window]]:
    """Every measure of every experiment that judging the file will ask for."""
    for claim in file.claims:
        names = [(claim.of, claim.measure), (claim.against, claim.measure)]
        if claim.if_not is not None:
            other = claim.if_not.measure or claim.measure
            names += [(claim.if_not.of, other), (claim.if_not.against, other)]
        yield from ((f"claim `{claim.name}`", name, m, claim.episodes) for name, m in names if name)
    for a in file.alternatives:
        pairs = [(a.of, m) for m in a.measures] + [(o, m) for o in a.others for m in a.there_measures]
        yield from ((f"alternative `{a.name}`", name, m, a.episodes) for name, m in pairs)


def _blank(planner: Planner, file: ClaimFile, name: str) -> Result:
    """A result of the right form, with nothing in it."""
    settings = known_settings(planner, file, name)
    _known_plugins(settings)
    experiment, depth = file.experiments[name], settings.depth
    match experiment:
        case Training():
            config = planner.training_config(file, experiment)[1]
            if settings.engine == "retied" and settings.network.feedback != "symmetric":
                raise RunError(
                    f"{file.path}: `{name}`: the engine `retied` is about backprop (feedback `symmetric`)"
                )
            blank = {column: [0.0] * settings.episodes for column in config.columns}
            return TrainingResult(
                Run(planner.out), config, Metrics(config.terms, {r.run: blank for r in config.runs})
            )
        case LongStream():
            points = measuring_points(experiment.samples)
            angles = tuple((0.0,) * len(settings.sizes) for _ in points)
            return StreamResult(points, ((0.0,) * len(points),), (angles,), {}, 1)
        case Theory():
            named = [
                f"{what}[{n}]" for what in ("angle_to_B", "angle_to_covariance") for n in range(1, depth + 1)
            ]
            return TheoryResult(
                dict.fromkeys(named if experiment.kind == "error_hebb" else ["gradient_digits"], (0.0,))
            )


def _known_plugins(settings: TrainSettings) -> None:
    """Raise `PluginError` for a name that no plugin has."""
    for kind, name in settings.used_plugins():
        find(kind, name)
