"""What one forward and backward pass showed of every layer: its cells below and above, and their errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ruledsl.errors import ModelError
from ruledsl.torch.geometry import Geometry

ACTIVATIONS = frozenset({
    "relu", "relu6", "tanh", "sigmoid", "softplus", "gelu", "silu", "mish", "elu", "celu", "selu",
    "leaky_relu", "hardtanh", "hardswish", "hardsigmoid", "softsign", "softmax", "log_softmax",
})  # fmt: skip
"""torch's functions that make a layer's activity of its pre-activation."""
RESHAPING = frozenset(
    {"flatten", "reshape", "view", "view_as", "squeeze", "unsqueeze", "contiguous", "unflatten"}
)
"""Functions whose result is the same cells in the same order."""


@dataclass(eq=False)
class Synapses:
    """The weights of one layer of a model, and how its tensors are read."""

    name: str
    weight: Tensor
    bias: Tensor | None
    geometry: Geometry
    number: int
    """ℓ of the paper, from 1, in the order in which the model's layers are defined."""
    rnn: bool = False
    owner: nn.Module | None = None
    parameter: str = "weight"

    def refuse_replaced(self) -> None:
        """Raise `ModelError` when the module's weights are others than those that the rule moves."""
        if self.owner is not None and getattr(self.owner, self.parameter) is not self.weight:
            raise ModelError(
                f"`{self.name}`: its weights were replaced after the rule was attached (by an assignment, "
                "load_state_dict(assign=True) or functional_call); attach the rule again"
            )

    @property
    def sizes(self) -> dict[str, int]:
        """n_pre and n_post as the layer's programs name them."""
        matrix = self.weight.flatten(1)
        return {f"n{self.number - 1}": matrix.shape[1], f"n{self.number}": matrix.shape[0]}


@dataclass(frozen=True)
class Activation:
    """A function of torch as it was called on a pre-activation."""

    function: Callable[..., Tensor]
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.function.__name__

    def __call__(self, z: Tensor) -> Tensor:
        if self.name == "log_softmax":  # the cells' activity is the probability
            return self.function(z, *self.arguments, **self.options).exp()
        return self.function(z, *self.arguments, **self.options)

    def slope(self, y: Tensor) -> Tensor:
        """σ′ of cells whose activity is known: of inputs, as if such cells had computed them (paper, below
        Eq. 3). Where activity does not tell it, σ′(z) at z = y."""
        if self.name == "relu":
            return (y > 0).to(y)
        if self.name == "tanh":
            return 1.0 - y * y
        if self.name == "sigmoid":
            return y * (1.0 - y)
        if self.name == "softplus":
            beta = self.options.get("beta", self.arguments[0] if self.arguments else 1.0)
            return 1.0 - torch.exp(-beta * y)
        with torch.enable_grad():
            z = y.detach().requires_grad_()
            return torch.autograd.grad(self(z).sum(), z)[0]


@dataclass(eq=False)
class Visit:
    """One call of a layer: what it was given and gave, and what came back."""

    synapses: Synapses
    x: Tensor
    tape: Tape = field(repr=False)
    feeds: bool = False
    """Whether z itself is the input of another layer."""
    z: Tensor | None = None
    y: Tensor | None = None
    activation: Activation | None = None
    other: str = ""
    """A function that was called on z and is no activation that is known."""
    source: Visit | None = None
    """The call whose activity the input is, cell by cell."""
    error: Tensor | None = None
    """The loss's cotangent at z."""
    signal: Tensor | None = None
    """What was sent back to x."""
    versions: list[tuple[Tensor, int]] = field(default_factory=list, repr=False)
    """What was seen, and how often each had been written to then."""

    def seen(self, value: Tensor) -> Tensor:
        """A tensor without its graph, to be looked at when the loss is known."""
        kept = value.detach()
        self.versions.append((kept, kept._version))
        return kept

    def refuse_overwritten(self) -> None:
        """Raise `ModelError` when what was seen has been written to since."""
        if any(value._version != version for value, version in self.versions):
            raise ModelError(
                f"`{self.synapses.name}`: its input, output or activity was overwritten after the layer was "
                "called, and the rule still has to see it; use the form that is not in place"
            )


