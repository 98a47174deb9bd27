"""A model's layers: which a rule can be attached to, which not and why, and how their calls are wired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MethodType

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils.rnn import PackedSequence

from ruledsl.errors import ModelError
from ruledsl.language import closest
from ruledsl.torch.carrying import Sender, carry
from ruledsl.torch.geometry import Dense, Geometry, Patches
from ruledsl.torch.tape import ATTENTION, Activation, Synapses, Tape

WIRED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.RNNCell, nn.RNN)
Module = nn.Module


@dataclass(frozen=True)
class Wiring:
    """What a wired layer needs to know while it runs."""

    tape: Callable[[], Tape | None]
    """The tape of the forward pass that is going on."""
    send: Sender


def layers_of(model: Module, only: Sequence[str] | None) -> dict[str, Module]:
    """The layers to wire, by name.

    Raises `ModelError` for a model that mixes samples or cells in a way that no synapse does, or for a name
    that is not a layer's.
    """
    found: dict[str, Module] = {
        name or "model": m for name, m in model.named_modules() if isinstance(m, WIRED)
    }
    for name, module in model.named_modules():
        if (reason := _against(module)) is not None:
            raise ModelError(f"`{name or 'model'}` ({type(module).__name__}) {reason}")
    if only is not None:
        for name in only:
            if name not in found:
                close, known = closest(name, found), ", ".join(f"`{n}`" for n in found)
                hint = f"did you mean `{close}`?" if close else f"there are {known}"
                raise ModelError(f"the model has no layer `{name}` that a rule can be attached to; {hint}")
        found = {name: found[name] for name in found if name in only}
    if not found:
        kinds = ", ".join(kind.__name__ for kind in WIRED)
        raise ModelError(f"the model has no layer that a rule can be attached to: none of {kinds}")
    _weights_apart(model, found)
    return found


def _against(module: Module) -> str | None:
    """Why a module cannot be part of a model that a rule is attached to."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return (
            "mixes the samples of a batch: what one cell does then depends on other samples, and no rule of "
            "one sample describes it. Use LayerNorm or GroupNorm, or none"
        )
    if isinstance(module, nn.MultiheadAttention | nn.Transformer | nn.TransformerEncoderLayer):
        return f"is not a layer of synapses: {ATTENTION}"
    if isinstance(module, nn.LSTM | nn.GRU | nn.LSTMCell | nn.GRUCell):
        return "multiplies activities by gates, which are not synapses; use RNN or RNNCell"
    if getattr(module, "inplace", False):
        return "overwrites what a layer computed, which the rule still has to see; give it inplace=False"
    if isinstance(module, LazyModuleMixin):
        return "has no weights yet; call the model once before"
    if isinstance(module, nn.Conv1d | nn.Conv2d) and (reason := _against_convolution(module)):
        return reason
    if isinstance(module, nn.RNN) and (module.bidirectional or module.dropout):
        return (
            "is bidirectional or drops cells between its layers; use one RNN for each direction, and Dropout"
        )
    if isinstance(module, WIRED) and not _owns_its_weights(module):
        return "computes its weights from other parameters, so that no rule can move them"
    if isinstance(module, WIRED) and type(module).forward is not type_of(module).forward:
        return "has a forward pass of its own, which a rule would bypass; use the layer that torch has"
    return None


def _owns_its_weights(module: Module) -> bool:
    """Whether what is called its weights are its parameters: parametrisations, spectral norm and pruning make
    others of them."""
    made = any(name.endswith(("_orig", "_g", "_v")) for name, _ in module.named_parameters(recurse=False))
    return not made and not hasattr(module, "parametrizations")


def _against_convolution(module: nn.Conv1d | nn.Conv2d) -> str | None:
    if module.groups != 1:
        return f"is a convolution in {module.groups} groups, each with weights of its own; split it up"
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        return "pads otherwise than by a number of zeros; pad its input by torch.nn.functional.pad"
    return None


def _weights_apart(model: Module, wired: dict[str, Module]) -> None:
    """No parameter of a wired layer may belong to another module as well."""
    owners: dict[int, str] = {}
    for name, module in model.named_modules():
        for kind, parameter in module.named_parameters(recurse=False):
            own = f"{name or 'model'}.{kind}"
            before = owners.setdefault(id(parameter), own)
            if before != own and (name in wired or before.rpartition(".")[0] in wired):
                raise ModelError(
                    f"`{before}` and `{own}` are one parameter: a rule moves a weight by the two cells at "
                    "its ends, and this one has four. Give each layer its own weights"
                )


def synapses_of(name: str, module: Module, first: int) -> list[Synapses]:
    """The weight matrices of one layer, numbered from `first`."""
    if isinstance(module, nn.RNNCell):
        return _recurrent(name, first, module, "weight_{}", "bias_{}", 1)
    if isinstance(module, nn.RNN):
        return _recurrent(name, first, module, "weight_{}_l{}", "bias_{}_l{}", module.num_layers)
    assert isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
    geometry: Geometry = Dense() if isinstance(module, nn.Linear) else Patches.of(module)
    return [Synapses(name, module.weight, module.bias, geometry, first, owner=module)]


