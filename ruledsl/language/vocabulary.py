"""Every name the language knows, each with its shape, its meaning and its printed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ruledsl.ir import ELEMENTWISE, FEEDBACK, SCALAR, WEIGHTS, Shape

POST = Shape("post")
PRE = Shape("pre")
SIDES = (("pre", "post"), ("post", "pre"))


@dataclass(frozen=True)
class Quantity:
    """Something a term may read: its shape, its LaTeX, and a line that says what it is."""

    name: str
    shape: Shape
    latex: str
    meaning: str
    is_count: bool = False
    """Of what a synapse has met itself: a positive number, that nobody need tell it."""


QUANTITIES = {
    q.name: q
    for q in (
        Quantity("y_pre", PRE, r"\mathbf{y}_{\ell-1}", "activity of the presynaptic layer"),
        Quantity("y_post", POST, r"\mathbf{y}_{\ell}", "activity of the postsynaptic layer"),
        Quantity(
            "z_pre",
            PRE,
            r"\mathbf{z}_{\ell-1}",
            "pre-activation of the presynaptic layer (the input itself at ℓ = 1)",
        ),
        Quantity("z_post", POST, r"\mathbf{z}_{\ell}", "pre-activation of the postsynaptic layer"),
        Quantity("e_pre", PRE, r"\mathbf{e}_{\ell-1}", "modulatory signal of the presynaptic layer"),
        Quantity("e_post", POST, r"\mathbf{e}_{\ell}", "modulatory signal of the postsynaptic layer"),
        Quantity("W", WEIGHTS, r"\mathbf{W}_{\ell-1,\ell}", "weights, one row per postsynaptic cell"),
        Quantity("1_pre", PRE, r"\mathbf{1}_{\ell-1}", "ones, one per presynaptic cell"),
        Quantity("1_post", POST, r"\mathbf{1}_{\ell}", "ones, one per postsynaptic cell"),
        Quantity("n_pre", SCALAR, r"n_{\ell-1}", "number of presynaptic cells"),
        Quantity("n_post", SCALAR, r"n_{\ell}", "number of postsynaptic cells"),
        Quantity("third", SCALAR, "m", "third factor: one number that every synapse hears, such as surprise"),
        Quantity("age", SCALAR, "t", "samples the synapse has seen, this one included: 1, 2, …", True),
        Quantity("exc_pre", PRE, r"\mathbf{x}_{\ell-1}", "1 for excitatory presynaptic cells, 0 for others"),
        Quantity("exc_post", POST, r"\mathbf{x}_{\ell}", "1 for excitatory postsynaptic cells, 0 for others"),
        Quantity("inh_pre", PRE, r"\mathbf{h}_{\ell-1}", "1 for inhibitory presynaptic cells, 0 for others"),
        Quantity("inh_post", POST, r"\mathbf{h}_{\ell}", "1 for inhibitory postsynaptic cells, 0 for others"),
        Quantity(
            "B", FEEDBACK, r"\mathbf{B}_{\ell,\ell-1}", "feedback weights; only terms for `B` may read them"
        ),
        Quantity("bias", POST, r"\mathbf{b}_{\ell}", "biases; only terms for `bias` may read them"),
        Quantity(
            "noise_pre",
            PRE,
            r"\boldsymbol{\xi}_{\ell-1}",
            "noise that presynaptic cells emit while nothing is shown; only terms for `B` may read it",
        ),
        Quantity(
            "response_post",
            POST,
            r"\boldsymbol{\rho}_{\ell}",
            "what that noise evokes, W noise_pre; only terms for `B` may read it",
        ),
    )
}


@dataclass(frozen=True)
class Target:
    """What terms can move: its shape, and the quantities that only its own terms may read or that they may
    not."""

    name: str
    shape: Shape
    shown_shape: str
    own: tuple[str, ...]
    hidden: tuple[str, ...]
    meaning: str


TARGETS = {
    t.name: t
    for t in (
        Target("W", WEIGHTS, "post×pre", (), (), "forward weights"),
        Target("B", FEEDBACK, "pre×post", ("B", "noise_pre", "response_post"), ("W",), "feedback weights"),
        Target("bias", POST, "post", ("bias",), ("W",), "biases"),
    )
}

OTHER_SIDE = {
    **{f"{q}_{a}": f"{q}_{b}" for q in ("y", "z", "e", "1", "n", "exc", "inh") for a, b in SIDES},
    "B": "W",
    "noise_pre": "noise_post",
    "response_post": "response_pre",
}
"""A quantity as the feedback synapse sees it, which runs from the postsynaptic to the presynaptic cell."""

INTERNAL = {"noise_post": POST, "response_pre": PRE}
"""Shapes of names that only this change of sides makes."""


def shape_of_quantity(name: str) -> Shape:
    """The shape of a quantity, seen from either side."""
    return QUANTITIES[name].shape if name in QUANTITIES else INTERNAL[name]


def is_count(name: str) -> bool:
    """Whether a name stands for a count of a synapse's own."""
    return name in QUANTITIES and QUANTITIES[name].is_count


