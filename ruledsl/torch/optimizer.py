"""A learning rule as a torch optimiser: backward() carries errors by feedback, step() applies F(Θ)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ruledsl.errors import ModelError
from ruledsl.ir import Kind, Slot
from ruledsl.rules import Rule
from ruledsl.torch.batches import BEGUN
from ruledsl.torch.feedback import FANS, OUTPUT, OWN, Signal, signal_of
from ruledsl.torch.geometry import Dense
from ruledsl.torch.layers import Hook, Wired, Wiring, layers_of, synapses_of, unwire, wire
from ruledsl.torch.tape import Activation, Synapses, Tape, Visit, Watcher
from ruledsl.torch.update import RuleLayer


@dataclass(frozen=True)
class Reading:
    """How a model's tensors and its loss are to be read; see `attach`."""

    feedback: str = "fixed"
    output: Activation | None = None
    activation: Activation | None = None
    is_mean: bool = True
    batch_axis: int = 0
    seed: int = 0


class RuleOptimizer(torch.optim.Optimizer):
    """What `attach` returns.

    A parameter group for each weight matrix: its `name`, its own `theta` (R,) and `lr`, a factor on the whole
    update that schedulers may move. State that is saved: random feedback, traces.

    Attributes:
        model: the model that learns.
        rule: the rule it learns by.
    """

    def __init__(
        self,
        model: nn.Module,
        rule: Rule,
        thetas: Sequence[Tensor],
        synapses: Sequence[Synapses],
        modules: Mapping[str, nn.Module],
        lr: float,
        reading: Reading,
    ) -> None:
        self.model, self.rule, self.reading = model, rule, reading
        self._modules = dict(modules)
        self._layers = [
            RuleLayer(
                rule.program, s, self._activation_of, self._slope_of, self._send, reading.batch_axis == 0
            )
            for s in synapses
        ]
        self._tape: Tape | None = None
        self._recording: Watcher | None = None
        self._random = torch.Generator().manual_seed(reading.seed)
        super().__init__(
            [_group(layer, theta) for layer, theta in zip(self._layers, thetas, strict=True)], {"lr": lr}
        )
        layered = signal_of(reading.feedback, below_output=True)
        if not layered.hears_output:  # drawn now, whatever the model calls first; else when sizes are known
            for own in synapses:
                post, pre = own.weight.flatten(1).shape
                self._matrices(own, layered, {"n0": pre, "n1": post})
        self._wire(synapses)

    def _wire(self, synapses: Sequence[Synapses]) -> None:
        wiring = Wiring(lambda: self._tape if self._recording else None, self._send)
        for name, module in self._modules.items():
            wire(module, [s for s in synapses if s.name == name or s.name.startswith(f"{name}.")], wiring)
        self._hooks = [
            self.model.register_forward_pre_hook(Hook(self._begin), with_kwargs=True, prepend=True),
            self.model.register_forward_hook(Hook(self._end), always_call=True),
        ]

    # a forward pass ----------------------------------------------------------------------

    def _begin(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not torch.is_grad_enabled():
            return
        if self._tape is not None and self._tape.was_heard:
            raise ModelError(
                "the model was called again before step(): a rule takes one batch at a time. Call step() "
                "after each backward(), or zero_grad() to let a batch go"
            )
        if torch.is_autocast_enabled() or torch.is_autocast_enabled("cpu"):
            raise ModelError("a rule is told errors as they are: leave autocast off for the attached model")
        if self._tape is not None:
            self._tape.closed = True
        self._tape = Tape(self._samples((*args, *kwargs.values())))
        self._recording = Watcher(self._tape)
        self._recording.__enter__()

    def _samples(self, arguments: Sequence[Any]) -> int:
        """How many samples the model is given."""
        given = next((a for a in arguments if isinstance(a, Tensor)), None)
        axis = self.reading.batch_axis
        if given is None or given.dim() < 1:
            raise ModelError("the model's first argument must be a tensor of samples")
        if given.dim() == 1:
            return 1
        if not -given.dim() <= axis < given.dim():
            raise ModelError(f"batch_axis={axis}, but the model's first tensor has {given.dim()} axes")
        if given.shape[axis] == 0:
            raise ModelError("the batch is empty")
        return given.shape[axis]

    def _end(self, model: nn.Module, args: tuple[Any, ...], out: object) -> None:
        if self._recording is not None:
            self._recording.__exit__(None, None, None)
            self._recording = None
            if self._tape is not None:
                self._tape.settle()

    def _activation_of(self, visit: Visit) -> Activation | None:
        """What makes y of z: the function that the model calls, unless the user has said what; at the end of
        the model the output's."""
        last, own = visit.tape.output, visit.synapses
        ends = last is not None and own is last.synapses
        if own.rnn or (ends and visit.activation is not None):
            return visit.activation
        if ends or (visit.activation is None and not visit.feeds and not visit.other):
            return self.reading.output
        if self.reading.activation is not None:
            return self.reading.activation
        if visit.other:
            raise ModelError(
                f"`{visit.synapses.name}`: the rule needs the activity y = σ(z), and what the model makes of "
                f"z by `{visit.other}` is no single activation of torch; say attach(…, activation=σ)"
            )
        return visit.activation

    def _slope_of(self, visit: Visit) -> Activation | None:
        """σ of the cells below, where no layer computed them: as if they were such as the layer's own."""
        last = visit.tape.output
        if last is None or visit.synapses is not last.synapses:
            return self._activation_of(visit)
        return self.reading.activation or visit.tape.hidden

    # a backward pass ---------------------------------------------------------------------

    def _send(self, visit: Visit) -> Tensor:
        """What a call sends back to its input, shaped like it."""
        own, last = visit.synapses, visit.tape.output
        assert visit.error is not None
        signal = signal_of(self.reading.feedback, below_output=visit is not last)
        if signal.hears_output:
            return self._from_output(visit, signal, last)
        weights = own.geometry.matrix(own.weight.detach())
        sizes = {"n0": weights.shape[1], "n1": weights.shape[0]}
        sizes[FANS] = weights.shape[1] + weights.shape[0] * own.geometry.positions
        named = self._matrices(own, signal, sizes) | {Slot(Kind.weights, 0): weights}
        if signal.linear_map is not None:
            return own.geometry.back(signal.map_of(named, sizes), visit.error, visit.x)
        rows = own.geometry.post(visit.error)
        found = signal.of(named | {OWN: rows} | self._noises(signal, sizes, rows), sizes)
        assert isinstance(found, Tensor)
        return own.geometry.gather(found, visit.x)

    def _from_output(self, visit: Visit, signal: Signal, last: Visit | None) -> Tensor:
        """Every cell of the input hears the output's error: a row for each sample."""
        own, samples = visit.synapses, len(visit.x)
        if last is None or last.error is None or signal.hears_itself or own.rnn:
            raise ModelError(
                f"feedback `{self.reading.feedback}` cannot reach `{own.name}`: there every cell hears the "
                "output's error of the same moment, which this layer's place does not give. Use `fixed`"
            )
        below, heard = visit.x.reshape(samples, -1), last.synapses.geometry.post(last.error)
        if isinstance(own.geometry, Dense):
            below = own.geometry.pre(visit.x)
        if len(heard) != len(below):
            raise ModelError(f"`{own.name}` has {len(below)} rows, and the output {len(heard)}")
        sizes = {"n0": below.shape[1], "n1": own.weight.shape[0], "n2": heard.shape[1]}
        named = self._matrices(own, signal, sizes) | {OUTPUT: heard}
        found = signal.of(named | self._noises(signal, sizes, heard), sizes)
        assert isinstance(found, Tensor)
        return found.reshape(visit.x.shape)

    def _matrices(self, own: Synapses, signal: Signal, sizes: Mapping[str, int]) -> dict[Slot, Tensor]:
        """The layer's random matrices, drawn when they are first needed (Xavier-uniform, as in episodes)."""
        state = self.state[own.weight]
        for slot, (rows, columns) in signal.matrices.items():
            known = state.get(str(slot.kind))
            if known is not None and (known.dtype, known.device) != (own.weight.dtype, own.weight.device):
                state[str(slot.kind)] = known.to(own.weight)  # the model was moved since
            if known is None:
                count = own.geometry.positions if columns == "n1" else 1
                bound = (6.0 / (sizes[rows] + sizes[columns] * count)) ** 0.5
                drawn = torch.rand(sizes[rows], sizes[columns], generator=self._random, dtype=torch.float64)
                state[str(slot.kind)] = ((2 * drawn - 1) * bound).to(own.weight)
        return {slot: state[str(slot.kind)] for slot in signal.matrices}

    def _noises(self, signal: Signal, sizes: Mapping[str, int], rows: Tensor) -> dict[Slot, Tensor]:
        return {
            slot: torch.randn(len(rows), sizes[dim], generator=self._random, dtype=torch.float64).to(rows)
            for slot, dim in signal.noises.items()
        }

    # a step ------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None, third: Tensor | float | None = None) -> Any:  # type: ignore[override]
        """Move every weight by lr · F(Θ): the mean over samples of what each alone would have done, summed
        over positions and moments. A step is what a rule's `age` counts, however many samples there are.

        Args:
            closure: as for every torch optimiser; gives the loss, which is returned.
            third: the third factor, one number or one for each sample, for rules that read it.

        Raises:
            ModelError: no backward pass went through the model since the last step, or the rule needs what
                the model does not give.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        tape = self._tape
        if tape is None or not tape.was_heard:
            raise ModelError(
                "there is nothing to learn from: no loss.backward() went through the attached model"
            )
        if isinstance(third, Tensor) and third.dim() and len(third) != tape.samples:
            raise ModelError(f"`third` has {len(third)} numbers for {tape.samples} samples")
        moved = [
            (target, change, group["lr"] / tape.samples)
            for layer, group in zip(self._layers, self.param_groups, strict=True)
            for target, change in self._moved(layer, group["theta"], tape, third)
        ]
        for target, change, rate in moved:  # every layer has seen the weights as they were
            target.add_(change, alpha=rate)
        self._tape = None
        return loss

    def _moved(
        self, layer: RuleLayer, theta: Tensor, tape: Tape, third: Tensor | float | None
    ) -> list[tuple[Tensor, Tensor]]:
        weight = layer.synapses.weight
        if not weight.requires_grad:
            return []
        visits = [visit for visit in tape.visits if visit.synapses is layer.synapses]
        heard = None if third is None else torch.as_tensor(third, dtype=weight.dtype, device=weight.device)
        scale = float(tape.samples) if self.reading.is_mean else 1.0
        return layer.moved(visits, theta.to(weight), self.state[weight], scale, heard)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the last batch that went backward, and gradients of biases. One that has only gone forward
        is kept: loops call this between the loss and its backward pass."""
        super().zero_grad(set_to_none)
        if self._tape is not None and self._tape.was_heard:
            self._tape = None

    def reset_traces(self) -> None:
        """Let every trace and every synapse's age begin anew, as before a new stream."""
        for state in self.state.values():
            for name in [n for n in state if Slot.read(n).kind in BEGUN]:
                del state[name]

    @property
    def unattached(self) -> list[nn.Parameter]:
        """Parameters that the rule does not move, such as those of other layers: for another optimiser."""
        own = {id(p) for group in self.param_groups for p in group["params"]}
        return [p for p in self.model.parameters() if id(p) not in own]

    def feedback_of(self, name: str) -> dict[str, Tensor]:
        """The random matrices of a layer, by family: `B` (n_pre, n_post) of layered feedback; they may be
        written to. Those of `direct` are drawn at the first backward pass. The cells of a convolution's patch
        stand in the order of height, width, channel."""
        layer = next((layer for layer in self._layers if layer.synapses.name == name), None)
        if layer is None:
            names = ", ".join(f"`{layer.synapses.name}`" for layer in self._layers)
            raise ModelError(f"there are no weights `{name}`; there are {names}")
        return {n: v for n, v in self.state[layer.synapses.weight].items() if Slot.read(n).kind not in BEGUN}

    def __getstate__(self) -> dict[str, Any]:
        raise ModelError("an attached rule is saved by its state_dict(), and attached to the model anew")

    def detach(self) -> None:
        """Give the model its own backward pass back; the optimiser is of no use afterwards."""
        for hook in self._hooks:
            hook.remove()
        for module in self._modules.values():
            unwire(module)
        self._tape = None


def _group(layer: RuleLayer, theta: Tensor) -> dict[str, Any]:
    own, trained = layer.synapses, layer.rule.trains("bias")
    _ = layer.update  # what a rule cannot have on this model is said now, not at the first step
    params = [own.weight, *([own.bias] if trained and own.bias is not None else [])]
    return {"params": params, "name": own.name, "theta": theta}


def attach_to(
    model: nn.Module,
    rule: Rule,
    thetas: Callable[[str], Tensor],
    layers: Sequence[str] | None,
    lr: float,
    reading: Reading,
) -> RuleOptimizer:
    """A model with a rule on it. Raises `ModelError` for what cannot be."""
    modules = layers_of(model, layers)
    if any(isinstance(vars(module).get("forward"), Wired) for module in modules.values()):
        raise ModelError("a rule is attached to this model already; call its detach() first")
    synapses: list[Synapses] = []
    for name, module in modules.items():
        synapses += synapses_of(name, module, len(synapses) + 1)
    for below in (True, False):
        signal_of(reading.feedback, below)
    return RuleOptimizer(model, rule, [thetas(s.name) for s in synapses], synapses, modules, lr, reading)
