"""The elementwise functions: one row each, with all that any stage must know of it.

A row is the whole of a built-in function: adding one is adding a row here. Libraries are handed in (`np`,
`torch`, `sp`), so nothing is imported before it is needed. Texts of other languages have `{0}` where the
argument goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ruledsl.ir.program import Builder

Slope = Callable[["Builder", int, int, float], "int | None"]
"""(builder, argument, result, beta) → derivative of the result, or None where it is 0 everywhere."""


@dataclass(frozen=True)
class Function:
    """An elementwise function. `beta` is the slope of those that have one (softplus), else 1."""

    name: str
    meaning: str
    latex: str
    exact: Callable[[Any, Any], Any]
    """(sympy, number): its value for a number."""
    numpy: Callable[[Any, Any, float], Any] | None = None
    """(numpy, array, beta)."""
    torch: Callable[[Any, Any, float], Any] | None = None
    """(torch, tensor, beta)."""
    numpy_text: str = ""
    torch_text: str = ""
    cpp: str = ""
    """`{1}` is beta."""
    brian_text: str = ""
    """As Brian2 writes it; without this as numpy does."""
    slope: Slope = lambda b, x, y, beta: None
    rewritten: Callable[[Any, Any], Any] | None = None
    """(sympy, expression): what the algebra reads it as; without this it stays a function of its argument."""
    atom: str = ""
    """The SymPy class it is read as, where that is kept as a function (Abs, sign)."""
    written: bool = True
    """Whether rules may call it."""
    kept: bool = False
    """Whether backward passes read its result instead of computing it again."""
    has_beta: bool = False
    odd: bool = False
    """Whether f(−x) = −f(x): the algebra then keeps one of both."""
    plugin_name: str = ""
    """What plugins call it, where Python has the name already."""

    @property
    def is_op(self) -> bool:
        """Whether programs have an op of this name; powers are another op."""
        return self.numpy is not None


def _one(b: Builder) -> int:
    return b.const(1.0)


def _stable_softplus(torch: Any, z: Any, beta: float) -> Any:
    # torch's own softplus turns linear beyond a threshold; this one is exact at every z.
    return torch.logaddexp(beta * z, torch.zeros_like(z)) / beta


def softplus_slope(b: Builder, result: int, beta: float) -> int:
    """σ'(z) = 1 − exp(−β σ(z)) for softplus of slope β, from its value (paper, below Eq. 3)."""
    return b.sub(b.const(1.0), b.unary("exp", b.mul(b.const(-beta), result)))


_ROWS = (
    Function(
        "exp", "exponential", r"\exp", lambda sp, v: sp.exp(v),
        lambda np, x, _: np.exp(x), lambda torch, x, _: x.exp(),
        "np.exp({0})", "torch.exp({0})", "fast_exp({0})",
        slope=lambda b, x, y, _: y,
    ),
    Function(
        "log", "natural logarithm", r"\log", lambda sp, v: sp.log(v),
        lambda np, x, _: np.log(x), lambda torch, x, _: x.log(),
        "np.log({0})", "torch.log({0})", "plain::log({0})",
        slope=lambda b, x, y, _: b.pow(x, -1.0), kept=True,
    ),
    Function(
        "tanh", "hyperbolic tangent", r"\tanh", lambda sp, v: sp.tanh(v),
        lambda np, x, _: np.tanh(x), lambda torch, x, _: x.tanh(),
        "np.tanh({0})", "torch.tanh({0})", "fast_tanh({0})",
        slope=lambda b, x, y, _: b.sub(_one(b), b.mul(y, y)), kept=True, odd=True,
    ),
    Function(
        "sigmoid", "1/(1 + exp(−x))", r"\operatorname{sigmoid}", lambda sp, v: 1 / (1 + sp.exp(-v)),
        lambda np, x, _: 1.0 / (1.0 + np.exp(-x)), lambda torch, x, _: x.sigmoid(),
        "1 / (1 + np.exp(-{0}))", "1 / (1 + torch.exp(-{0}))", "1 / (1 + fast_exp(-{0}))",
        slope=lambda b, x, y, _: b.mul(y, b.sub(_one(b), y)), kept=True,
    ),
    Function(
        "relu", "max(x, 0)", r"\operatorname{relu}", lambda sp, v: sp.Max(v, 0),
        lambda np, x, _: np.maximum(x, 0.0), lambda torch, x, _: x.relu(),
        "np.maximum({0}, 0)", "torch.relu({0})", "relu({0})", "clip({0}, 0, inf)",
        slope=lambda b, x, y, _: b.unary("step", x),
    ),
    Function(
        "softplus", "log(1 + exp(x))", r"\operatorname{softplus}", lambda sp, v: sp.log(1 + sp.exp(v)),
        lambda np, x, beta: np.logaddexp(0.0, beta * x) / beta, _stable_softplus,
        "np.logaddexp({0}, 0)", "torch.logaddexp({0}, 0 * {0})", "softplus({0}, real({1!r}))",
        "(clip({0}, 0, inf) + log1p(exp(-abs({0}))))",
        slope=lambda b, x, y, beta: softplus_slope(b, y, beta), kept=True, has_beta=True,
    ),
    Function(
        "sign", "−1, 0 or 1", r"\operatorname{sign}", lambda sp, v: sp.sign(v),
        lambda np, x, _: np.sign(x), lambda torch, x, _: x.sign(),
        "np.sign({0})", "torch.sign({0})", "sign({0})",
        rewritten=lambda sp, v: sp.sign(v), atom="sign",
    ),
    Function(
        "abs", "absolute value", r"\left| {0} \right|", lambda sp, v: sp.Abs(v),
        lambda np, x, _: np.abs(x), lambda torch, x, _: x.abs(),
        "np.abs({0})", "torch.abs({0})", "plain::abs({0})",
        slope=lambda b, x, y, _: b.unary("sign", x), rewritten=lambda sp, v: sp.Abs(v), atom="Abs",
        plugin_name="absolute",
    ),
    Function(
        "step", "1 where x > 0, else 0", r"\operatorname{step}", lambda sp, v: sp.Heaviside(v, 0),
        lambda np, x, _: (x > 0.0).astype(np.float64), lambda torch, x, _: (x > 0).to(x.dtype),
        "np.heaviside({0}, 0 * {0})", "torch.heaviside({0}, 0 * {0})", "({0} > 0 ? real(1) : real(0))",
        "int({0} > 0)",
        written=False,
    ),
    Function(
        "sqrt", "square root", r"\sqrt{{{0}}}", lambda sp, v: sp.sqrt(v), rewritten=lambda sp, v: sp.sqrt(v),
    ),
    Function(
        "square", "square", r"\operatorname{square}", lambda sp, v: v**2, rewritten=lambda sp, v: v**2,
    ),
)  # fmt: skip

FUNCTIONS: Mapping[str, Function] = {row.name: row for row in _ROWS}


def latex_call(name: str, argument: str) -> str:
    """A call as LaTeX; rows whose LaTeX has a place for the argument put it there."""
    form = FUNCTIONS[name].latex
    return form.format(argument) if "{0}" in form else rf"{form}\left({argument}\right)"
