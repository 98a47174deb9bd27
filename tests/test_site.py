"""The pages that the documentation site makes from the product hold all that there is."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest

import ruledsl
from ruledsl.language import QUANTITIES
from ruledsl.settings import OPTIONS
from tests import ROOT


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "_extensions" / "pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_stands_in_the_reference(pages: ModuleType) -> None:
    text = "\n".join(page for _, page in pages.api())
    for name in set(ruledsl.__all__) - {"torch"}:
        assert f".{name}\n" in text, name


def test_a_public_name_in_no_group_is_an_error(pages: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pages.GROUPS, "Evidence", ())
    with pytest.raises(ValueError, match="stand in no group"):
        list(pages.api())


def test_every_quantity_setting_diagnostic_and_rule_has_its_place(pages: ModuleType) -> None:
    language, settings, errors, gallery = pages.language(), pages.settings(), pages.errors(), pages.gallery()
    assert all(f"| `{name}` |" in language for name in QUANTITIES)
    assert all(f"| `{name}` |" in settings for name in OPTIONS)
    assert all(
        f"## {folder.name}\n" in errors for folder in (ROOT / "tests" / "bad").iterdir() if folder.is_dir()
    )
    assert all(f"## {path.stem}\n" in gallery for path in (ROOT / "rules").rglob("*.rule"))


def test_every_shipped_rule_was_trained_for_the_gallery(pages: ModuleType) -> None:
    trained = {row["rule"] for row in pages.numbers()}
    alone = {"library"}  # docs/results/scales.md
    assert trained | alone == {path.stem for path in (ROOT / "rules").rglob("*.rule")}


def test_a_learning_curve_is_drawn_inside_its_frame(pages: ModuleType) -> None:
    drawn = pages.drawn([(0.0, 0.2, 0.1), (5.0, 0.9, 0.4), (10.0, 0.8, 0.1)])
    points = [float(v) for v in re.findall(r"[\d.]+", re.findall(r'points="([^"]+)"', drawn)[0])]
    assert max(points[0::2]) <= 360
    assert max(points[1::2]) <= 110
    assert min(points) >= 0


def test_tables_are_whole_although_texts_hold_bars(pages: ModuleType) -> None:
    made = pages.table(("a", "b"), [("x | y", "z")])
    assert made.splitlines()[2] == r"| x \| y | z |"
