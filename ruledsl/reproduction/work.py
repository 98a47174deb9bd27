"""One file of claims from what its experiments left to its verdicts and its figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ruledsl.reproduction.claims import ClaimFile
from ruledsl.reproduction.document import Record, Reproduced
from ruledsl.reproduction.experiments import experiments
from ruledsl.reproduction.figures import draw_figure
from ruledsl.reproduction.planning import Planner
from ruledsl.reproduction.verdicts import Judged, compare, judge
from ruledsl.storage import make_folder
from ruledsl.studies import Plan, Watcher, open_place


def run_experiments(
    planner: Planner, files: Sequence[ClaimFile], executor: str, watch: Watcher
) -> dict[str, str]:
    """Run all that files need, where `executor` says; what went wrong, by the name of the experiment.

    Raises:
        KeyboardInterrupt: stopped; the same call goes on.
        RunError: there are no workers.
    """
    cells = experiments(planner, files)
    failures = Plan.of(cells).run(open_place(executor), watch)
    return {cell.name: failures[cell.key] for cell in cells if cell.key in failures}


def reproduce(
    planner: Planner, file: ClaimFile, figures: Path, said: Callable[[Judged], None] = lambda judged: None
) -> Reproduced:
    """Judge a file's claims, compare its alternatives, draw its figure into the folder `figures`.

    Args:
        said: told of each claim as soon as it is judged.

    Raises:
        RunError: an experiment was not run (see `run_experiments`).
    """
    results, share = planner.results(file), planner.budget.share
    judged = []
    for claim in file.claims:
        judged.append(judge(results, claim, share))
        said(judged[-1])
    compared = tuple(compare(results, alternative, share) for alternative in file.alternatives)
    drawn = draw_figure(results, file, judged, share, make_folder(figures) / f"{file.name}.png")
    return Reproduced(file, tuple(judged), compared, tuple(drawn))


def record_of(planner: Planner, files: Sequence[ClaimFile]) -> Record:
    """Where the results of files that were reproduced lie."""
    return Record(planner, {f.path: tuple(planner.place(f, name) for name in f.experiments) for f in files})
