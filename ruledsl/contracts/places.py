"""The contract of executors: cells are run somewhere, their failures come back, and all of it is closed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ruledsl.contracts.toy import hold
from ruledsl.progress import Standing
from ruledsl.registry import Registered
from ruledsl.studies import Plan, Tick


@dataclass(frozen=True)
class Written:
    """A cell that writes a file, or fails."""

    path: Path
    fails: bool = False
    needs: tuple[str, ...] = ()
    episodes = 1
    score = None

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def key(self) -> str:
        return str(self.path)

    @property
    def root(self) -> Path:
        return self.path.parent

    def reads(self) -> list[Path]:
        return [self.root]

    def given(self) -> list[Path]:
        return []

    def moved(self, root: Path, given: Mapping[Path, Path]) -> Written:
        return replace(self, path=root / self.path.name)

    def is_done(self) -> bool:
        return self.path.exists()

    def run(self, tick: Tick) -> None:
        if self.fails:
            raise ValueError("as it should")
        tick(1)
        self.path.write_text("done", encoding="utf-8")


class _Counted:
    def __init__(self) -> None:
        self.done = 0
        self.told: list[str] = []

    def __call__(self, standing: Standing) -> None:
        self.done = standing.episodes

    def finished(self, name: str, score: float | None) -> None:
        """Files tell by themselves."""

    def said(self, text: str) -> None:
        """Of no concern."""

    def failed(self, name: str, message: str) -> None:
        self.told.append(name)


def runs_cells(plugin: Registered) -> None:
    """Those that need others come after them; one that fails is told of, and costs only what needs it."""
    with tempfile.TemporaryDirectory() as folder:
        first, bad, second, never = (Path(folder) / name for name in ("first", "bad", "second", "never"))
        cells = [
            Written(second, needs=(str(first),)),
            Written(never, needs=(str(bad),)),
            Written(bad, fails=True),
            Written(first),
        ]
        watch = _Counted()
        failures = Plan.of(cells).run(plugin.item(""), watch)
        hold(first.exists() and second.exists(), "a cell was not run")
        hold(set(failures) == {str(bad), str(never)}, f"these failed: {failures}")
        hold("as it should" in failures[str(bad)], f"why a cell failed is lost: {failures[str(bad)]}")
        hold(watch.done == 2, f"{watch.done} episodes were told of, not 2")


CONTRACTS: dict[str, Mapping[str, Callable[[Registered], None]]] = {
    "executor": {"it runs cells, in order, and tells of those that fail": runs_cells},
}
