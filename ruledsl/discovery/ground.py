"""Where the rules of a search are trained: on the same tasks, those in one batch that can share it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ruledsl.discovery.budget import Search
from ruledsl.discovery.described import Ways, ways_text
from ruledsl.discovery.shelf import Shelf
from ruledsl.meta import naive_networks, worst_loss
from ruledsl.rules import Rule
from ruledsl.runs import Crews, Run, Spec
from ruledsl.selection import Fit, Recorded, Stage, StageListener, Support, fit_of, train_groups
from ruledsl.studies import Opened, specify

Key = tuple[Support, Ways]
"""What makes a rule another one than the next: not where Θ starts."""


@dataclass(frozen=True)
class Contender:
    """A rule about to be trained."""

    terms: Support
    theta: Mapping[str, float]
    ways: Ways = ()
    why: str = ""

    @property
    def key(self) -> Key:
        return self.terms, self.ways


@dataclass(frozen=True)
class Trained:
    """A contender's runs in a run folder."""

    contender: Contender
    run: Run
    numbers: tuple[int, ...]
    """Its runs, one per seed, in order."""


@dataclass
class Ground:
    """A search's folder, settings and data."""

    out: Path
    shelf: Shelf
    given: Mapping[str, Any]
    """Keywords of `train`, data set among them."""
    measure: str
    listen: StageListener
    crews: Crews | None = None
    together: int = Search.together
    """See `Search`."""
    opened: Opened = field(default_factory=Opened)

    def spec(self, terms: Sequence[str], ways: Ways = ()) -> Spec:
        """A training of these terms; a planted Θ* comes with its terms, though no rule need have them."""
        planted = self.given.get("plant") or {}
        rule = self.shelf.rule([*terms, *planted])
        return specify(rule, opened=self.opened, **{**self.given, **dict(ways)})

    def refuse_unfit(self, rule: Rule, ways: Mapping[str, str]) -> None:
        """Raise `UserError` for a rule that cannot be trained in these networks: for layers that they lack,
        or with a pathway that does not exist or does not go with it."""
        given = {name: value for name, value in self.given.items() if name != "plant"}
        specify(rule, opened=self.opened, **{**given, **ways})

    @cached_property
    def worst(self) -> float:
        """The loss at which streams are capped, see `worst_loss`."""
        base = self.spec(self.shelf.library.names)
        settings = base.config.settings
        return worst_loss(settings, naive_networks(base.rule.program, settings, base.source))

    def train(
        self, stage: Stage, contenders: Sequence[Contender], seeds: Sequence[int], own: bool = False
    ) -> list[Trained]:
        """Contenders on the same tasks, each from its Θ, in one run folder for each party.

        `own`: by a program of their terms only, which pays for long trainings.
        """
        found: dict[int, Trained] = {}
        for n, party in enumerate(self._parties(contenders, len(seeds))):
            chosen = [contenders[k] for k in party]
            spec = self.spec(self._program(chosen, own), chosen[0].ways)
            name = f"{stage.name}-{_suffix(chosen[0].ways, n)}" if n else stage.name
            text = f"{len(party)} of them, {self._reason(chosen)}" if n else stage.text
            part = replace(stage, name=name, text=text)
            trained = train_groups(
                Run(self.out / name), spec, [c.terms for c in chosen], [c.theta for c in chosen], seeds,
                stage.episodes, lambda records, part=part: self.listen(part, records), self.crews,
            )  # fmt: skip
            for k, (run, numbers) in zip(party, trained, strict=True):
                found[k] = Trained(contenders[k], run, tuple(numbers))
        return [found[k] for k in range(len(contenders))]

    def fits(self, stage: Stage, contenders: Sequence[Contender], seeds: Sequence[int]) -> list[Fit]:
        """What each contender scored in the second half of its episodes."""
        trained = self.train(stage, contenders, seeds)
        read = {t.run.folder: t.run for t in trained}
        recorded = {folder: Recorded.of(run) for folder, run in read.items()}
        return [
            fit_of(recorded[t.run.folder], t.contender.terms, t.numbers, self.measure, self.worst)
            for t in trained
        ]

    def _parties(self, contenders: Sequence[Contender], seeds: int) -> list[list[int]]:
        """Those that can be trained in one batch: with the same ways, and apart from those whose weights
        cannot be rebuilt, with whom everybody's would have to be kept; and no more than there is
        memory for."""
        found: dict[tuple[Ways, bool], list[int]] = {}
        for n, contender in enumerate(contenders):
            found.setdefault((contender.ways, self.shelf.is_entrywise(contender.terms)), []).append(n)
        tasks = self.spec(self.shelf.library.names).config.settings.meta_batch
        most = max(1, self.together // (seeds * tasks))
        return [party[k : k + most] for party in found.values() for k in range(0, len(party), most)]

    def _reason(self, contenders: Sequence[Contender]) -> str:
        """Why contenders are not in the first party."""
        one = contenders[0]
        if one.ways:
            return f"with {ways_text(one.ways)}"
        return "in a batch of their own" if self.shelf.is_entrywise(one.terms) else "the next ones"

    def _program(self, contenders: Sequence[Contender], own: bool) -> Support:
        """The terms of a party's program: the library's, which is compiled once for all; where terms are
        among them that are not in it, those of its contenders only. So too with a pathway that may not read
        what terms of the library move."""
        terms = tuple(dict.fromkeys(name for c in contenders for name in c.terms))
        library = self.shelf.library
        moved = {item.term.target for item in library.definition.terms}
        if own or not set(terms) <= set(library.names) or (contenders[0].ways and moved != {"W"}):
            return terms
        return library.names


def _suffix(ways: Ways, number: int) -> str:
    words = "-".join(f"{name}-{value}" for name, value in ways) or "part"
    return re.sub(r"[^A-Za-z0-9-]+", "_", f"{words}-{number}")
