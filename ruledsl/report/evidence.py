"""What a page shows of a run, read from its folder alone: plain data, ready for a template."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ruledsl.ir.kinds import Locality
from ruledsl.latex import term_latex
from ruledsl.pipeline import Rule, load
from ruledsl.runs import Metrics, RunConfig, RunError, mean_and_interval, read_config, read_metrics
from ruledsl.runs.folder import recorded_versions
from ruledsl.runs.statistics import difference
from ruledsl.runs.summary import AVERAGED_EPISODES, grouped

Interval = tuple[float, float]


@dataclass(frozen=True)
class Evidence:
    """One run folder."""

    folder: Path
    config: RunConfig
    metrics: Metrics
    rule: Rule
    selection: dict[str, Any] | None

    @classmethod
    def of(cls, folder: Path) -> Evidence:
        """Read a run folder; raises `RunError` for one without episodes."""
        config, metrics = read_config(folder), read_metrics(folder, complete_lines=True)
        path = folder / "rule.rule"
        if not path.exists():
            raise RunError(f"{path} is missing: without it nobody can say what was trained")
        chosen = folder / "selection" / "selection.json"
        selection = json.loads(chosen.read_text(encoding="utf-8")) if chosen.exists() else None
        return cls(folder, config, metrics, load(path, allow=Locality.layer), selection)

    @property
    def title(self) -> str:
        return f"{self.config.rule} on {self.config.dataset}"

    @cached_property
    def groups(self) -> dict[str, list[int]]:
        """Runs by what they differ in beside their seed."""
        found = {
            label: [r.run for r in rs if r.run in self.metrics.runs] for label, rs in grouped(self.config.runs).items()
        }
        return {label: runs for label, runs in found.items() if runs}

    @property
    def episodes(self) -> int:
        return min(len(c["episode"]) for c in self.metrics.runs.values())

    @property
    def finished(self) -> bool:
        return self.episodes >= self.config.settings.episodes

    @property
    def refused(self) -> int:
        return int(sum(sum(c["diverged"]) for c in self.metrics.runs.values()))

    def late_accuracy(self, runs: Sequence[int]) -> dict[int, float]:
        """Seed → mean accuracy of the last episodes."""
        return {
            int(self.metrics.column(r, "seed")[0]): mean_and_interval(
                self.metrics.column(r, "meta_accuracy")[-AVERAGED_EPISODES:]
            )[0]
            for r in runs
        }

    def accuracy(self, group: str) -> Interval:
        return mean_and_interval(list(self.late_accuracy(self.groups[group]).values()))

    def theta(self, group: str, term: str) -> Interval:
        """θ before the last episode, over seeds."""
        return mean_and_interval([self.metrics.column(r, f"theta[{term}]")[-1] for r in self.groups[group]])

    def taking_part(self, group: str) -> tuple[str, ...]:
        spec = next(s for s in self.config.runs if s.run == self.groups[group][0])
        return tuple(t for t in self.rule.names if not spec.terms or t in spec.terms)

    def terms(self) -> list[dict[str, Any]]:
        """One row per term: mathematics, note, locality certificate."""
        rows = []
        for item, certificate in zip(self.rule.definition.terms, self.rule.certificates, strict=True):
            rows.append(
                {
                    "name": item.name,
                    "latex": term_latex(item.term.expression),
                    "note": item.term.note or "",
                    "locality": str(certificate.locality),
                    "reads": ", ".join(f"{q} ({' and '.join(sorted(p))})" for q, p in certificate.reads.items()),
                    "reasons": certificate.reasons,
                }
            )
        return rows

    def settings(self) -> list[tuple[str, str]]:
        """Every setting that decided the run."""
        rows = [("data set", self.config.dataset)]
        for name, value in asdict(self.config.settings).items():
            shown = "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            if shown:
                rows.append((name.replace("_", " "), shown))
        rows.append(("seeds", _ranges(sorted({r.seed for r in self.config.runs}))))
        rows.append(("λ", ", ".join(f"{v:g}" for v in sorted({r.l1 for r in self.config.runs}))))
        return rows

    def versions(self) -> dict[str, str]:
        return recorded_versions(self.folder)


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


def compared(pages: Sequence[Evidence]) -> list[Comparison]:
    """Every group of every run, with its difference in accuracy to the first.

    Differences are taken seed by seed where both drew the same tasks, between means (Welch) elsewhere.
    """
    names = [e.title if len({p.title for p in pages}) == len(pages) else f"{e.title} ({e.folder.name})" for e in pages]
    first, reference = pages[0], next(iter(pages[0].groups))
    base = first.late_accuracy(first.groups[reference])
    rows: list[Comparison] = []
    for name, page in zip(names, pages, strict=True):
        for group, members in page.groups.items():
            label = name if len(page.groups) == 1 else f"{name}, {group}"
            scores = page.late_accuracy(members)
            if not rows:
                rows.append(Comparison(label, page.accuracy(group), None, False))
                continue
            paired = set(scores) == set(base) and _same_tasks(first, page)
            rows.append(Comparison(label, page.accuracy(group), difference(scores, base, paired), paired))
    return rows


def _same_tasks(one: Evidence, other: Evidence) -> bool:
    a, b = one.config, other.config
    drawn = ("sizes", "labels", "shots", "queries", "episodes", "teacher")
    same = all(getattr(a.settings, n) == getattr(b.settings, n) for n in drawn)
    return same and a.dataset == b.dataset and one.episodes == other.episodes


def differing_settings(pages: Sequence[Evidence]) -> list[tuple[str, list[str]]]:
    """Settings that are not the same in all runs."""
    tables = [dict(p.settings()) for p in pages]
    names = list(dict.fromkeys(n for t in tables for n in t))
    rows = [(n, [t.get(n, "–") for t in tables]) for n in names]
    return [(n, values) for n, values in rows if len(set(values)) > 1]


def finite(value: float) -> float | None:
    """For JSON: what is not finite is a gap."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
