"""What a value in a file of claims must be: checkers give the value in its type, or raise `Wrong` with the words."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from ruledsl.settings import TrainSettings

Checker = Callable[[Any], Any]


class Wrong(Exception):
    """A value that cannot be used; says what was expected."""


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong('a text in "…"')
    return value


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong("true or false")
    return value


def number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Wrong("a finite number")
    return float(value)


def not_negative(value: Any) -> float:
    if number(value) < 0:
        raise Wrong("a number from 0")
    return float(value)


def positive(value: Any) -> float:
    if number(value) <= 0:
        raise Wrong("a number above 0")
    return float(value)


def count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Wrong("a whole number from 1")
    return value


def growing_pair(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2 or not number(value[0]) < number(value[1]):
        raise Wrong("two growing numbers, [a, b]")
    return float(value[0]), float(value[1])


def window(value: Any) -> tuple[int, int]:
    """Episodes."""
    if (
        not isinstance(value, list)
        or len(value) != 2
        or any(isinstance(v, bool) or not isinstance(v, int) for v in value)
    ):
        raise Wrong("the first and the last episode, [100, 500]")
    if not 0 <= value[0] < value[1]:
        raise Wrong("two growing episodes, [100, 500]")
    return value[0], value[1]


def texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Wrong('a list of texts, ["a", "b"]')
    return tuple(text(v) for v in value)


def entries(value: Any) -> tuple[str | int, ...]:
    """Of `each`."""
    if (
        not isinstance(value, list)
        or not value
        or any(isinstance(v, bool) or not isinstance(v, str | int) for v in value)
    ):
        raise Wrong("a list of texts or whole numbers, [1, 2, 3]")
    return tuple(value)


def table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Wrong("a table, {…}")
    return value


def coefficients(value: Any) -> dict[str, float]:
    return {name: number(v) for name, v in table(value).items()}


def choice(options: Sequence[str]) -> Checker:
    def check(value: Any) -> str:
        if text(value) not in options:
            raise Wrong(f"one of {', '.join(options)}")
        return value

    return check


def sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) < 2:
        raise Wrong("layer sizes, [784, 170, 47]")
    return tuple(count(v) for v in value)


def objective(value: Any) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, list) or not value or any(not isinstance(v, list) or len(v) != 2 for v in value):
        raise Wrong('objectives with weights, [["query", 1.0]]')
    return tuple((text(name), number(weight)) for name, weight in value)


def fraction(value: Any) -> float:
    if not 0 <= number(value) < 1:
        raise Wrong("a number from 0 to below 1")
    return float(value)


def _literal(name: str) -> Checker:
    """The choices that `TrainSettings` itself names."""
    return choice(typing.get_args(typing.get_type_hints(TrainSettings)[name]))


SETTINGS: Mapping[str, Checker] = {
    "sizes": sizes,
    "beta": positive,
    "labels": count,
    "shots": count,
    "queries": count,
    "episodes": count,
    "learning_rate": positive,
    "feedback": text,
    "recipe": text,
    "meta_batch": count,
    "engine": _literal("engine"),
    "backend": _literal("backend"),
    "dtype": _literal("dtype"),
    "tasks": text,
    "objective": objective,
    "optimiser": text,
    "diagnostics": texts,
    "activation": text,
    "output": _literal("output"),
    "bias": flag,
    "third": _literal("third"),
    "inhibitory": fraction,
    "feedback_noise": not_negative,
    "init": choice(("xavier", "kaiming", "orthogonal")),
}
"""Every setting that an experiment may change."""
LEFT_OUT = {"threads", "teacher", "device"}
"""Settings of the machine, and planted rules, which claims do not touch."""

assert set(SETTINGS) | LEFT_OUT == {f.name for f in fields(TrainSettings)}
