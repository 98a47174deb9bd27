"""The canonical text of a whole file, comments kept.

Statements are printed by the printer; every comment stays with its statement: on its own line
above it, or behind it when it stood behind its end. A comment from the middle of a statement
moves above it. Runs of blank lines become one.
"""

from __future__ import annotations

from ruledsl.ir import SourceFile
from ruledsl.language.parser import parse
from ruledsl.language.printer import print_statement
from ruledsl.language.statements import comment_start, split_statements


def format_source(source: SourceFile) -> str:
    """Canonical text of a file; raises `RuleError` when it does not parse."""
    module = parse(source)
    blocks: list[str] = []
    position = 0
    for chunk, statement in zip(split_statements(source), module.statements, strict=True):
        blocks += _between(source.text[position : chunk.span.start])
        inside = source.text[chunk.span.start : chunk.span.end].split("\n")
        blocks += [line[comment_start(line) :].strip() for line in inside if comment_start(line) < len(line)]
        line_end = source.text.find("\n", chunk.span.end)
        line_end = len(source.text) if line_end < 0 else line_end
        trailing = source.text[chunk.span.end : line_end].strip()
        blocks.append(print_statement(statement) + (f"  {_comment(trailing)}" if trailing else ""))
        position = line_end + 1
    blocks += _between(source.text[position:])
    return _squeeze(blocks)


def _between(text: str) -> list[str]:
    return [_comment(line.strip()) if line.strip() else "" for line in text.split("\n")[:-1]] + (
        [_comment(text.rsplit("\n", maxsplit=1)[-1].strip())]
        if text.rsplit("\n", maxsplit=1)[-1].strip()
        else []
    )


def _comment(text: str) -> str:
    body = text.removeprefix("//").removeprefix("#")
    return f"# {body.strip()}".rstrip() if not body.startswith("!") else f"#{body}"


def _squeeze(lines: list[str]) -> str:
    kept = [line for i, line in enumerate(lines) if line or (i > 0 and lines[i - 1])]
    while kept and not kept[-1]:
        kept.pop()
    while kept and not kept[0]:
        kept.pop(0)
    return "\n".join(kept) + "\n"