def _recurrent(name: str, first: int, module: Module, weight: str, bias: str, layers: int) -> list[Synapses]:
    found: list[Synapses] = []
    for layer in range(layers):
        for side in ("ih", "hh"):
            named, own = weight.format(side, layer), dict(module.named_parameters(recurse=False))
            biases = own.get(bias.format(side, layer))
            number = first + len(found)
            place = f"{name}.{named}"
            found.append(Synapses(place, own[named], biases, Dense(), number, True, module, named))
    return found


class Wired:
    """A layer's calls, through its synapses wherever gradients are recorded. A copy of the layer has its own,
    usual calls: nobody attached a rule to it."""

    def __init__(self, module: Module, synapses: Sequence[Synapses], wiring: Wiring) -> None:
        self.module, self.synapses, self.wiring = module, synapses, wiring

    def __call__(self, *args: object, **kwargs: object) -> object:
        if not torch.is_grad_enabled():
            return type(self.module).forward(self.module, *args, **kwargs)
        tape = self.wiring.tape()
        if tape is None:
            raise ModelError(
                f"`{self.synapses[0].name}` was called outside a forward pass of the model that a rule is "
                "attached to; call that model (activation checkpointing calls layers again: leave it off)"
            )
        for own in self.synapses:
            own.refuse_replaced()
        return _CALLS[type_of(self.module)](
            self.module, self.synapses, tape, self.wiring.send, *args, **kwargs
        )

    def __deepcopy__(self, memo: dict[int, object]) -> object:
        return _usual(memo[id(self.module)])

    def __reduce__(self) -> tuple[object, ...]:
        return _usual, (self.module,)


def _usual(module: object) -> MethodType:
    """The calls that a layer has by its type."""
    return MethodType(type(module).forward, module)  # type: ignore[attr-defined]


class Hook:
    """A hook on the attached model; in a copy of the model it does nothing."""

    def __init__(self, call: Callable[..., None]) -> None:
        self.call = call

    def __call__(self, *args: object) -> None:
        self.call(*args)

    def __deepcopy__(self, memo: dict[int, object]) -> object:
        return Hook(_nothing)

    def __reduce__(self) -> tuple[object, ...]:
        return Hook, (_nothing,)


def _nothing(*_: object) -> None:
    """What the hooks of a copied model do."""


def wire(module: Module, synapses: Sequence[Synapses], wiring: Wiring) -> None:
    """Let a layer's calls go through its synapses; undone by `unwire`."""
    module.forward = Wired(module, synapses, wiring)  # type: ignore[method-assign]


def unwire(module: Module) -> None:
    """A layer as it was before `wire`."""
    vars(module).pop("forward", None)


def type_of(module: Module) -> type[Module]:
    """Which of the kinds of layers a module is."""
    return next(kind for kind in WIRED if isinstance(module, kind))


def _feedforward(_: Module, synapses: Sequence[Synapses], tape: Tape, send: Sender, input: Tensor) -> Tensor:
    visit = tape.visit(synapses[0], input)
    return tape.computed(carry(input, visit, send), [visit])


def _step(
    synapses: Sequence[Synapses], tape: Tape, send: Sender, activation: Activation, x: Tensor, h: Tensor
) -> Tensor:
    """One step of a recurrent cell: both halves of its synapses make one pre-activation."""
    inward, recurrent = tape.visit(synapses[0], x), tape.visit(synapses[1], h)
    z = tape.computed(carry(x, inward, send) + carry(h, recurrent, send), [inward, recurrent])
    y = activation(z)
    tape.saw(activation.function, (z,), {}, y)
    return y


def _cell(
    module: nn.RNNCell,
    synapses: Sequence[Synapses],
    tape: Tape,
    send: Sender,
    input: Tensor,
    hx: Tensor | None = None,
) -> Tensor:
    activation = Activation(getattr(torch, module.nonlinearity))
    h = input.new_zeros(*input.shape[:-1], module.hidden_size) if hx is None else hx
    return _step(synapses, tape, send, activation, input, h)


def _unrolled(
    module: nn.RNN,
    synapses: Sequence[Synapses],
    tape: Tape,
    send: Sender,
    input: Tensor,
    hx: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """nn.RNN step by step."""
    if isinstance(input, PackedSequence):
        raise ModelError(f"`{synapses[0].name}` was given a packed sequence; pad it, and mask the loss")
    activation = Activation(getattr(torch, module.mode.removeprefix("RNN_").lower()))
    axis = input.dim() - 2 if module.batch_first else 0
    steps, last = list(input.unbind(axis)), []
    for layer in range(module.num_layers):
        own = synapses[2 * layer : 2 * layer + 2]
        h = steps[0].new_zeros(*steps[0].shape[:-1], module.hidden_size) if hx is None else hx[layer]
        for time, x in enumerate(steps):
            h = steps[time] = _step(own, tape, send, activation, x, h)
        last.append(h)
    return torch.stack(steps, axis), torch.stack(last)


_CALLS: dict[type[Module], Callable[..., object]] = {
    nn.Linear: _feedforward,
    nn.Conv1d: _feedforward,
    nn.Conv2d: _feedforward,
    nn.RNNCell: _cell,
    nn.RNN: _unrolled,
}
