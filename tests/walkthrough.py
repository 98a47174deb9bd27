"""Pages walked through as a reader would, at toy size: files are written, commands run, code executed."""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from click.testing import Result

from tests import ROOT
from tests.commands import run

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w/]+\.(?:rule|py|toml))\n")
_EXIT = re.compile(r"# exits with (\d)")
_SHORTER = {"--episodes": "2", "--seeds": "2", "--samples": "40", "--test-images": "10", "--budget": "1s"}
"""What a page asks for at full size. Everything else is done as it stands."""
_TOY_STUDY = r"\g<1>2" + '\nshots = 4\nbackend = "eager"\nthreads = 1'
_STUDY = re.compile(r"(?m)^(episodes = )\d+$")
_TASK = ("--shots", "4", "--queries", "3", "--threads", "1", "--backend", "eager",
         "--lr", "0.01")  # fmt: skip
_NETWORK = ("--sizes", "784-12-8-47")
_DISCOVER = {
    "rounds": 1, "beam": 1, "kept": 2, "tries": 2, "heats": 2, "start-episodes": 2, "refit-episodes": 2,
    "refit-seeds": 2, "judged-tasks": 1, "search-seeds": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """What stands between fences: its language, and its text."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that it is, named by its first line."""
        match = _FILE.match(self.text)
        return match.group(1) if match else None


def blocks_of(page: str) -> list[Block]:
    return [
        Block(language, "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True)))
        for indent, language, text in _FENCE.findall(page)
    ]


def walk(page: Path) -> Iterator[str]:
    """Do in the current folder what a page does; each step is named as it is done.

    Fences: a first line `# NAME.rule` (`.py`, `.toml`) makes a file; `sh` is run, line by line; `python`
    is executed, with what earlier fences left; `text` after `sh` is what the last command prints, exactly.
    `bash` is for reading.
    """
    names: dict[str, object] = {}
    printed = ""
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(_STUDY.sub(_TOY_STUDY, block.text), encoding="utf-8")
            yield f"wrote {block.file}"
        elif block.language == "python":
            exec(compile(block.text, page.name, "exec"), names)
            yield "executed"
        elif block.language == "sh":
            for line in block.text.splitlines():
                result = told(line)
                printed = result.stdout or result.stderr
                yield f"ran {line}"
        elif block.language == "text":
            assert _stripped(block.text) == _stripped(printed), f"{page.name}, and not\n{printed}"


def told(line: str) -> Result:
    """One command of a page, which must end as the page says."""
    expected = _EXIT.search(line)
    words = shlex.split(line, comments=True)
    assert words[0] == "ruledsl", line
    result = run(*toy(words[1:]))
    assert result.exit_code == int(expected.group(1) if expected else 0), f"{line}\n{result.output}"
    assert result.exception is None or isinstance(result.exception, SystemExit), line
    return result


def toy(words: list[str]) -> list[str]:
    """The same command, made small."""
    made: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        shipped = word if not word.startswith("rules/") or glob.glob(word) else str(ROOT / word)
        made += sorted(glob.glob(word)) if "*" in word else [_SHORTER.get(before, shipped)]
    if "train" in words or "discover" in words:
        made += [*_TASK, *(() if "--labels" in words else ("--labels", "3"))]
        made += () if "--sizes" in words else _NETWORK
    if words[0] == "evaluate" and words[1].endswith(".rule"):  # a run brings its network along
        made += ["--threads", "1", *_NETWORK]
    if words[0] == "select":
        made += ["--seeds", "2", "--episodes", "60"]
    if "discover" in words:
        made += [word for name, value in _DISCOVER.items() for word in (f"--{name}", str(value))]
    return made


def _stripped(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]
