"""Folders of plugins as people keep them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import run


def test_what_an_editor_leaves_beside_a_plugin_is_no_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RULEDSL_PLUGINS", str(tmp_path))
    (tmp_path / "mine.py").write_text(
        "from ruledsl.plugin import *\n@activation('mildly')\ndef mildly(z, beta):\n    return z\n",
        encoding="utf-8",
    )
    (tmp_path / ".#mine.py").symlink_to("jane@lab.1234:567")
    result = run("list", "plugins")
    assert result.exit_code == 0, result.output
    assert "mildly" in result.output
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    told = run("list", "plugins")
    assert told.exit_code == 2
    assert "mildly" in told.output
    assert "gone.py:1: cannot be read" in told.output
