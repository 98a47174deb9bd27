"""Arguments of the public calls, checked, as the stream that engines run: batch axes merged into one."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from ruledsl.backend import CompiledRule
from ruledsl.errors import PluginError
from ruledsl.ir import Kind, Slot
from ruledsl.network.programs import StepPrograms, programs_for
from ruledsl.network.queries import as_targets
from ruledsl.network.shared import dim, synapse_dims
from ruledsl.network.stream import State, Stream, sizes_of
from ruledsl.registry import find, names_of
from ruledsl.settings import Network
from ruledsl.tasks import Episode, cell_signs


@dataclass(frozen=True)
class Prepared:
    programs: StepPrograms
    stream: Stream
    theta: Tensor
    batch: tuple[int, ...]


def prepare(rule: CompiledRule, theta: Tensor, network: Network, given: Episode) -> Prepared:
    """The programs and the stream of a call. Raises `ValueError` for whatever does not fit."""
    try:
        find("feedback", network.feedback)
    except PluginError:
        if network.feedback in names_of("feedback"):
            raise
        known = ", ".join(names_of("feedback"))
        raise ValueError(
            f"there is no feedback pathway {network.feedback!r}; choose one of {known}"
        ) from None
    W = given.W
    theta = torch.as_tensor(theta, dtype=W[0].dtype, device=W[0].device)
    programs = programs_for(rule.program, len(W), network)
    count = len(programs.coefficient_names)
    if theta.shape[-1:] != (count,):
        raise ValueError(
            f"theta has shape {tuple(theta.shape)}; its last axis must hold the {count} coefficients"
        )
    batch = tuple(theta.shape[:-1])
    checked = _Checker(programs, batch, given)
    checked.samples()
    stream = Stream(checked.state(), checked.constants(), checked.signals(), checked.sizes)
    return Prepared(programs, stream, theta.reshape(prod(batch), count), batch)


@dataclass
class _Checker:
    programs: StepPrograms
    batch: tuple[int, ...]
    given: Episode

    def samples(self) -> None:
        """Shapes of W, x and y, and the labels."""
        W, x, y, batch = self.given.W, self.given.x, self.given.y, self.batch
        network = self.programs.network
        self.sizes = sizes_of(W, network)
        for number, weights in enumerate(W):
            rows, columns = (self.sizes[d] for d in synapse_dims(network, number + 1))
            _expect(f"W[{number}]", weights, (*batch, rows, columns))
        outputs = W[-1].shape[-2]
        _expect("x", x, (*batch, x.shape[-2], self.sizes[dim(0)]))
        _expect("y", y, (*batch, x.shape[-2], outputs) if y.is_floating_point() else (*batch, x.shape[-2]))
        if not y.is_floating_point() and y.numel() and not 0 <= int(y.min()) <= int(y.max()) < outputs:
            found = f"{int(y.min())} … {int(y.max())}"
            raise ValueError(f"labels must lie in 0 … {outputs - 1}, the output units; found {found}")

    def _merged(self, tensor: Tensor) -> Tensor:
        flat = tensor.reshape(prod(self.batch), *tensor.shape[len(self.batch) :])
        return flat.to(self.given.W[0].dtype)

    def _back(self) -> State:
        """Random matrices by name: B0 … from a sequence, anything from a mapping."""
        named = self.given.feedback
        needed = self.programs.matrices
        missing = [name for name in needed if name not in named]
        if missing:
            raise ValueError(
                f"{self.programs.network.feedback} feedback needs one B for each of the {len(self.given.W)} "
                f"weight "
                f"matrices; {missing[0]} is missing"
            )
        for name, dims in needed.items():
            label = f"B[{name.layer}]" if name.kind == Kind.feedback else name
            _expect(label, named[name], (*self.batch, *(self.sizes[d] for d in dims)))
        return {name: self._merged(named[name]) for name in needed}

    def state(self) -> State:
        """What the step updates: W as given, B as given where the rule trains it,
        everything else from zero."""
        known = {Slot(Kind.weights, n): self._merged(w) for n, w in enumerate(self.given.W)} | self._back()
        zero = self.given.W[0]
        shapes = self.programs.shapes
        return {
            name: known[name]
            if name in known
            else zero.new_zeros(prod(self.batch), *self._lengths(shapes[name]))
            for name in self.programs.carried
        }

    def _lengths(self, dims: tuple[str, ...]) -> list[int]:
        return [self.sizes[d] for d in dims]

    def constants(self) -> State:
        carried, read = self.programs.carried, self.programs.shapes
        back = {name: value for name, value in self._back().items() if name not in carried and name in read}
        return back | {name: self._signs(name) for name in self.programs.signs}

    def _signs(self, name: Slot) -> Tensor:
        """(N, n_ℓ): 1 for excitatory cells, −1 for inhibitory ones."""
        size = self.sizes[f"n{name.layer}"]
        signs = cell_signs(size, self.programs.network.inhibitory).to(self.given.W[0])
        return signs.expand(prod(self.batch), -1)

    def signals(self) -> State:
        """x, target, and every further signal the step reads."""
        x, outputs = self.given.x, self.given.W[-1].shape[-2]
        found: State = {
            Kind.input: self._merged(x),
            Kind.target: self._merged(as_targets(self.given.y, outputs, x.dtype)),
        }
        for name, dims in self.programs.further_signals.items():
            if name == Kind.age:
                found[name] = self._ages()
                continue
            if name not in self.given.signals:
                raise ValueError(f"this network hears `{name}` with every sample; give it in `signals`")
            _expect(name, self.given.signals[name], (*self.batch, x.shape[-2], *self._lengths(dims)))
            found[name] = self._merged(self.given.signals[name])
        return found

    def _ages(self) -> Tensor:
        """(N, T) 1, 2, …: how many samples the synapses have seen, on from those before the episode."""
        W, first = self.given.W[0], self.given.seen + 1
        ages = torch.arange(first, first + self.given.x.shape[-2], dtype=W.dtype, device=W.device)
        return ages.expand(prod(self.batch), -1)


def _expect(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}")
