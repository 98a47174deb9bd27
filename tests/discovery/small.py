"""A search at toy size, and ways to stop it."""

from __future__ import annotations

from collections.abc import Sequence

from ruledsl.discovery import Question, Search
from ruledsl.enumeration import Alphabet
from ruledsl.selection import Stage, StageListener
from ruledsl.settings import EpisodeRecord

SMALL = Search(
    rounds=2, beam=2, kept=5, tries=2, heats=2, start_episodes=2, refit_episodes=2, refit_seeds=2,
    judged_tasks=2, search_seeds=1, mutants=2, measure="loss", seed=3,
)  # fmt: skip
TOY = {"sizes": (49, 12, 47), "shots": 4, "queries": 4, "labels": 3, "threads": 1, "backend": "eager"}
ALPHABET = Alphabet(("y_post", "y_pre", "e_post", "e_pre"))
QUESTIONED = Question(size=3, alphabet=ALPHABET, search=SMALL, settings=TOY)


class Stop(Exception):
    pass


def stop_at(stage: str) -> StageListener:
    """Stops a search in the second episode of a stage."""

    def listen(at: Stage, records: Sequence[EpisodeRecord]) -> None:
        if at.name == stage and records[0].episode == 1:
            raise Stop

    return listen
