"""One file of claims from its text to its figure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ruledsl.reproduction.claims import ClaimFile
from ruledsl.reproduction.document import Reproduced
from ruledsl.reproduction.experiments import Workshop
from ruledsl.reproduction.figures import draw_figure
from ruledsl.reproduction.verdicts import Judged, compare, judge


def reproduce(
    workshop: Workshop, file: ClaimFile, figures: Path, said: Callable[[Judged], None] = lambda judged: None
) -> Reproduced:
    """Run what a file needs, judge its claims, compare its alternatives, draw its figure into the folder `figures`.

    Args:
        said: told of each claim as soon as it is judged.

    Raises:
        RunError, DataError, RuleError: an experiment cannot be run; what others found is kept.
        KeyboardInterrupt: stopped; called again, it goes on where it was.
    """
    judged = []
    for claim in file.claims:
        judged.append(judge(workshop, file, claim))
        said(judged[-1])
    compared = tuple(compare(workshop, file, alternative) for alternative in file.alternatives)
    figures.mkdir(parents=True, exist_ok=True)
    drawn = draw_figure(workshop, file, judged, figures / f"{file.name}.png")
    return Reproduced(file, tuple(judged), compared, tuple(drawn))
