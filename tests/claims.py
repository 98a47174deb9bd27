"""Experiments of claims at toy size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from ruledsl.engines import forget_kernels
from ruledsl.network import programs_for
from ruledsl.plugin import Pathway
from ruledsl.progress import Standing
from ruledsl.registry import replaced
from ruledsl.reproduction import (
    Budget,
    ClaimFile,
    Planner,
    Theory,
    TrainingResult,
    judge,
    locate_claims,
    read_claims,
    run_experiments,
)

NETWORK = {
    "sizes": (100, 16, 12, 47), "labels": 3, "shots": 4, "queries": 6, "episodes": 60, "threads": 1,
    "learning_rate": 3e-3,
}  # fmt: skip


class Heard:
    """What a run of many experiments told."""

    def __init__(self) -> None:
        self.last = (0, 0)
        self.failures: list[str] = []

    def __call__(self, standing: Standing) -> None:
        self.last = (standing.episodes, standing.of)

    def finished(self, name: str, score: float | None) -> None:
        """Of no concern."""

    def said(self, text: str) -> None:
        """Of no concern."""

    def failed(self, name: str, message: str) -> None:
        self.failures.append(f"{name}: {message}")


def toy_planner(out: Path) -> Planner:
    return Planner(out, Budget(3, 0.1, dataset="glyphs", overrides=NETWORK))


def shipped_file(name: str) -> ClaimFile:
    return read_claims(locate_claims(name))


def part_of(file: ClaimFile, *names: str) -> ClaimFile:
    """A file with some experiments of another, and what they lean on."""
    wanted = {*names, *(file.leans_on(name) for name in names)}
    return replace(file, experiments={n: e for n, e in file.experiments.items() if n in wanted})


def done(planner: Planner, file: ClaimFile, *names: str, heard: Heard | None = None) -> None:
    """Run some experiments of a file, one after another."""
    failures = run_experiments(planner, [part_of(file, *names)], "here", heard or Heard())
    assert not failures, failures


def trained(planner: Planner, file: ClaimFile, name: str) -> TrainingResult:
    """A training of a file, run if it was not."""
    done(planner, file, name)
    return planner.trained(file, name)


def verdicts(planner: Planner, name: str, *claims: str) -> dict[str, str]:
    """Some claims of a shipped file, at toy size: theory with a tenth of its samples."""
    file = shipped_file(name)
    shorter = {
        n: replace(e, samples=min(e.samples, 2000))
        for n, e in file.experiments.items()
        if isinstance(e, Theory)
    }
    file = replace(file, experiments={**file.experiments, **shorter})
    asked = [c for c in file.claims if c.name in claims]
    needed = {n for c in asked for n in (c.of, c.against, c.if_not.of if c.if_not else "") if n}
    done(planner, file, *needed)
    results = {n: planner.result(file, n) for n in needed}
    return {c.name: judge(results, c, planner.budget.share).verdict for c in asked}


@contextmanager
def planted(name: str, pathway: Callable[[Pathway], None]) -> Iterator[None]:
    """A faulty feedback pathway in the place of a shipped one."""

    def forget() -> None:
        programs_for.cache_clear()
        forget_kernels()

    with ExitStack() as stack:
        stack.callback(forget)
        stack.enter_context(replaced("feedback", name, pathway))
        forget()
        yield
