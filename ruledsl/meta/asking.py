"""What may be asked while Θ is told of an episode: what other Θ come to on the same tasks.

A `tell` or `step` that asks is a generator: `losses, gradients = yield Again(thetas)`. So the runs of a
training ask side by side, and what all of them want to know is lived through at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from ruledsl.errors import PluginError


@dataclass(frozen=True)
class Again:
    """Other Θ (K, R) on the tasks just lived through, a question."""

    theta: Tensor
    with_gradients: bool = False

    def __post_init__(self) -> None:
        """Raises `PluginError` for anything but rows of coefficients."""
        if not isinstance(self.theta, Tensor) or self.theta.dim() != 2:
            shape = tuple(self.theta.shape) if isinstance(self.theta, Tensor) else type(self.theta).__name__
            raise PluginError(f"`Again` asks about Θs of shape (K, R), a row for each; it was given {shape}")


Answer = tuple[Tensor, Tensor]
"""Losses (K, T), and gradients (K, T, R), which are zero unless they were asked for."""
Found = TypeVar("Found")
Asking = Generator[Again, Answer, Found]
"""Something that asks before it knows."""
Told = bool | Asking[bool]
"""Whether an episode moved Θ, at once or after questions."""
Answers = Callable[[Sequence[tuple[int, Again]]], Sequence[Answer]]
"""Answers questions of several askers, each with the asker's number."""


def together(told: Sequence[Told], answers: Answers) -> list[bool]:
    """What each comes to, all of them asking side by side. Raises `PluginError` for what is no question.

    >>> import torch
    >>> def careful():
    ...     losses, _ = yield Again(torch.tensor([[1.0], [2.0]]))
    ...     return bool((losses < 2.0).all())
    >>> def squared(asked):
    ...     print(len(asked), "at once")
    ...     return [(again.theta.square(), again.theta.unsqueeze(1)) for _, again in asked]
    >>> together([careful(), True, careful()], squared)
    2 at once
    [False, True, False]
    """
    asking = {n: each for n, each in enumerate(told) if isinstance(each, Generator)}
    found = [n not in asking and _verdict(each) for n, each in enumerate(told)]
    answered: dict[int, Answer | None] = dict.fromkeys(asking)
    while asking:
        asked: list[tuple[int, Again]] = []
        for number, each in list(asking.items()):
            try:
                answer = answered[number]
                asked.append((number, _question(next(each) if answer is None else each.send(answer))))
            except StopIteration as end:
                found[number] = _verdict(end.value)
                del asking[number]
        if asked:
            given = answers(asked)
            answered = {number: answer for (number, _), answer in zip(asked, given, strict=True)}
    return found


def _question(given: object) -> Again:
    if not isinstance(given, Again):
        kind = type(given).__name__
        raise PluginError(f"a recipe asks by `losses, gradients = yield Again(thetas)`; it yielded a {kind}")
    return given


def _verdict(given: object) -> bool:
    if not isinstance(given, bool):
        raise PluginError(f"`tell` and `step` say whether Θ was moved, True or False; one gave {given!r}")
    return given


def concluded(told: Told, answer: Callable[[Again], Answer]) -> bool:
    """What one asker comes to, by whatever answers it."""
    return together([told], lambda asked: [answer(again) for _, again in asked])[0]
