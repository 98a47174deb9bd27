"""Every fault of the input: its exact text, beside the nearest text that is right.

`tests/bad/CASE/` holds bad.rule, good.rule and expected.txt. After an intended change of a message:
`python -m tests.test_diagnostics` rewrites the expected texts; read them before committing.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ruledsl.cli import main
from ruledsl.ir import RuleError
from ruledsl.rules import check_file
from tests import ROOT

CASES = sorted(p.name for p in (ROOT / "tests" / "bad").iterdir() if p.is_dir())
WARNINGS = ("same-term",)


def messages(path: str) -> str:
    """Everything that checking a file has to say."""
    try:
        rules = check_file(path)
    except RuleError as error:
        return f"{error}\n"
    return "\n\n".join(w.render() for rule in rules for w in rule.warnings) + "\n"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.mark.parametrize("case", CASES)
def test_a_fault_has_its_text_and_its_twin_is_right(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ROOT / "tests" / "bad" / case
    monkeypatch.chdir(folder)
    monkeypatch.delenv("RULEDSL_PATH", raising=False)
    # Alone in its folder: two files with one name would be a fault of their own.
    text, twin = Path("bad.rule").read_text(encoding="utf-8"), Path("good.rule").read_text(encoding="utf-8")
    assert text != twin
    found = alone(text)
    assert found == Path("expected.txt").read_text(encoding="utf-8")
    assert "error[" not in alone(twin)
    assert alone(twin).strip() == ""


def alone(text: str) -> str:
    """Messages for a file that lies in a folder of its own."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            Path("bad.rule").write_text(text, encoding="utf-8")
            return messages("bad.rule")
        finally:
            os.chdir(before)


@pytest.mark.parametrize("case", [c for c in CASES if c not in WARNINGS])
def test_a_fault_ends_every_command_with_exit_code_2_and_no_traceback(case: str) -> None:
    bad = ROOT / "tests" / "bad" / case / "bad.rule"
    for command in (["check", bad], ["show", bad], ["train", bad, "--episodes", 1]):
        result = run(*command)
        assert result.exit_code == 2, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert "error[" in result.output


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


GOOD = b"term a = -e_post * y_pre^T\n"
DOUBLING = (
    b"let a0 = W\n"
    + b"".join(b"let a%d = a%d .* a%d\n" % (n + 1, n, n) for n in range(40))
    + b"term t = a40\n"
)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "[empty-file]: this file defines nothing"),
        (b"\x7fELF\x02\x01\x00\x00", "[not-text]: this is not a text file (byte 6)"),
        (b"\xff\xfe\xfa", "[not-text]: this is not a text file (byte 0)"),
        (b"term a = " + b"(" * 10_000, "10000 `(` are not closed: add `))))))))))`"),
        (b"term a = " + b"-(" * 10_000 + b"W" + b")" * 10_000, "[too-deep]: this expression is nested deeper "
            "than 200"),
        (b"term a = " + b"W + " * 250_000 + b"W", "[too-deep]"),
        (b"term a = W .* " + b"x" * 1_000_000, "[unknown-name]"),
        (b"term a = W" + b" " * 1_000_000 + b"$", "[bad-character]"),
        (b"x" * 5_000_000, "[file-too-large]"),
        (b'term a "note = W\n', 'a note is closed by `"`'),
        (DOUBLING, "[too-large]"),
        (b"term a = sqrt(-1) * W\n", "[not-finite]"),
        (b"term a = (-8)^(1/3) * W\n", "[not-finite]"),
        (b"term a = sqrt(n_pre - n_pre - 1) * W\n", "[not-finite]"),
        (b"term a = 10^400 * W\n", "[not-finite]"),
        (b"term a = W * 2^9^9^9^9^9^9^9^9\n", "[not-finite]"),
        (b"term a = W" + b" * (W + y_post * y_pre^T)^T * (W + y_post * y_pre^T)" * 20, "[too-large]"),
        (b"term a = (y_post + e_post + z_post) .^ 90 * y_pre^T\n", "[too-large]"),
    ],
)  # fmt: skip
def test_hostile_files_get_one_short_message(tmp_path: Path, content: bytes, expected: str) -> None:
    result = run("check", write(tmp_path / "f.rule", content))
    assert result.exit_code == 2
    assert expected in result.output
    assert len(result.output) < 2_000
    assert max(map(len, result.output.splitlines())) < 300