def readable_by(target: str) -> list[str]:
    """The quantities that terms for a target may read."""
    withheld = {name for t in TARGETS.values() if t.name != target for name in t.own}
    return [name for name in QUANTITIES if name not in withheld and name not in TARGETS[target].hidden]


def why_hidden(name: str, target: str) -> str:
    """Why terms for a target may not read a quantity."""
    if target == "W" and name == "B":
        return FEEDBACK_HIDDEN
    if target == "B" and name == "W":
        opposite = "the forward synapse that runs the other way"
        return f"a feedback synapse has no access to {opposite} (weight transport)"
    owner = next((t.name for t in TARGETS.values() if name in t.own), None)
    return f"it is known where `{owner}` is" if owner else f"a {target} has no synapse of its own"


@dataclass(frozen=True)
class FunctionSpec:
    """A function a term may call: how many arguments, of which kind, and what it gives."""

    name: str
    arity: int
    kind: Literal["elementwise", "reduction", "vector", "memory"]
    meaning: str
    latex: str = ""
    """With `{0}`, `{1}` for the arguments."""


FUNCTIONS = {
    f.name: f
    for f in (
        FunctionSpec("sum", 1, "reduction", "sum of all entries", r"\operatorname{{sum}}\left({0}\right)"),
        FunctionSpec("mean", 1, "reduction", "mean of all entries", r"\operatorname{{mean}}\left({0}\right)"),
        FunctionSpec("norm", 1, "reduction", "square root of the sum of squared entries", r"\left\lVert {0} "
            r"\right\rVert"),
        FunctionSpec(
            "outer", 2, "vector", "outer product u vᵀ of two vectors",
            r"\left({0}\right){{\left({1}\right)}}^{{\top}}",
        ),
        FunctionSpec(
            "diag", 1, "vector", "diagonal matrix of a vector", r"\operatorname{{diag}}\left({0}\right)"
        ),
        FunctionSpec(
            "trace", 2, "memory", "trace(x, tau): leaky average of x over about tau samples, this one "
            "included",
            r"\operatorname{{trace}}\left({0}, {1}\right)",
        ),
        *(FunctionSpec(f.name, 1, "elementwise", f.meaning) for f in ELEMENTWISE.values() if f.written),
    )
}  # fmt: skip
"""Every function a term may call; the elementwise ones are those of `ir.functions`."""

KEYWORDS = ("term", "rule", "let", "const", "for")

_OTHER_LAYER = "it belongs to another layer, and a synapse has no access to other layers than its own two"
FEEDBACK_HIDDEN = (
    "feedback weights are not present at forward synapses; their effect arrives as `e_pre` and `e_post`"
)
_TEACHER = "the teacher's signal reaches a synapse only as the modulatory signals `e_pre` and `e_post`"

NON_LOCAL = {
    **dict.fromkeys(("y_out", "y_L", "y_last", "e_out", "e_L", "e_last", "z_out", "z_L"), _OTHER_LAYER),
    **dict.fromkeys(
        ("y_next", "e_next", "z_next", "W_next", "y_prev", "e_prev", "z_prev", "W_prev"), _OTHER_LAYER
    ),
    **dict.fromkeys(("B_pre", "B_post", "B_next"), FEEDBACK_HIDDEN),
    **dict.fromkeys(
        ("loss", "Loss", "target", "label", "labels", "y_true", "y_target", "y_star", "error"), _TEACHER
    ),
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
}
"""Near synonyms that no spelling distance would find."""
