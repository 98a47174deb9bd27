"""The HTML page: what it holds, and how it behaves in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run, train

pytest.importorskip("plotly")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The page of one run with a selection, and that of two runs side by side."""
    folder = tmp_path_factory.mktemp("pages")
    train(folder / "bio", "--seeds", 3, "--l1", "0,0.01")
    train(folder / "oja", "--seeds", 3, rule="oja")
    run("select", folder / "bio", "--seeds", 2, "--episodes", 3, "--refit-episodes", 4, "--quiet")
    one = run("report", folder / "bio")
    assert one.exit_code == 0, one.output
    two = run("report", folder / "bio", folder / "oja", "--out", folder / "both.html")
    assert two.exit_code == 0, two.output
    return folder / "bio" / "report.html", folder / "both.html"


def _charts(page: Path) -> list[dict[str, Any]]:
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page.read_text(), re.S)
    assert found
    return json.loads(found.group(1).replace("<\\/", "</"))


def test_a_page_holds_the_rule_the_evidence_and_how_to_reproduce_it(pages: tuple[Path, Path]) -> None:
    text = pages[0].read_text()
    for words in ("<math", "certificate", "sum over the synapses that leave cell i", "Knock-outs",
    "rule bio ",
                  "[settings]", "torch", "ruledsl rerun bio", "λ = 0.01"):  # fmt: skip
        assert words in text, words
    outside = re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', outside), "the page needs the network"
    ids = {c["id"] for c in _charts(pages[0])}
    assert {"run-0-path", "run-0-refits"} <= ids
    for caption in ("Accuracy on the query set", "Meta-loss", "Alignment angles", "Coefficients"):
        assert re.search(rf"<figcaption[^>]*>[^<]*{caption}", text, re.IGNORECASE), caption
    assert all(f'id="{name}"' in text for name in ids)


def test_a_page_holds_what_theory_derives_measured_and_what_analyses_say(pages: tuple[Path, Path]) -> None:
    text = pages[0].read_text()
    for words in ("What theory expects", "θ &lt; 0 turns W towards Bᵀ", "agrees with 20,000 samples",
                  "e → −e leaves it as it is"):  # fmt: skip
        assert words in text, words


def test_a_comparison_states_differences_with_intervals(pages: tuple[Path, Path]) -> None:
    text = pages[1].read_text()
    assert text.count("same tasks, seed by seed") == 2
    assert re.search(r"[+-]0\.\d{3} ± 0\.\d{3}", text)
    assert "What differs in the settings" in text


def test_a_run_in_progress_has_a_page_and_a_missing_one_a_message(tmp_path: Path) -> None:
    train(tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    with (tmp_path / "run" / "metrics.csv").open("a") as file:
        file.write("0,0,0.0,a line still being wri")
    assert run("report", tmp_path / "run").exit_code == 0
    result = run("report", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "is not a run folder" in result.output


def test_text_of_a_rule_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "odd.rule").write_text('term odd "</script><b>&" = -e_post * y_pre^T [init = 1e-3]')
    train(tmp_path / "run", rule=str(tmp_path / "odd.rule"))
    assert run("report", tmp_path / "run").exit_code == 0
    text = (tmp_path / "run" / "report.html").read_text()
    assert "</script><b>" not in text
    assert "&lt;/script&gt;&lt;b&gt;&amp;" in text


def test_event_files_hold_every_number(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path / "run", "--seeds", 2)
    assert run("tensorboard", tmp_path / "run").exit_code == 0
    folders = sorted((tmp_path / "run" / "tensorboard").iterdir())
    assert [f.name for f in folders] == ["run-000-seed-0-l1-0", "run-001-seed-1-l1-0"]
    events = EventAccumulator(str(folders[0])).Reload()
    assert "theta/oja_subspace" in events.Tags()["scalars"]
    assert [e.step for e in events.Scalars("meta_accuracy")] == list(range(6))


# in a browser ------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as p:
        found = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.mark.parametrize("width", [380, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", [0, 1])
def test_pages_work_in_a_browser(
    browser: Any, pages: tuple[Path, Path], which: int, scheme: str, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: faults.append(str(e)))
    page.goto(pages[which].as_uri())
    page.wait_for_selector("html[data-drawn=yes]", state="attached", timeout=30_000)
    assert faults == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page must not scroll sideways"
    shown = "document.querySelectorAll('figure:not([hidden])"
    undrawn = f"[...{shown} .plot')].filter(p => !p.querySelector('.main-svg'))"
    assert page.evaluate(f"{undrawn}.length") == 0
    wide = f"[...{shown}')].filter(f => f.scrollWidth > f.clientWidth + 1).length"
    assert page.evaluate(wide) == 0
    context.close()


def test_groups_are_chosen_by_keyboard_and_drawn(browser: Any, pages: tuple[Path, Path]) -> None:
    page = browser.new_page()
    page.goto(pages[0].as_uri())
    page.wait_for_selector("html[data-drawn=yes]", state="attached")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    first, second = page.locator("#run-0-group option").all_text_contents()
    mine, other = (f'figure[data-group="{group}"] >> nth=0' for group in (first, second))
    assert page.locator(other).is_hidden()
    page.locator("#run-0-group").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(f'figure[data-group="{second}"] .main-svg')
    assert page.locator(mine).is_hidden()
    page.close()


def test_a_screen_reader_finds_names_for_everything(browser: Any, pages: tuple[Path, Path]) -> None:
    page = browser.new_page()
    page.goto(pages[1].as_uri())
    page.wait_for_selector("html[data-drawn=yes]", state="attached")
    assert page.evaluate("document.documentElement.lang") == "en"
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    nameless = """[...document.querySelectorAll('[role=img],[role=region],nav,select,section')].filter(e => {
        const by = e.getAttribute('aria-labelledby');
        const text = e.getAttribute('aria-label') || (by && document.getElementById(by)?.textContent)
            || (e.labels && e.labels[0]?.textContent);
        return !text || !text.trim(); }).map(e => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(nameless) == []
    page.close()