@dataclass(eq=False)
class Tape:
    """The calls of one forward pass, in order."""

    samples: int
    closed: bool = False
    """Whether another forward pass has begun since."""
    visits: list[Visit] = field(default_factory=list)
    _potentials: dict[int, list[Visit]] = field(default_factory=dict)
    _activities: dict[int, Visit] = field(default_factory=dict)
    _kept: list[Tensor] = field(default_factory=list)

    def visit(self, synapses: Synapses, x: Tensor) -> Visit:
        """A new call of a layer."""
        for below in self._potentials.get(id(x), ()):
            below.feeds = True
        found = Visit(synapses, x, self, source=self._activities.get(id(x)))
        found.x = found.seen(x)
        self.visits.append(found)
        return found

    def computed(self, z: Tensor, visits: Sequence[Visit]) -> Tensor:
        """Some calls gave z together: their pre-activation."""
        for visit in visits:
            visit.z = visit.seen(z)
        self._potentials[id(z)] = list(visits)
        self._kept.append(z)  # or a later tensor might be given its id
        return z

    def saw(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], out: Any
    ) -> None:
        """The model called a function of torch."""
        name = getattr(function, "__name__", "")
        if name == "scaled_dot_product_attention":
            raise ModelError(ATTENTION)
        known = name in ACTIVATIONS or name in RESHAPING
        for argument in _tensors((*args, *kwargs.values())):
            for visit in self._potentials.get(id(argument), ()):
                visit.other = visit.other or ("" if known else name)
        first = args[0] if args else kwargs.get("input")
        if not isinstance(first, Tensor):
            return
        visits = self._potentials.get(id(first), [])
        if visits and (_is_in_place(name) or (out is first and name in ACTIVATIONS)):
            raise ModelError(
                f"`{visits[0].synapses.name}`: `{name}` overwrites what the layer computed, which the rule "
                "still has to see; use the form that is not in place"
            )
        if not isinstance(out, Tensor):
            return
        if visits and name in ACTIVATIONS:
            self._is_activity(first, out, visits, Activation(function, tuple(args[1:]), dict(kwargs)))
        elif visits and name in RESHAPING and out is not first:
            self._potentials[id(out)] = visits
            self._kept.append(out)
        source = self._activities.get(id(first))
        if source is not None and name in RESHAPING and out.numel() == first.numel():
            self._activities[id(out)] = source
            self._kept.append(out)

    def _is_activity(self, z: Tensor, y: Tensor, visits: Sequence[Visit], activation: Activation) -> None:
        for visit in visits:
            if visit.activation is not None:
                visit.other = visit.other or activation.name
            visit.activation = activation
            assert visit.z is not None
            if z.shape == visit.z.shape:
                visit.y = visit.seen(y).exp() if activation.name == "log_softmax" else visit.seen(y)
            elif "softmax" in activation.name:  # along which of its own axes nobody can tell
                visit.other = visit.other or activation.name
        self._activities[id(y)] = visits[0]
        self._kept.append(y)

    def settle(self) -> None:
        """The forward pass is over: what was only needed to tell tensors apart is let go."""
        self._potentials, self._activities, self._kept = {}, {}, []

    @property
    def output(self) -> Visit | None:
        """The last call: the layer whose error is the loss's own."""
        return self.visits[-1] if self.visits else None

    @property
    def hidden(self) -> Activation | None:
        """The first activation that the model calls: that of cells which nobody computes."""
        return next((v.activation for v in self.visits if v.activation is not None), None)

    @property
    def was_heard(self) -> bool:
        """Whether a backward pass went through it."""
        return any(visit.error is not None for visit in self.visits)


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Tensors among arguments, those in lists too."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _is_in_place(name: str) -> bool:
    """Whether torch's name of a function says that it writes to its first argument."""
    if name.startswith("__"):
        return (
            name.startswith("__i") and name not in ("__invert__", "__index__", "__int__")
        ) or name == "__setitem__"
    return name.endswith("_")


ATTENTION = (
    "attention multiplies activities by activities: no synapse stands between those cells, so a plasticity "
    "rule has nothing to say about it"
)


class Watcher(TorchFunctionMode):
    """Shows a tape every function of torch that a model calls."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.tape = tape

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.tape.saw(func, args, kwargs or {}, out)
        return out
