"""What a log says of many cells while they run."""

from __future__ import annotations

import pytest

from ruledsl.progress import Board, Standing


def test_a_log_gets_the_end_with_the_best_and_the_lost(capsys: pytest.CaptureFixture[str]) -> None:
    with Board(quiet=False) as board:
        board(Standing(10, 90, 3, 0, 2, 0))
        board.finished("first", 0.3)
        board.finished("second", 0.5)
        board.finished("third", 0.4)
        board.finished("not compared", None)
        board.failed("fourth", "it cannot")
        board(Standing(90, 90, 3, 2, 0, 1))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "fourth failed, the others go on: it cannot"
    assert said[-1].startswith("cells 2/3  0 running  1 lost  episodes 90/90  best 0.500 second  left 0:00")
    assert len(said) == 2, "nothing between: not ten seconds have gone by"


def test_who_is_quiet_says_only_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with Board(quiet=True) as board:
        board.said("a dashboard")
        board.failed("first", "it cannot")
        board(Standing(1, 1, 1, 0, 0, 1))
    assert capsys.readouterr().err == "first failed, the others go on: it cannot\n"
