"""Faults as data: one diagnostic type, one exception that carries them, one renderer with a caret."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ruledsl.errors import UserError
from ruledsl.ir.source import SourceFile, Span

EXCERPT_WIDTH = 100
"""Longest piece of a source line that is shown; longer lines are cut around the caret."""


@dataclass(frozen=True)
class Location:
    """A span in a named file."""

    source: SourceFile
    span: Span

    def __str__(self) -> str:
        line, column = self.source.position(self.span.start)
        return f"{self.source.path}:{line}:{column}"


@dataclass(frozen=True)
class Diagnostic:
    """One fault of the input: where, what was expected, what was found, and how to mend it.

    `code` is a stable slug (`unknown-name`); `also` points to further places, such as the
    first of two definitions.
    """

    code: str
    message: str
    at: Location | None = None
    expected: str | None = None
    found: str | None = None
    help: str | None = None
    also: tuple[tuple[str, Location], ...] = ()
    severity: Literal["error", "warning"] = "error"
    path: str | None = None
    """Names the file where there is no position in it (a missing or binary file)."""

    def render(self) -> str:
        """Plain text in the order a person reads it: place, fault, source, expectation, repair."""
        place = str(self.at) if self.at else self.path
        head = f"{place}: " if place else ""
        lines = [f"{head}{self.severity}[{self.code}]: {self.message}"]
        if self.at:
            lines += _excerpt(self.at)
        for label, text in (("expected", self.expected), ("found", self.found), ("help", self.help)):
            if text:
                first, *rest = text.split("\n")
                lines.append(f"  {label}: {first}")
                lines += [" " * (len(label) + 4) + line for line in rest]
        for label, location in self.also:
            lines.append(f"  {location}: {label}")
            lines += _excerpt(location)
        return "\n".join(lines)


def _excerpt(at: Location) -> list[str]:
    """The source line and a caret line below it, cut to a readable width."""
    number, column = at.source.position(at.span.start)
    line = at.source.line(number)
    start = column - 1
    length = max(1, min(at.span.end - at.span.start, len(line) - start))
    left = (
        0
        if len(line) <= EXCERPT_WIDTH
        else max(0, min(start - EXCERPT_WIDTH // 3, len(line) - EXCERPT_WIDTH))
    )
    shown = line[left : left + EXCERPT_WIDTH]
    head, tail = ("…" if left else ""), ("…" if left + EXCERPT_WIDTH < len(line) else "")
    # Tabs are kept in the padding so that the caret stands under its character in any terminal.
    padding = "".join("\t" if char == "\t" else " " for char in head + line[left:start])
    carets = "^" * min(length, max(1, left + EXCERPT_WIDTH - start))
    gutter = f"{number:>5} | "
    return [f"{gutter}{head}{_printable(shown)}{tail}", f"{' ' * (len(gutter) - 2)}| {padding}{carets}"]


def _printable(text: str) -> str:
    """Control characters made visible, so that a stray one cannot disturb the terminal."""
    return "".join(char if char == "\t" or char.isprintable() else "�" for char in text)


class RuleError(UserError):
    """Raised when the user's input cannot be used; carries every diagnostic that was found.

    >>> import ruledsl
    >>> try:
    ...     ruledsl.rule("term t = e_pots * y_pre^T")
    ... except ruledsl.RuleError as error:
    ...     error.diagnostics[0].code
    'unknown-name'
    """

    def __init__(self, diagnostics: Sequence[Diagnostic] | Diagnostic) -> None:
        self.diagnostics = (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        super().__init__("\n\n".join(d.render() for d in self.diagnostics))

    def render(self) -> str:
        return str(self)


class InternalError(AssertionError):
    """A broken promise between two of our own stages: a defect of ruledsl, never of the input."""


def raise_errors(diagnostics: Iterable[Diagnostic]) -> None:
    """Raise `RuleError` with every diagnostic given, if any of them is an error."""
    found = list(diagnostics)
    if any(d.severity == "error" for d in found):
        raise RuleError(found)
