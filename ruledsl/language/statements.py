"""Cuts a file into statements before any grammar sees it, so that one fault hides no other.

A statement begins where a line begins with its keyword and runs to the next one; a statement may
therefore span lines without any mark. Lines that look like a statement with a wrong or missing
keyword begin one too: their fault is then reported at the keyword and not as odd leftovers of
the statement above.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ruledsl.ir import SourceFile, Span

_KEYWORD = re.compile(r"[ \t]*(term|rule|let|const)\b")
_STRANGE = re.compile(r"[^\W\d]\w*[ \t]+([^\W\d]\w*)[ \t]*(\"[^\"\n]*\"[ \t]*)?=(?!=)")
_BARE = re.compile(r"([^\W\d]\w*)[ \t]*(\"[^\"\n]*\"[ \t]*)?=(?!=)")
_BLANK = re.compile(r"\s*((#|//).*)?$")


@dataclass(frozen=True)
class Chunk:
    """The text of one statement; `kind` tells whether its keyword is right, wrong or missing."""

    span: Span
    kind: Literal["statement", "strange", "bare", "stray"]


def split_statements(source: SourceFile) -> list[Chunk]:
    """The statements of a file in order; text before the first one comes as a `stray` chunk."""
    chunks: list[Chunk] = []
    start, kind = -1, "statement"
    end = offset = brackets = 0
    for line in source.text.split("\n"):
        starts = _line_kind(line, brackets > 0 and start >= 0)
        if starts and not (starts == "stray" and start >= 0):
            if start >= 0:
                chunks.append(Chunk(Span(start, end), kind))  # type: ignore[arg-type]
            start, kind, brackets = offset, starts, 0
        code = line[: comment_start(line)]
        if code.strip():
            end = offset + len(code.rstrip())
        brackets = max(0, brackets + sum(code.count(c) for c in "([") - sum(code.count(c) for c in ")]"))
        offset += len(line) + 1
    if start >= 0:
        chunks.append(Chunk(Span(start, end), kind))  # type: ignore[arg-type]
    return chunks


def _line_kind(line: str, inside_brackets: bool) -> str | None:
    if _KEYWORD.match(line):
        return "statement"
    if _BLANK.match(line):
        return None
    # Inside brackets `name = value` is an attribute on a line of its own, not a statement.
    if not inside_brackets and _STRANGE.match(line):
        return "strange"
    if not inside_brackets and _BARE.match(line):
        return "bare"
    return "stray"


def comment_start(line: str) -> int:
    """Offset of the comment in a line, or the line's length when it has none."""
    quoted = False
    for i, char in enumerate(line):
        if char == '"':
            quoted = not quoted
        elif not quoted and (char == "#" or line.startswith("//", i)):
            return i
    return len(line)
