"""Everything a plugin may use: a plugin file imports this module, and nothing else of ruledsl.

The decorators name the kind: `@feedback("direct")` above a function makes it available as `--feedback
direct`. docs/plugins.md shows each kind; `ruledsl plugin-test FILE` says whether a plugin keeps its contract.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Protocol, TypeVar

from ruledsl.ir import ELEMENTWISE, Applicable, Value
from ruledsl.registry import register

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
executor: _Decorator = partial(register, "executor")
target: _Decorator = partial(register, "target")
analysis: _Decorator = partial(register, "analysis")
proposer: _Decorator = partial(register, "proposer")

V = TypeVar("V", bound=Applicable)


def softplus(x: Value, beta: float = 1.0) -> Value:
    """log(1 + exp(βx))/β without overflow."""
    return Value(x.builder, x.builder.unary("softplus", x.number, beta))


_FUNCTIONS = {f.plugin_name or f.name: f.name for f in ELEMENTWISE.values() if f.is_op and not f.has_beta}
"""Elementwise functions by the name they have here: those of the op table, each a function of one value."""
_ELSEWHERE = {
    **dict.fromkeys(
        (
            "Adam",
            "Again",
            "Asking",
            "Coefficients",
            "Guilt",
            "Optimiser",
            "Recipe",
            "Room",
            "TorchOptimiser",
            "guilt_of",
            "reach",
            "vector",
        ),
        "ruledsl.meta",
    ),
    "AdaptedView": "ruledsl.measures",
    "EndView": "ruledsl.engines",
    **dict.fromkeys(("Pathway", "SampleView"), "ruledsl.network"),
    **dict.fromkeys(("ImageSource", "Task", "TaskRequest"), "ruledsl.tasks"),
    **dict.fromkeys(("Far", "Here", "Place", "Processes"), "ruledsl.studies"),
    **dict.fromkeys(("NotExpressible", "Subject"), "ruledsl.exports"),
    **dict.fromkeys(("Analysed", "Finding"), "ruledsl.theory"),
    **dict.fromkeys(("Grown", "Idea", "Scene"), "ruledsl.discovery"),
    "require": "ruledsl.errors",
}
"""Loaded when a plugin asks for them: rules that use a plugin's function must be checked without loading
torch."""

__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    *_FUNCTIONS,
    *_ELSEWHERE,
    "Value",
    "activation",
    "analysis",
    "diagnostic",
    "executor",
    "feedback",
    "function",
    "objective",
    "optimiser",
    "proposer",
    "recipe",
    "softplus",
    "target",
    "task",
]


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        return getattr(import_module(_ELSEWHERE[name]), name)
    if name in _FUNCTIONS:
        return _elementwise(_FUNCTIONS[name])
    raise AttributeError(f"ruledsl.plugin has no `{name}`; it offers {', '.join(__all__)}")


def _elementwise(name: str) -> Callable[[V], V]:
    """A function of the table, applied entry by entry to whatever knows it."""

    def apply(x: V) -> V:
        return x.apply(name)  # type: ignore[return-value]  # gives its own kind back

    apply.__name__, apply.__doc__ = name, ELEMENTWISE[name].meaning
    return apply
