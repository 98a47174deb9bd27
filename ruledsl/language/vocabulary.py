"""Every name the language knows, each with its shape, its meaning and its printed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ruledsl.ir.kinds import SCALAR, WEIGHTS, Shape

POST = Shape("post")
PRE = Shape("pre")


@dataclass(frozen=True)
class Quantity:
    """Something a term may read: its shape, its LaTeX, and a line that says what it is."""

    name: str
    shape: Shape
    latex: str
    meaning: str


QUANTITIES = {
    q.name: q
    for q in (
        Quantity("y_pre", PRE, r"\mathbf{y}_{\ell-1}", "activity of the presynaptic layer"),
        Quantity("y_post", POST, r"\mathbf{y}_{\ell}", "activity of the postsynaptic layer"),
        Quantity(
            "z_pre", PRE, r"\mathbf{z}_{\ell-1}", "pre-activation of the presynaptic layer (the input itself at ℓ = 1)"
        ),
        Quantity("z_post", POST, r"\mathbf{z}_{\ell}", "pre-activation of the postsynaptic layer"),
        Quantity("e_pre", PRE, r"\mathbf{e}_{\ell-1}", "modulatory signal of the presynaptic layer"),
        Quantity("e_post", POST, r"\mathbf{e}_{\ell}", "modulatory signal of the postsynaptic layer"),
        Quantity("W", WEIGHTS, r"\mathbf{W}_{\ell-1,\ell}", "weights, one row per postsynaptic cell"),
        Quantity("1_pre", PRE, r"\mathbf{1}_{\ell-1}", "ones, one per presynaptic cell"),
        Quantity("1_post", POST, r"\mathbf{1}_{\ell}", "ones, one per postsynaptic cell"),
        Quantity("n_pre", SCALAR, r"n_{\ell-1}", "number of presynaptic cells"),
        Quantity("n_post", SCALAR, r"n_{\ell}", "number of postsynaptic cells"),
    )
}

READABLE = ("y_pre", "y_post", "z_pre", "z_post", "e_pre", "e_post", "W")
"""The quantities that carry values of a synapse layer (ones and sizes do not)."""


@dataclass(frozen=True)
class FunctionSpec:
    """A function a term may call: how many arguments, of which kind, and what it gives."""

    name: str
    arity: int
    kind: Literal["elementwise", "reduction", "vector"]
    meaning: str


FUNCTIONS = {
    f.name: f
    for f in (
        FunctionSpec("sum", 1, "reduction", "sum of all entries"),
        FunctionSpec("mean", 1, "reduction", "mean of all entries"),
        FunctionSpec("norm", 1, "reduction", "square root of the sum of squared entries"),
        FunctionSpec("outer", 2, "vector", "outer product u vᵀ of two vectors"),
        FunctionSpec("diag", 1, "vector", "diagonal matrix of a vector"),
        FunctionSpec("exp", 1, "elementwise", "exponential"),
        FunctionSpec("log", 1, "elementwise", "natural logarithm"),
        FunctionSpec("tanh", 1, "elementwise", "hyperbolic tangent"),
        FunctionSpec("sigmoid", 1, "elementwise", "1/(1 + exp(−x))"),
        FunctionSpec("relu", 1, "elementwise", "max(x, 0)"),
        FunctionSpec("softplus", 1, "elementwise", "log(1 + exp(x))"),
        FunctionSpec("sign", 1, "elementwise", "−1, 0 or 1"),
        FunctionSpec("abs", 1, "elementwise", "absolute value"),
        FunctionSpec("sqrt", 1, "elementwise", "square root"),
        FunctionSpec("square", 1, "elementwise", "square"),
    )
}

KEYWORDS = ("term", "rule", "let", "const", "for")

_OTHER_LAYER = "it belongs to another layer, and a synapse has no access to other layers than its own two"
_FEEDBACK = "feedback weights are not present at forward synapses; their effect arrives as `e_pre` and `e_post`"
_TEACHER = "the teacher's signal reaches a synapse only as the modulatory signals `e_pre` and `e_post`"

NON_LOCAL = {
    **dict.fromkeys(("y_out", "y_L", "y_last", "e_out", "e_L", "e_last", "z_out", "z_L"), _OTHER_LAYER),
    **dict.fromkeys(("y_next", "e_next", "z_next", "W_next", "y_prev", "e_prev", "z_prev", "W_prev"), _OTHER_LAYER),
    **dict.fromkeys(("B", "B_pre", "B_post", "B_next"), _FEEDBACK),
    **dict.fromkeys(("loss", "Loss", "target", "label", "labels", "y_true", "y_target", "y_star", "error"), _TEACHER),
    **dict.fromkeys(("x", "input"), "the network's input is visible to the first layer only, as `y_pre`"),
}
"""Names that people try because a computer could read them; a synapse could not. Each with the reason."""

ALIASES = {
    "ones_pre": "1_pre",
    "ones_post": "1_post",
    "one_pre": "1_pre",
    "one_post": "1_post",
    "w": "W",
    "N_pre": "n_pre",
    "N_post": "n_post",
    "σ": "sigmoid",
    "max": "relu",
    "pow": ".^",
    "dot": "*",
    "matmul": "*",
    "transpose": "^T",
    "power": ".^",
    "trace": "sum",
}
"""Near synonyms that no spelling distance would find."""