def test_rules_summed_from_rules_take_no_longer_than_they_are_long(tmp_path: Path) -> None:
    lines = ["term r0 = W", *(f"rule r{n + 1} = r{n} + r{n}" for n in range(40))]
    assert run("check", write(tmp_path / "f.rule", "\n".join(lines).encode())).exit_code == 0


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        b"term a = " + b"(" * 10_000 + b"W" + b")" * 10_000,
        GOOD.rstrip(),
    ],
)
def test_byte_order_marks_line_ends_and_redundant_parentheses_are_accepted(
    tmp_path: Path, content: bytes
) -> None:
    result = run("check", write(tmp_path / "f.rule", content))
    assert result.exit_code == 0, result.output


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    write(tmp_path / "real.rule", GOOD)
    assert "there is no such file" in run("check", tmp_path / "rael.rule").output
    assert f"did you mean `{tmp_path}/real.rule`?" in run("check", tmp_path / "rael.rule").output
    assert "this is a folder, not a rule file" in run("check", tmp_path).output
    locked = write(tmp_path / "locked.rule", GOOD)
    locked.chmod(0)
    if not os.access(locked, os.R_OK):  # root reads everything
        assert "this file cannot be read: permission denied" in run("check", locked).output


def test_a_name_is_checked_as_the_file_that_it_means() -> None:
    named = run("check", "bio").output
    assert named == run("check", named.split(":")[0]).output
    assert "rules: bio" in named
    assert "did you mean `bio`?" in run("check", "bioo").output
    assert run("check", "rules/bio.rule:nothing").exit_code == 2


def test_variants_of_a_rule_in_one_folder_do_not_block_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file's own definitions come first for that file."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "v1.rule", b"term hebb = y_post * y_pre^T\nrule mine = hebb\n")
    write(tmp_path / "v2.rule", b"term hebb = -y_post * y_pre^T\nrule mine = hebb\n")
    for version, formula in (("v1", "y_post * y_pre^T"), ("v2", "-y_post * y_pre^T")):
        assert run("check", f"{version}.rule").exit_code == 0
        shown = run("show", f"{version}.rule")
        assert shown.exit_code == 0, shown.output
        assert f"hebb = {formula}" in shown.output


def test_a_name_that_two_other_files_define_differently_is_an_error_with_both_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "one.rule", b"term mine = W\n")
    write(tmp_path / "two.rule", b"term mine = -W\n")
    write(tmp_path / "user.rule", b"rule user = mine\n")
    result = run("check", "user.rule")
    assert result.exit_code == 2
    assert "[ambiguous-name]" in result.output
    assert "one.rule:1:6" in result.output
    assert "two.rule:1:6" in result.output


def test_a_broken_neighbour_is_mentioned_only_when_a_name_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "broken.rule", b"term lost = W +\n")
    assert run("check", write(tmp_path / "fine.rule", GOOD)).exit_code == 0
    result = run("check", write(tmp_path / "needs.rule", b"rule r = lost\n"))
    assert "[unknown-term]" in result.output
    assert "broken.rule:1:15: a file that could not be read may define it" in result.output


def test_circular_rules_across_files_show_the_path(tmp_path: Path) -> None:
    write(tmp_path / "p.rule", b"rule p = q\n")
    write(tmp_path / "q.rule", b"rule q = p\n")
    assert "this rule leads back to itself: p → q → p" in run("check", tmp_path / "p.rule").output


@pytest.mark.parametrize(
    "text", ["__import__('os').system('touch hacked')", "exec(W)", "W.__class__", "lambda: W"]
)
def test_text_is_never_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("check", write(tmp_path / "f.rule", f"term a = {text}\n".encode()))
    assert result.exit_code == 2
    assert "error[" in result.output
    assert not (tmp_path / "hacked").exists()


if __name__ == "__main__":
    for name in CASES:
        case_folder = ROOT / "tests" / "bad" / name
        rendered = alone((case_folder / "bad.rule").read_text(encoding="utf-8"))
        (case_folder / "expected.txt").write_text(rendered, encoding="utf-8")
