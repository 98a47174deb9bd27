"""How much a search may spend, and how wide it looks: rows of the same kind of table as a training's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ruledsl.settings import NETWORK, OPTIONS, TASK, Setting, checks, field, rows_of

GROUP = "Search"


@dataclass(frozen=True)
class Search:
    """Rounds of growth: screen absent terms, race the promising ones, keep a beam; then refit the front.

    >>> Search(rounds=2).beam
    3
    """

    rounds: int = field(
        0, checks.whole, "Rounds of growth: each makes other rules of the best ones.", group=GROUP,
        shown_default="4, or as many as the budget has time for",
    )  # fmt: skip
    proposers: tuple[str, ...] = field(
        ("enumeration", "pairs", "merging", "layers", "slowing", "mutation"), checks.words,
        "Who says what to try next: proposer plugins (`list plugins`).", group=GROUP, kind="proposer",
    )  # fmt: skip
    beam: int = field(3, checks.count, "Rules that are grown further in each round.", group=GROUP)
    pairs: int = field(
        300, checks.whole, "Pairs of absent terms that are added to the best rule in each round, the most "
        "promising ones: some terms help only together.", group=GROUP,
    )  # fmt: skip
    mutants: int = field(
        6, checks.whole, "Of each rule: terms changed at random into others, beyond the library.", group=GROUP
    )
    other_feedback: tuple[str, ...] = field(
        (), checks.words, "Pathways that rules are also tried with, by the proposer `pathways`.",
        group=GROUP, kind="feedback",
    )  # fmt: skip
    other_activation: tuple[str, ...] = field(
        (), checks.words, "Activations that rules are also tried with, by the proposer `pathways`.",
        group=GROUP, kind="activation",
    )  # fmt: skip
    measure: Literal["accuracy", "loss"] = field(
        "accuracy", checks.choice("accuracy", "loss"), "What rules are raced and chosen by.", group=GROUP
    )
    starters: int = field(
        160, checks.count, "Candidates of the first heat; where there are more, one heat before it says "
        "which.", group=GROUP,
    )  # fmt: skip
    qualifying: int = field(12, checks.several, "Episodes of that heat, with one seed.", group=GROUP)
    tries: int = field(16, checks.several, "Episodes of the first heat, for every candidate.", group=GROUP)
    kept: int = field(24, checks.count, "Candidates of the first heat that go on to the second.", group=GROUP)
    heats: int = field(60, checks.several, "Episodes of the second heat.", group=GROUP)
    exchanges: int = field(
        1, checks.whole, "Times that larger finalists than the start are tried with every other term of the "
        "library in the place of one of theirs, while that finds better ones.", group=GROUP,
    )  # fmt: skip
    start_episodes: int = field(
        100, checks.several, "Episodes of the rule that the search starts from.", group=GROUP
    )
    refit_episodes: int = field(
        150, checks.several, "Episodes of each rule of the front at the end.", group=GROUP
    )
    search_seeds: int = field(
        2, checks.count, "Seeds of the first heat; the second has twice as many.", group=GROUP
    )
    refit_seeds: int = field(6, checks.count, "Seeds of the refits and of all that is reported.", group=GROUP)
    judged_tasks: int = field(
        20, checks.count, "Tasks per seed that a rule is judged by, never trained on.", group=GROUP
    )
    finalists: int = field(
        6, checks.several, "Complexities of which the best rule is refitted, the start among them; with it "
        "the second, where the race does not tell the two apart.", group=GROUP,
    )  # fmt: skip
    together: int = field(
        128, checks.count, "Streams that are trained in one batch: each takes 20 MB in the paper's network.",
        group=GROUP,
    )  # fmt: skip
    seed: int = field(
        0, checks.whole_up_to(0, 1000), "Another one sees other tasks and networks.", group=GROUP
    )
    split: int = field(
        0,
        checks.whole_up_to(0, 1000),
        "Another one searches, chooses and tests on other classes.",
        group=GROUP,
    )

    def behind(self, rounds: int) -> int:
        """Episodes behind a rule that grew in every round, and came by every exchange: what it is beside is
        trained for as many."""
        growth, exchanges = rounds * (self.tries + self.heats), self.exchanges * self.qualifying
        return self.start_episodes + growth + exchanges + self.heats + self.refit_episodes


SEARCH: dict[str, Setting] = {s.name: s for s in rows_of(Search)}
"""Every field of a search, by name."""
TRAINED = {
    name: setting
    for name, setting in OPTIONS.items()
    if setting.group in (TASK, NETWORK)
    or name in ("learning_rate", "meta_batch", "recipe", "backend", "device", "threads", "on_lost", "at_once")
}
"""Settings that every training of a search shares: those that say neither what is searched nor how long."""
