"""What a reproduction leaves to read: README.md with a table for each file of claims, claims.json,
figures."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from ruledsl import __version__
from ruledsl.reproduction.claims import ClaimFile
from ruledsl.reproduction.experiments import seconds_file
from ruledsl.reproduction.locating import shipped
from ruledsl.reproduction.planning import Budget, Planner
from ruledsl.reproduction.verdicts import Compared, Judged
from ruledsl.runs import Run
from ruledsl.statistics import Interval
from ruledsl.storage import read_json, taking_turns, write_json, write_text

SIGNS = {"agrees": "agrees", "disagrees": "**disagrees**", "open": "open"}


@dataclass(frozen=True)
class Record:
    """How a reproduction was run: what was spent, where its experiments are."""

    planner: Planner
    places: Mapping[Path, tuple[Path, ...]]
    """The results of each file's experiments, by the file's path."""

    @property
    def seconds(self) -> list[float]:
        """What every experiment took, also in earlier calls."""
        distinct = dict.fromkeys(place for places in self.places.values() for place in places)
        paths = [seconds_file(self.planner.out, place) for place in distinct]
        return [float(read_json(path)) for path in paths if path.exists()]

    @property
    def differences(self) -> set[str]:
        """Versions that runs were made with, where they are not those of now."""
        runs = [Run(place) for places in self.places.values() for place in places]
        return {change for run in runs if run.exists for change in run.other_versions}


@dataclass(frozen=True)
class Reproduced:
    """One file of claims, judged: its figure and what lay behind it."""

    file: ClaimFile
    judged: tuple[Judged, ...]
    compared: tuple[Compared, ...]
    figures: tuple[Path, ...]


def write_documents(out: Path, found: Sequence[Reproduced], record: Record, command: str) -> list[Path]:
    """Write README.md and claims.json of claims into `out`, and a page for each file that only compares.

    Some of the shipped files get pages named after them, so that they do not replace those of all. Figures
    stand there already.
    """
    with taking_turns(out):
        return _write_all(out, found, record, command)


def _write_all(out: Path, found: Sequence[Reproduced], record: Record, command: str) -> list[Path]:
    with_claims = [r for r in found if r.judged]
    names = [r.file.name for r in with_claims]
    page, data = ("README", "claims") if set(names) >= set(shipped()) else ("-".join(names),) * 2
    written = []
    if with_claims:
        head = [*_verdict_head(with_claims), *_how(record, command)]
        written.append(_write(out / f"{page}.md", head, with_claims, record))
        write_json(out / f"{data}.json", [_row(r, j) for r in with_claims for j in r.judged])
    for reproduced in found:
        if not reproduced.judged:
            written.append(
                _write(out / f"{reproduced.file.name}.md", _how(record, command), [reproduced], record)
            )
    return written


def _write(path: Path, head: Sequence[str], found: Sequence[Reproduced], record: Record) -> Path:
    lines = [*head, *(line for r in found for line in _section(r, record))]
    write_text(path, "\n".join(lines).rstrip() + "\n")
    return path


def _verdict_head(found: Sequence[Reproduced]) -> list[str]:
    counts = Counter(j.verdict for r in found for j in r.judged)
    return [
        "# The claims, run",
        "",
        f"{sum(counts.values())} claims: **{counts['agrees']} agree, {counts['disagrees']} disagree, "
        f"{counts['open']} are open.** A claim accepts a range of",
        "numbers, written in its file. It *agrees* when the whole 95 % interval of ours",
        "(Student's t over seeds) lies in that range, *disagrees* when all of it lies outside, and is *open* "
        "when",
        "it reaches across the border. Printed numbers have no intervals of their own.",
        "",
    ]


def _how(record: Record, command: str) -> list[str]:
    seconds = record.seconds
    others = ", ".join(sorted(record.differences))
    return [
        f"{_settings(record.planner.budget)} {len(seconds)} experiments, which took {sum(seconds) / 60:.0f} "
        f"minutes by "
        "themselves, added up.",
        "",
        f"Command: `{command}`  ",
        f"{date.today().isoformat()}; ruledsl {__version__}; {machine()}.",
        *([f"Some runs were made with other versions: {others}.", ""] if others else [""]),
    ]


def machine() -> str:
    """Versions and hardware, in words."""
    cores = len(os.sched_getaffinity(0))
    return f"torch {metadata.version('torch')}; {platform.machine()}, {cores} cores, {platform.system()}"


def _settings(budget: Budget) -> str:
    parts = [
        f"Seeds 0 … {budget.seeds - 1}, recipe `{budget.recipe or 'paper'}` unless a claim says otherwise."
    ]
    if budget.share != 1.0:
        parts.append(f"**Quick**: {budget.share:g} of the paper's episodes; windows shrink alike.")
    if budget.dataset:
        parts.append(f"Every experiment on `{budget.dataset}`.")
    return " ".join(parts)


def _section(reproduced: Reproduced, record: Record) -> list[str]:
    file = reproduced.file
    lines = [f"## {file.title}", "", *file.text.strip().splitlines(), ""]
    lines += [f"![{file.title}]({path.name})\n" for path in reproduced.figures if path.suffix == ".png"]
    if reproduced.judged:
        lines += ["| claim | printed | accepted | ours (95 %) | |", "|---|---|---|---|---|"]
        lines += [
            f"| {_cell(j.claim.says)} | {_cell(j.claim.printed)} | {j.claim.accepted} | {j.ours} "
            f"| {SIGNS[j.verdict]} |"
            for j in reproduced.judged
        ]
        lines += ["", *_explanations(file, reproduced.judged)]
    if reproduced.compared:
        lines += _effects(file, reproduced.compared)
    names = sorted(place.name for place in record.places.get(file.path, ()) if Run(place).exists)
    lines += [f"Runs: {', '.join(f'`{n}`' for n in names)}", ""] if names else []
    return lines


def _cell(text: str) -> str:
    """Text that stays in its cell of a table."""
    return " ".join(text.replace("|", "\\|").split())


def _explanations(file: ClaimFile, judged: Sequence[Judged]) -> list[str]:
    lines = []
    for j in judged:
        if j.verdict != "agrees" and j.claim.if_not is not None:
            support = ""
            if j.support is not None:
                says = {
                    "agrees": "there the claim holds",
                    "disagrees": "there it fails too",
                    "open": "there it stays open",
                }
                support = (
                    f" In `{file.label(j.claim.if_not.of)}`: {j.support}; {says[j.supported or 'open']}."
                )
            held = "most likely because" if j.supported == "agrees" else "suspected, but not shown:"
            lines.append(f"- *{j.claim.says}*: {held} {j.claim.if_not.reason}.{support}")
    return [*lines, ""] if lines else []


def _effects(file: ClaimFile, compared: Sequence[Compared]) -> list[str]:
    lines = ["| choice | here → there | measure | here | there | difference |", "|---|---|---|---|---|---|"]
    for c in compared:
        before = ""
        for n, effect in enumerate(c.effects):
            there = file.label(effect.other) if len(c.alternative.others) > 1 else c.alternative.there
            what = "" if effect.other == before else f"{c.alternative.here} → {there}"
            before = effect.other
            cells = (c.alternative.name if n == 0 else "", what, str(effect.measure))
            numbers = (str(effect.here), str(effect.there), signed(effect.difference))
            lines.append("| " + " | ".join((*map(_cell, cells), *numbers)) + " |")
    return [*lines, ""]


def signed(difference: Interval) -> str:
    """A difference with its sign."""
    text = str(difference)
    return text if text.startswith(("-", "n")) else f"+{text}"


def _row(reproduced: Reproduced, judged: Judged) -> dict[str, Any]:
    claim = judged.claim
    return {
        "file": reproduced.file.name,
        "claim": claim.name,
        "says": claim.says,
        "printed": claim.printed,
        "accepted": [claim.low, claim.high],
        **judged.ours.json(),
        "by_seed": list(judged.by_seed),
        "verdict": judged.verdict,
    }
