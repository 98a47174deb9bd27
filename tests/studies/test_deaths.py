"""A worker that dies takes the executor with it: who is to blame is found out, and nobody else pays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ruledsl.studies import Cell, Place, Plan, Tick
from tests.claims import Heard


@dataclass
class Piece:
    """A cell that is done when it has run; a worker that runs a large one dies."""

    name: str
    is_large: bool = False
    runs: int = 0
    needs = ()
    episodes = 0
    score = None
    root = Path()

    @property
    def key(self) -> str:
        return self.name

    def reads(self) -> Sequence[Path]:
        return []

    def given(self) -> Sequence[Path]:
        return []

    def moved(self, root: Path, given: Mapping[Path, Path]) -> Cell:
        return self

    def is_done(self) -> bool:
        return self.runs > 0 and not self.is_large

    def run(self, tick: Tick) -> None:
        self.runs += 1


@dataclass
class Pool(Place):
    """Two workers that run what they were handed when they are asked how far they are."""

    most: int
    handed: list[tuple[Future[Any], Piece]] = field(default_factory=list)
    asked: int = 0

    def work(self) -> Any:
        raise AssertionError

    def submit(self, cell: Cell) -> Future[Any]:
        assert isinstance(cell, Piece)
        future: Future[Any] = Future()
        self.handed.append((future, cell))
        return future

    def ticks(self) -> int:
        self.asked += bool(self.handed)
        at_work, self.handed = self.handed[:2], self.handed[2:]
        if any(piece.is_large for _, piece in at_work):
            lost, self.handed = [*at_work, *self.handed], []
            for future, _ in lost:
                future.set_exception(BrokenExecutor("out of memory"))
            return 0
        for future, piece in at_work:
            piece.run(lambda _: None)
            future.set_result("")
        return 0


@pytest.mark.parametrize("most", [3, 10_000])
def test_cells_that_take_their_worker_along_cost_no_other_cell(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ruledsl.studies.cells.POLL_SECONDS", 0.001)
    pieces = [Piece(f"{size}-{n}", size == "large") for n in range(12) for size in ("small", "large")]
    failures = Plan.of(pieces).run(Pool(most), Heard())
    assert set(failures) == {piece.name for piece in pieces if piece.is_large}
    assert {piece.runs for piece in pieces if not piece.is_large} == {1}


def test_after_a_death_cells_go_side_by_side_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a study of many cells would go on one by one."""
    monkeypatch.setattr("ruledsl.studies.cells.POLL_SECONDS", 0.001)
    pieces = [Piece("large", True), *(Piece(f"small-{n}") for n in range(60))]
    pool = Pool(10_000)
    Plan.of(pieces).run(pool, Heard())
    assert {piece.runs for piece in pieces[1:]} == {1}
    assert pool.asked < 100
