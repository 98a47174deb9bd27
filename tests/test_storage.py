"""Files that several processes write: whole or absent, and nothing left over."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from ruledsl.storage import LOCK, taking_turns, write_json


def test_what_a_killed_writer_left_is_swept_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".a.json.unfinished-x").write_text("{")
    (tmp_path / "mine.txt").write_text("kept")
    with taking_turns(tmp_path):
        write_json(tmp_path / "a.json", {"a": 1})
    assert {p.name for p in tmp_path.iterdir()} == {LOCK, "a.json", "mine.txt"}


def test_nobody_else_has_the_turn_while_one_writes(tmp_path: Path) -> None:
    with taking_turns(tmp_path), multiprocessing.get_context("spawn").Pool(1) as other:
        assert other.apply(_is_locked, (tmp_path,))
    assert not _is_locked(tmp_path)


def _is_locked(folder: Path) -> bool:
    try:
        FileLock(folder / LOCK, timeout=0).acquire().lock.release()
    except Timeout:
        return True
    return False


def test_a_share_without_locks_is_written_and_nothing_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_: object) -> None:
        raise NotImplementedError("flock")

    monkeypatch.setattr("ruledsl.storage.FileLock.acquire", refuses)
    (tmp_path / ".b.json.unfinished-x").write_text("{")
    with taking_turns(tmp_path):
        write_json(tmp_path / "a.json", {"a": 1})
    assert (tmp_path / ".b.json.unfinished-x").exists(), "it may be another process at work"
