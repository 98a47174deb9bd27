"""Everything a plugin may use: a plugin file imports this module, and nothing else of ruledsl.

The decorators name the kind: `@feedback("direct")` above a function makes it available as `--feedback direct`.
docs/plugins.md shows each kind; `ruledsl plugin-test FILE` says whether a plugin keeps its contract.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ruledsl.ir.values import Applicable, Value
from ruledsl.registry import register

if TYPE_CHECKING:
    from ruledsl.meta.optimisers import Adam, Optimiser, Recipe, Terms, TorchOptimiser, vector
    from ruledsl.network.measure import AdaptedView
    from ruledsl.network.objectives import EndView
    from ruledsl.network.step import Pathway, SampleView
    from ruledsl.tasks import ImageSource, Task, TaskRequest

T = TypeVar("T", bound=Callable[..., Any])


class _Decorator(Protocol):
    def __call__(self, name: str, **options: Any) -> Callable[[T], T]: ...


feedback: _Decorator = partial(register, "feedback")
activation: _Decorator = partial(register, "activation")
function: _Decorator = partial(register, "function")
task: _Decorator = partial(register, "task")
objective: _Decorator = partial(register, "objective")
optimiser: _Decorator = partial(register, "optimiser")
recipe: _Decorator = partial(register, "recipe")
diagnostic: _Decorator = partial(register, "diagnostic")

V = TypeVar("V", bound=Applicable)


def exp(x: V) -> V:
    return x.apply("exp")  # type: ignore[return-value]  # gives its own kind back


def log(x: V) -> V:
    return x.apply("log")  # type: ignore[return-value]


def tanh(x: V) -> V:
    return x.apply("tanh")  # type: ignore[return-value]


def sigmoid(x: V) -> V:
    return x.apply("sigmoid")  # type: ignore[return-value]


def relu(x: V) -> V:
    return x.apply("relu")  # type: ignore[return-value]


def sign(x: V) -> V:
    return x.apply("sign")  # type: ignore[return-value]


def step(x: Value) -> Value:
    """1 where x > 0, else 0."""
    return x.apply("step")


def absolute(x: V) -> V:
    return x.apply("abs")  # type: ignore[return-value]


def softplus(x: Value, beta: float = 1.0) -> Value:
    """log(1 + exp(βx))/β without overflow."""
    return Value(x.builder, x.builder.unary("softplus", x.number, beta))


_ELSEWHERE = {
    "Optimiser": "ruledsl.meta.optimisers",
    "Recipe": "ruledsl.meta.optimisers",
    "Adam": "ruledsl.meta.optimisers",
    "Terms": "ruledsl.meta.optimisers",
    "TorchOptimiser": "ruledsl.meta.optimisers",
    "vector": "ruledsl.meta.optimisers",
    "AdaptedView": "ruledsl.network.measure",
    "EndView": "ruledsl.network.objectives",
    "Pathway": "ruledsl.network.step",
    "SampleView": "ruledsl.network.step",
    "ImageSource": "ruledsl.tasks",
    "Task": "ruledsl.tasks",
    "TaskRequest": "ruledsl.tasks",
}
"""Loaded when a plugin asks for them: rules that use a plugin's function must be checked without loading torch."""

__all__ = [
    "Adam", "AdaptedView", "EndView", "ImageSource", "Optimiser", "Pathway", "Recipe", "SampleView", "Task",
    "TaskRequest", "Terms", "TorchOptimiser", "Value", "absolute", "activation", "diagnostic", "exp", "feedback",
    "function", "log", "objective", "optimiser", "recipe", "relu", "sigmoid", "sign", "softplus", "step", "tanh",
    "task", "vector",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        return getattr(import_module(_ELSEWHERE[name]), name)
    raise AttributeError(f"ruledsl.plugin has no `{name}`; it offers {', '.join(__all__)}")
