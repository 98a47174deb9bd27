"""What a value must be. Each check is said in words once;
it reads a value of Python or TOML, and a text of the command line."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruledsl.settings.layers import layers_of

LARGEST = 10**12
"""Of whole numbers: what is counted is smaller, and every sum of such numbers fits 64 bits."""
MOST_LAYERS = 1000


class Wrong(Exception):
    """A value that cannot be used; says what was expected."""


@dataclass(frozen=True)
class Check:
    """`expected` completes "needs …"; `read` gives the value in its type or raises;
    `parse` makes one from text."""

    expected: str
    read: Callable[[Any], Any]
    parse: Callable[[str], Any] = str
    metavar: str = "TEXT"
    choices: tuple[str, ...] = ()

    def __call__(self, value: Any) -> Any:
        """The value in its type. Raises `Wrong` with what was expected."""
        try:
            return self.read(value)
        except (TypeError, ValueError, OverflowError, _No):
            raise Wrong(self.expected) from None

    def text(self, value: str) -> Any:
        """A value of the command line. Raises `Wrong`."""
        try:
            return self(self.parse(value))
        except (TypeError, ValueError, OverflowError):
            raise Wrong(self.expected) from None


class _No(Exception):
    """Not such a value."""


def _that(holds: bool, value: Any) -> Any:
    if not holds:
        raise _No
    return value


def _text(value: Any) -> str:
    return _that(isinstance(value, str) and "\0" not in value, value)


def _flag(value: Any) -> bool:
    return _that(isinstance(value, bool), value)


def _number(value: Any) -> float:
    return float(
        _that(isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value), value)
    )


def _whole(value: Any) -> int:
    return _that(isinstance(value, int) and not isinstance(value, bool), value)


def _from(least: int, most: int = LARGEST) -> Callable[[Any], int]:
    return lambda value: _that(least <= _whole(value) <= most, value)


def _listed(value: Any) -> Sequence[Any]:
    return _that(isinstance(value, list | tuple), value)


def _sizes(value: Any) -> tuple[int, ...]:
    if isinstance(value, str):
        parts = value.replace(",", "-").split("-")
        value = [int(p) if p.isascii() and p.isdigit() else p for p in parts]
    entries = [v if isinstance(v, str) else _whole(v) for v in _listed(value)]
    return layers_of(_that(len(entries) <= MOST_LAYERS, entries))


def _objective(value: Any) -> tuple[tuple[str, float], ...]:
    if isinstance(value, str):
        value = _summands(value)
    pairs = tuple((_text(name), _number(weight)) for name, weight in _listed(value))
    return _that(bool(pairs), pairs)


_SUMMAND = re.compile(r"\s*([+-]?)\s*(?:((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*\*\s*)?([A-Za-z_]\w*)\s*")


def _summands(text: str) -> list[tuple[str, float]]:
    """`query + 0.1*activity` as names and weights; what is named twice counts twice."""
    found: dict[str, float] = {}
    place = 0
    while place < len(text):
        one = _SUMMAND.match(text, place)
        if one is None or (found and not one[1]):  # summands are told apart by their signs
            raise _No
        sign = -1.0 if one[1] == "-" else 1.0
        found[one[3]] = found.get(one[3], 0.0) + sign * float(one[2] or 1)
        place = one.end()
    return list(found.items())


def _numbers(value: Any) -> tuple[float, ...]:
    if isinstance(value, str):
        value = [float(p) for p in value.split(",")]
    listed = value if isinstance(value, list | tuple) else [value]
    return tuple(dict.fromkeys(_that(_number(v) >= 0, float(v)) for v in _that(bool(listed), listed)))


def numbers_of(value: Any) -> tuple[float, ...]:
    """Finite numbers, any number of them. Raises what `Check` expects."""
    return tuple(_number(v) for v in _listed(value))


def _coefficients(value: Any) -> dict[str, float]:
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        value = {name.strip(): float(_that(bool(equal), v)) for name, equal, v in pairs}
    return {_text(name): _number(v) for name, v in _that(isinstance(value, Mapping), value).items()}


def _window(value: Any) -> tuple[int, int]:
    first, last = (_whole(v) for v in _listed(value))
    return _that(0 <= first < last, (first, last))


def _pair(value: Any) -> tuple[float, float]:
    low, high = (_number(v) for v in _listed(value))
    return _that(low < high, (low, high))


def choice(*options: str) -> Check:
    """One of some words."""
    return Check(
        f"one of {', '.join(options)}",
        lambda v: _that(_text(v) in options, v),
        str,
        "|".join(options),
        options,
    )


text = Check('a text in "…"', _text)
name = Check("a name", _text, metavar="NAME")
flag = Check("true or false", _flag, lambda t: {"true": True, "false": False}[t.lower()])
number = Check("a finite number", _number, float, "NUMBER")
positive = Check("a number above 0", lambda v: _that(_number(v) > 0, float(v)), float, "NUMBER")
not_negative = Check("a number from 0", lambda v: _that(_number(v) >= 0, float(v)), float, "NUMBER")
fraction = Check(
    "a number from 0 to below 1", lambda v: _that(0 <= _number(v) < 1, float(v)), float, "NUMBER"
)
count, whole, several = (Check(f"a whole number from {n}", _from(n), int, "N") for n in (1, 0, 2))


def whole_up_to(least: int, most: int) -> Check:
    """A whole number in a range."""
    return Check(f"a whole number from {least} to {most}", _from(least, most), int, "N")


numbers = Check("finite numbers from 0, such as 0,0.1,1", _numbers, str, "NUMBERS")
sizes = Check(
    "at least two layer sizes, such as 784-170-47 or [784, 170, 47]; 784-8x5/2-47 has a convolution on a "
    "square picture",
    _sizes,
    str,
    "SIZES",
)
objective = Check(
    'objectives with finite weights, such as `query + 0.1*activity` or [["query", 1.0]]',
    _objective,
    str,
    "SUM",
)
coefficients = Check("NAME=VALUE,… with finite numbers", _coefficients, str, "NAME=VALUE,…")
names = Check(
    'a list of texts, ["a", "b"]', lambda v: tuple(_text(t) for t in _listed(v)), lambda t: [t], "NAME"
)
words = Check(
    "names, separated by commas",
    lambda v: tuple(_that(bool(_text(t)), t) for t in _listed(v)),
    lambda t: [part.strip() for part in t.split(",") if part.strip()],
    "NAME,…",
)
table = Check("a table, {…}", lambda v: _that(isinstance(v, dict), v))
window = Check("the first and the last episode, growing, [100, 500]", _window)
growing_pair = Check("two growing numbers, [a, b]", _pair)
entries = Check(
    "a list of texts or whole numbers, [1, 2, 3]",
    lambda v: tuple(
        _that(isinstance(e, str) or _whole(e) is not None, e) for e in _that(len(_listed(v)) > 0, v)
    ),
)


def record(needed: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """A table with known fields; others are passed over, as a later version may write them."""
    more = optional or {}

    def read(value: Any) -> dict[str, Any]:
        _that(isinstance(value, Mapping), value)
        missing = [field for field in needed if field not in value]
        if missing:
            raise Wrong(f"a field `{missing[0]}`")
        found = {**needed, **{field: check for field, check in more.items() if field in value}}
        return {field: _inside(check, value[field], f"`{field}`") for field, check in found.items()}

    return Check(f"a table with {', '.join(needed)}", read)


def each(check: Check) -> Check:
    """A list of equal things."""
    return Check(
        f"a list, each {check.expected}",
        lambda value: [_inside(check, v, f"number {n}") for n, v in enumerate(_listed(value))],
    )


def mapping(check: Check) -> Check:
    """A table with any names."""

    def read(value: Any) -> dict[str, Any]:
        return {k: _inside(check, v, f"`{k}`") for k, v in _that(isinstance(value, Mapping), value).items()}

    return Check(f"a table, each {check.expected}", read)


def _inside(check: Check, value: Any, where: str) -> Any:
    """A part of a table or list; what is wrong with it is said with its place."""
    try:
        return check(value)
    except Wrong as expected:
        inner = str(expected)
        raise Wrong(
            f"{where}: {inner}" if inner.startswith(("`", "number ")) else f"{where} as {inner}"
        ) from None


maybe_number = Check("a number, or null for what is not finite", lambda v: None if v is None else _number(v))
