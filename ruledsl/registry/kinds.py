"""The kinds of plugin, the form each must have, and the decorator that registers one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Kind:
    """What a plugin of this kind is given, and what is made of it."""

    name: str
    parameters: tuple[str, ...]
    """Names of a function's parameters; for a class, of the methods it must have."""
    is_class: bool
    gives: str
    options: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    k.name: k
    for k in (
        Kind("feedback", ("net",), False, "the errors of every layer, by `net.carry`"),
        Kind("activation", ("z", "beta"), False, "the activity of hidden cells", ("slope",)),
        Kind("function", ("x",), False, "an elementwise function of the rule language"),
        Kind("task", ("request",), False, "a `Task`: a stream and its query set"),
        Kind("objective", ("view",), False, "a number to be made small", ("when", "points", "network")),
        Kind(
            "optimiser", ("ask", "tell", "state", "restore"), True, "Θ's next candidates", ("needs_gradient",)
        ),
        Kind("recipe", ("step", "state", "restore"), True, "how Θ moves, safely"),
        Kind("diagnostic", ("view",), False, "one number per run, a column of metrics.csv"),
        Kind("executor", ("address",), False, "where cells of a study run: a `Place`"),
        Kind("target", ("subject",), False, "a rule as the text of a file in another language"),
        Kind("proposer", ("scene",), False, "rules that a search tries next: `Idea`s, as text"),
        Kind("analysis", ("subject",), False, "sentences on what a rule does, for `explain`"),
    )
}


@dataclass(frozen=True)
class Registered:
    """A plugin in use: its object and the options its decorator was given."""

    kind: str
    name: str
    item: Any
    options: Mapping[str, Any] = field(default_factory=dict)


class WrongForm(Exception):
    """A plugin whose signature is not that of its kind."""


_open: list[list[Registered]] = []
"""The file being loaded collects its plugins here."""


def register(kind: str, name: str, **options: Any) -> Callable[[T], T]:
    """The decorator behind every kind. Checks the signature when the file is loaded."""

    def decorate(item: T) -> T:
        problem = _problem(KINDS[kind], item, options)
        if problem:
            raise WrongForm(f"{kind} `{name}` {problem}")
        if _open:
            _open[-1].append(Registered(kind, name, item, options))
        return item

    return decorate


def _problem(kind: Kind, item: Any, options: Mapping[str, Any]) -> str | None:
    unknown = [o for o in options if o not in kind.options]
    if unknown:
        allowed = ", ".join(f"`{o}`" for o in kind.options) or "none"
        return f"has an unknown option `{unknown[0]}`; there are: {allowed}"
    if kind.is_class:
        missing = [m for m in kind.parameters if not callable(getattr(item, m, None))]
        if not inspect.isclass(item):
            return f"must be a class with the methods {', '.join(kind.parameters)}"
        return f"lacks the method `{missing[0]}`" if missing else None
    if inspect.isclass(item):
        return "must be a function, not a class"
    parameters = tuple(p.name for p in inspect.signature(item).parameters.values())
    if parameters != kind.parameters:
        return f"takes ({', '.join(parameters)}); a {kind.name} takes ({', '.join(kind.parameters)})"
    return None
