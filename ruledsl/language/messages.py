"""Words for syntax faults: what was expected in the user's terms, and the likely repair."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ruledsl.ir import BY_TERMINAL

_OPERAND = "a quantity, a number or `(`"
_WORDS = {
    "NAME": _OPERAND,
    "NUMBER": _OPERAND,
    "ONES": _OPERAND,
    "LPAR": _OPERAND,
    **dict.fromkeys(BY_TERMINAL, "an operator"),
    "CARET": "an operator",
    "DOT_CARET": "an operator",
    "TRANSPOSE": "an operator",
    "STRING": 'a note in "…"',
    "EQUAL": "`=`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "COMMA": "`,`",
    "RANGE": "a range such as `2..4`",
    "FOR": "`for`",
    "TERM": "`term`",
    "RULE": "`rule`",
    "LET": "`let`",
    "CONST": "`const`",
    "$END": "the end of the statement",
}
_OPENS_OPERAND = {"NUMBER", "ONES", "LPAR"}


def expected_words(terminals: Iterable[str], in_rule: bool = False) -> set[str]:
    """The terminals a parser would accept, said in words; signs before an operand go without saying."""
    names = set(terminals)
    words = {_WORDS.get(name, f"`{name.lower()}`") for name in names}
    if in_rule and "PLUS" in names:  # a rule is a sum and nothing else
        words = words - {"an operator"} | {"`+`"}
    if "NAME" in names and not names & _OPENS_OPERAND:
        words = {w for w in words if w != _OPERAND} | {"a name"}
    elif "TIMES" in names:
        words.discard(_OPERAND)
    elif names & _OPENS_OPERAND:
        words.discard("an operator")
    return words


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate a person most likely meant, or None when nothing is near."""
    options = list(candidates)
    by_lower = {option.lower(): option for option in reversed(options)}
    match = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[match[0]] if match else None


_REPLACEMENTS = {
    "**": "`.^` raises each entry to a power: write `.^2`",
    "@": "the matrix product is written `*`",
    "'": "transpose is written `^T`",
    "==": "a definition has one `=`",
    ":": "a definition is written `term NAME = EXPRESSION`",
    ";": "statements need no `;`: begin the next one on a new line",
    "%": "comments begin with `#`",
    "[": "attributes come last, once, and are separated by commas",
    "{": "use round parentheses",
}


def repair(before: str, found: str, after: str) -> str | None:
    """A likely repair for the text `found` between `before` and `after`, or None."""
    previous = before.rstrip()
    last = previous[-1:] if previous else ""
    if found in ("*", "×", "·") and last in ("*", "×", "·"):
        return _REPLACEMENTS["**"]
    if found == "=" and last == "=":
        return _REPLACEMENTS["=="]
    if found == "." and after.startswith("T"):
        return "transpose is written `^T`"
    if found in _REPLACEMENTS:
        return _REPLACEMENTS[found]
    if found == ")":
        return "this `)` closes nothing: remove it"
    if found == '"':
        return 'a note is closed by `"` on the same line'
    if found == "-" and previous.split(None, 1)[:1] == ["rule"]:
        return (
            "a rule is a sum; θ is free in sign, so write `+` (or `-1 * NAME` to fix the coefficient at −1)"
        )
    starts_operand = found[:1].isalnum() or found[:1] in "(_"
    if starts_operand and (last.isalnum() or last in ")_ᵀ") and "=" in previous:
        return f"write `*` between `{_last_word(previous)}` and `{found}`"
    if last in "+-*/" and found in "*/+)":
        return f"an operand is missing between `{last}` and `{found}`"
    if found[:1].isalnum() and not previous.count("=") and previous.split()[:1] == ["term"]:
        return "put `=` between the name and the expression"
    return None


def _last_word(text: str) -> str:
    return text.rsplit(maxsplit=1)[-1].rsplit("*", 1)[-1]
