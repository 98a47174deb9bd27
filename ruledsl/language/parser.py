"""Text to tree. The only module that knows Lark."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import NoReturn, cast

from lark import Lark, Token, UnexpectedCharacters, UnexpectedEOF, UnexpectedToken
from lark.utils import TextSlice

from ruledsl.ir import Diagnostic, Location, Module, RuleError, SourceFile, Span, Statement
from ruledsl.language.builder import MAX_DEPTH, BadNumber, TooDeep, TreeBuilder, token_span
from ruledsl.language.messages import closest, expected_words, repair
from ruledsl.language.statements import Chunk, split_statements
from ruledsl.language.vocabulary import KEYWORDS

MAX_BYTES = 4_000_000


@cache
def _lark() -> Lark:
    grammar = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", transformer=TreeBuilder())  # type: ignore[arg-type]


def read_source(path: str | Path) -> SourceFile:
    """Read a `.rule` file as UTF-8 text (a byte-order mark and CRLF line ends are accepted).

    Raises `RuleError` for a missing file, a directory, an unreadable, binary or oversized file.
    """
    shown = str(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise RuleError(_cannot_read(shown, error)) from None
    if len(data) > MAX_BYTES:
        limit = f"at most {MAX_BYTES // 1_000_000} MB"
        raise RuleError(
            Diagnostic("file-too-large", "this file is too large for a rule", path=shown, expected=limit)
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text, position = "\0", error.start
    else:
        position = text.find("\0")
    if "\0" in text:
        raise RuleError(
            Diagnostic(
                "not-text",
                f"this is not a text file (byte {position})",
                path=shown,
                expected="a `.rule` file in UTF-8",
                help="save it as UTF-8 text",
            )
        )
    return SourceFile(shown, text.replace("\r\n", "\n").replace("\r", "\n"))


def _cannot_read(path: str, error: OSError) -> Diagnostic:
    if isinstance(error, IsADirectoryError):
        return Diagnostic(
            "is-directory",
            "this is a folder, not a rule file",
            path=path,
            help="name a `.rule` file inside it",
        )
    if isinstance(error, FileNotFoundError):
        parent = Path(path).parent
        others = [p.name for p in sorted(parent.glob("*.rule"))] if parent.is_dir() else []
        near = closest(Path(path).name, others)
        hint = f"did you mean `{parent / near}`?" if near else None
        return Diagnostic("no-such-file", "there is no such file", path=path, help=hint)
    reason = (error.strerror or "unknown reason").lower()
    return Diagnostic("unreadable-file", f"this file cannot be read: {reason}", path=path)


def parse(source: SourceFile) -> Module:
    """Parse every statement of a file; raises `RuleError` with one diagnostic per faulty statement."""
    module, faults = parse_partly(source)
    if faults:
        raise RuleError(faults)
    return module


def parse_partly(source: SourceFile) -> tuple[Module, list[Diagnostic]]:
    """The statements that parse, and a diagnostic for each that does not."""
    module, faults = _parsed(source)
    return module, list(faults)


@lru_cache(maxsize=256)
def _parsed(source: SourceFile) -> tuple[Module, tuple[Diagnostic, ...]]:
    """`parse_partly`, kept: a search path of files is read again by every rule that is loaded."""
    statements: list[Statement] = []
    faults: list[Diagnostic] = []
    chunks = split_statements(source)
    for chunk in chunks:
        try:
            statements.append(_parse_chunk(source, chunk))
        except RuleError as error:
            faults.extend(error.diagnostics)
    if not chunks:
        faults.append(
            Diagnostic(
                "empty-file",
                "this file defines nothing",
                Location(source, Span(0, 0)),
                expected="at least one `term` or `rule`",
                help="write, for example: term my_term = -e_post * y_pre^T",
            )
        )
    return Module(source, tuple(statements)), tuple(faults)


def _parse_chunk(source: SourceFile, chunk: Chunk) -> Statement:
    if chunk.kind != "statement":
        raise RuleError(_wrong_start(source, chunk))
    span = Span(chunk.span.start, chunk.span.end)
    try:
        return cast(Statement, _lark().parse(TextSlice(source.text, span.start, span.end)))
    except UnexpectedToken as error:
        _syntax_error(source, span, error)
    except UnexpectedCharacters as error:
        _bad_character(source, span, error)
    except UnexpectedEOF:
        raise RuleError(_at_end(source, span, {"an expression"})) from None
    except TooDeep as error:
        raise RuleError(
            Diagnostic(
                "too-deep",
                f"this expression is nested deeper than {MAX_DEPTH} levels",
                Location(source, Span(error.span.start, error.span.start + 1)),
                help="name parts of it with `let`, or split it into several terms",
            )
        ) from None
    except BadNumber as error:
        raise RuleError(
            Diagnostic(
                "bad-number",
                "this number is too large or too small for floating point",
                Location(source, error.span),
                expected="0, or a magnitude between 1e-307 and 1e308",
            )
        ) from None


def _wrong_start(source: SourceFile, chunk: Chunk) -> Diagnostic:
    first_line = source.text[chunk.span.start : chunk.span.end].split("\n")[0]
    word = first_line.split()[0]
    at = Location(source, Span(chunk.span.start, chunk.span.start + len(word)))
    if chunk.kind == "bare":
        return Diagnostic(
            "missing-keyword",
            "a statement begins with its keyword",
            at,
            expected="`term`, `rule`, `let` or `const`",
            found=f"`{word}`",
            help=f"write `term {first_line.strip()[:60]}`",
        )
    near = closest(word, [k for k in KEYWORDS if k != "for"])
    return Diagnostic(
        "unknown-statement",
        f"`{word[:40]}` does not begin a statement",
        at,
        expected="`term`, `rule`, `let` or `const`",
        found=f"`{word[:40]}`",
        help=f"did you mean `{near}`?" if near else None,
    )


def _syntax_error(source: SourceFile, span: Span, error: UnexpectedToken) -> NoReturn:
    in_rule = source.text[span.start : span.end].lstrip().startswith("rule")
    expected = expected_words(error.accepts or error.expected, in_rule)
    token: Token = error.token
    if token.type == "$END":
        raise RuleError(_at_end(source, span, expected)) from None
    at = token_span(token)
    before = source.text[span.start : at.start]
    raise RuleError(
        Diagnostic(
            "syntax",
            f"unexpected `{str(token)[:40]}`",
            Location(source, at),
            expected=_listed(expected),
            found=f"`{str(token)[:40]}`",
            help=repair(before, str(token), source.text[at.end : span.end]),
        )
    ) from None


def _at_end(source: SourceFile, span: Span, expected: set[str]) -> Diagnostic:
    text = source.text[span.start : span.end]
    missing = text.count("(") - text.count(")")
    hint = None
    if missing > 0:
        hint = f"{missing} `(` {'is' if missing == 1 else 'are'} not closed: add `{')' * min(missing, 10)}`"
    elif text.count("[") > text.count("]"):
        hint = "`[` is not closed: add `]`"
    return Diagnostic(
        "unfinished",
        "the statement ends too early",
        Location(source, Span(max(span.end - 1, span.start), span.end)),
        expected=_listed(expected),
        found="the end of the statement",
        help=hint,
    )


def _bad_character(source: SourceFile, span: Span, error: UnexpectedCharacters) -> NoReturn:
    position = error.pos_in_stream if error.pos_in_stream is not None else span.start
    char = source.text[position]
    before = source.text[span.start : position]
    allowed = error.allowed or set()
    if before.count("(") <= before.count(")"):
        allowed = allowed - {"RPAR", "COMMA"}  # the lexer's state knows less than the brackets do
    raise RuleError(
        Diagnostic(
            "bad-character",
            f"`{char if char.isprintable() else repr(char)[1:-1]}` (U+{ord(char):04X}) cannot stand here",
            Location(source, Span(position, position + 1)),
            expected=_listed(expected_words(allowed)),
            help=repair(before, char, source.text[position + 1 : span.end]),
        )
    ) from None


def _listed(words: set[str]) -> str:
    order = sorted(words, key=lambda w: (w.startswith("`"), w))
    return (
        order[0]
        if len(order) == 1
        else f"{', '.join(order[:-1])} or {order[-1]}"
        if order
        else "nothing more"
    )
