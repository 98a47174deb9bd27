"""What a page shows of a run, read from its folder alone: plain data, ready for a template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any

from ruledsl.figures import Panel
from ruledsl.rules import Rule, term_latex
from ruledsl.runs import Metrics, Run, RunConfig, late_episodes, training_panels
from ruledsl.selection import SELECTION, read_selection
from ruledsl.settings import TABLE
from ruledsl.statistics import Interval
from ruledsl.theory import Explanation, explain_rule


@dataclass(frozen=True)
class Evidence:
    """One run folder, read once. Raises `RunError`, from whatever reads, for one without episodes."""

    run: Run

    @cached_property
    def metrics(self) -> Metrics:
        return self.run.metrics_so_far

    @property
    def config(self) -> RunConfig:
        return self.run.config

    @property
    def rule(self) -> Rule:
        return self.run.rule

    @cached_property
    def selection(self) -> Mapping[str, Any] | None:
        """The document of a selection inside the run, if there is one."""
        folder = self.run.folder / "selection"
        return read_selection(folder) if (folder / SELECTION).exists() else None

    @property
    def title(self) -> str:
        return f"{self.config.rule} on {self.config.dataset}"

    @cached_property
    def groups(self) -> dict[str, list[int]]:
        """Runs by what they differ in beside their seed."""
        return self.run.groups

    @property
    def episodes(self) -> int:
        return self.metrics.episodes

    @property
    def finished(self) -> bool:
        return self.episodes >= self.run.asked

    @property
    def window(self) -> int:
        """Last episodes that stand for the end of the training."""
        return late_episodes(self.episodes)

    def by_seed(self, group: str) -> dict[int, float]:
        """Seed → accuracy at the end."""
        return self.run.accuracy_by_seed(self.groups[group], self.metrics)

    def accuracy(self, group: str) -> Interval:
        return Interval.of(self.by_seed(group).values())

    def theta_by_seed(self, group: str, term: str) -> dict[int, float]:
        """Seed → θ, as learned; in the last episode that was recorded, while the training goes on."""
        seeds = {r.run: r.seed for r in self.config.runs}
        return {seeds[r]: self._theta[r][term] for r in self.groups[group]}

    @cached_property
    def _theta(self) -> dict[int, dict[str, float]]:
        if self.run.state != "finished":
            terms, runs = self.metrics.terms, self.metrics.runs
            return {run: {term: self.metrics.theta(run, term)[-1] for term in terms} for run in runs}
        rows = self.run.result["runs"]
        return {r["run"]: {t: nan if v is None else v for t, v in r["theta"].items()} for r in rows}

    def theta(self, group: str, term: str) -> Interval:
        return Interval.of(self.theta_by_seed(group, term).values())

    @cached_property
    def explanation(self) -> Explanation:
        """Theory beside the training; runs of several groups have no one Θ to be compared with it."""
        group = next(iter(self.groups))
        learned = {t: self.theta(group, t) for t in self.taking_part(group)} if len(self.groups) == 1 else {}
        return explain_rule(self.rule, learned, input_mean=True)

    def taking_part(self, group: str) -> tuple[str, ...]:
        spec = next(s for s in self.config.runs if s.run == self.groups[group][0])
        return tuple(t for t in self.rule.names if spec.takes_part(t))

    def panels(self) -> list[Panel]:
        """The panels of the training, those of every group."""
        return training_panels(self.config, self.metrics, every_group=True)[1]

    def terms(self) -> list[dict[str, Any]]:
        """One row per term: mathematics, note, locality certificate."""
        return [
            {
                "name": item.name,
                "latex": term_latex(item.term.expression),
                "note": item.term.note or "",
                "locality": str(certificate.locality),
                "reads": ", ".join(f"{q} ({' and '.join(sorted(p))})" for q, p in certificate.reads.items()),
                "reasons": certificate.reasons,
            }
            for item, certificate in zip(self.rule.definition.terms, self.rule.certificates, strict=True)
        ]

    def settings(self) -> list[tuple[str, str]]:
        """Every setting that decided the run, as the command line calls them."""
        rows = [("dataset", self.config.dataset)]
        for name, value in self.config.settings.flat().items():
            shown = "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
            if shown:
                rows.append((TABLE[name].option.removeprefix("--") or name, shown))
        rows.append(("seeds", _ranges(sorted({r.seed for r in self.config.runs}))))
        rows.append(("l1", ", ".join(f"{v:g}" for v in sorted({r.l1 for r in self.config.runs}))))
        return rows


def _ranges(numbers: Sequence[int]) -> str:
    whole = list(range(numbers[0], numbers[-1] + 1)) == list(numbers)
    return f"{numbers[0]} to {numbers[-1]}" if whole and len(numbers) > 2 else ", ".join(map(str, numbers))


@dataclass(frozen=True)
class Comparison:
    """A group of runs beside the first one of the page."""

    label: str
    accuracy: Interval
    difference: Interval | None
    paired: bool


def names_of(pages: Sequence[Evidence]) -> list[str]:
    """A name for each run, with its folder where titles are alike."""
    titles = [e.title for e in pages]
    return [e.title if titles.count(e.title) == 1 else f"{e.title} ({e.run.folder.name})" for e in pages]


def compared(pages: Sequence[Evidence]) -> list[Comparison]:
    """Every group of every run, with its difference in accuracy to the first.

    Differences are taken seed by seed where both drew the same tasks, between means (Welch) elsewhere.
    """
    first, reference = pages[0], next(iter(pages[0].groups))
    base = first.by_seed(reference)
    rows: list[Comparison] = []
    for name, page in zip(names_of(pages), pages, strict=True):
        for group in page.groups:
            label = name if len(page.groups) == 1 else f"{name}, {group}"
            scores = page.by_seed(group)
            if not rows:
                rows.append(Comparison(label, page.accuracy(group), None, False))
                continue
            paired = set(scores) == set(base) and _same_tasks(first, page)
            rows.append(Comparison(label, page.accuracy(group), Interval.minus(scores, base, paired), paired))
    return rows


def _same_tasks(one: Evidence, other: Evidence) -> bool:
    a, b = one.config, other.config
    drawn = ("sizes", "labels", "shots", "queries", "episodes", "teacher", "tasks")
    mine, theirs = a.settings.flat(), b.settings.flat()
    same = all(mine[n] == theirs[n] for n in drawn)
    return same and a.dataset == b.dataset and one.episodes == other.episodes


def differing_settings(pages: Sequence[Evidence]) -> list[tuple[str, list[str]]]:
    """Settings that are not the same in all runs."""
    tables = [dict(p.settings()) for p in pages]
    names = list(dict.fromkeys(n for t in tables for n in t))
    rows = [(n, [t.get(n, "–") for t in tables]) for n in names]
    return [(n, values) for n, values in rows if len(set(values)) > 1]
