"""A rule on the layers of a model: its programs, what they read of a tape, and how far everything moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ruledsl.compiler import RuleProgram
from ruledsl.errors import ModelError
from ruledsl.ir import Builder, Kind, Program, Slot
from ruledsl.torch.batches import SHARED, TRACES, LayerUpdate
from ruledsl.torch.tape import Activation, Synapses, Visit

CELLS = ("y_pre", "z_pre", "e_pre", "y_post", "z_post", "e_post")


@dataclass
class RuleLayer:
    """One layer's synapses under a rule."""

    rule: RuleProgram
    synapses: Synapses
    activation_of: Callable[[Visit], Activation | None]
    """What makes y of z in a call of the layer; None for z itself."""
    slope_of: Callable[[Visit], Activation | None]
    """Whose σ′ the cells below have, where they are no cells of another layer."""
    send: Callable[[Visit], Tensor]
    """What a call sends to the cells below."""
    batch_first: bool = True
    """Whether samples are the first axis, so that a sample's rows lie side by side."""

    @cached_property
    def update(self) -> LayerUpdate:
        """The programs. Raises `ModelError` where the rule reads or moves what a torch model has not."""
        own = self.synapses
        if self.rule.trains("bias") and own.bias is None:
            raise ModelError(f"the rule has terms for `bias`; `{own.name}` has none (bias=False)")
        builder, number = Builder(), own.number
        sides = {"pre": f"n{number - 1}", "post": f"n{number}"}
        inputs = {q: builder.input(q, (sides[q.partition("_")[2]],)) for q in CELLS}
        for side, dim in sides.items():  # no cell of a torch model is only excitatory or inhibitory
            inputs[f"exc_{side}"] = builder.fill(builder.const(1.0), (dim,))
            inputs[f"inh_{side}"] = builder.fill(builder.const(0.0), (dim,))
        inputs |= {
            "third": builder.input(Kind.third, ()),
            "age": builder.input(Kind.age, ()),
            "W": builder.input(self.weights, (sides["post"], sides["pre"])),
        }
        sums_alone = own.bias is None and not own.rnn
        updates = self.rule.lower_into(builder, number, inputs, has_bias=not sums_alone)
        moving = [u for u in updates if u.pairs or u.kappa is not None or u.dense is not None]
        loaded = {i.slot: n for n, i in enumerate(builder.instructions) if i.op == "input"}
        program = builder.finish({u.target: loaded[u.target] for u in moving}, moving)
        self._refuse_unknown(program)
        return LayerUpdate(program, own.sizes)

    @property
    def weights(self) -> Slot:
        return Slot(Kind.weights, self.synapses.number - 1)

    def _refuse_unknown(self, program: Program) -> None:
        kinds = {*CELLS, Kind.third, Kind.age, *SHARED, *TRACES}
        for slot in program.inputs():
            if slot not in kinds and slot.kind not in kinds:
                raise ModelError(
                    f"the rule reads `{slot.kind}` at `{self.synapses.name}`, which a torch model does not "
                    f"give; it gives {', '.join(CELLS)}, W, bias, third, age and, for terms that train it, B"
                )

    @property
    def reads(self) -> set[str]:
        return {str(slot) for slot in self.update.program.inputs()}

    @property
    def has_traces(self) -> bool:
        return any(u.target.kind in TRACES for u in self.update.program.updates)

    # what moves --------------------------------------------------------------------------

    def moved(
        self,
        visits: Sequence[Visit],
        theta: Tensor,
        state: dict[str, Tensor],
        scale: float,
        third: Tensor | None,
    ) -> list[tuple[Tensor, Tensor]]:
        """W, bias and B, each with the sum of its changes over all rows of the calls; nothing is written yet.

        Args:
            state: what the layer keeps, by name: random feedback, traces, which move on, and `age`, the steps
                that were made.
            scale: what turns cotangents of the loss into errors of single samples.
            third: (samples,) or one number.
        """
        for visit in visits:
            visit.refuse_overwritten()
        errors = [v.error for v in visits if v.error is not None]
        if not errors:
            return []
        parts = [self._rows(v, scale, third) for v in visits if v.error is not None]
        counts = [self.synapses.geometry.count(e) for e in errors]
        if Kind.age in self.reads:
            age = state[Kind.age] = state.get(Kind.age, self.synapses.weight.new_zeros(())) + 1
            parts = [p | {Kind.age: age.expand(n)} for p, n in zip(parts, counts, strict=True)]
        if not self.has_traces:  # one pass for all calls; traces need them in their order
            parts = [{name: _joined([p[name] for p in parts]) for name in parts[0]}]
            counts = [sum(counts)]
        targets, total = self._targets(state), {}
        for part, count in zip(parts, counts, strict=True):
            traces = self._traces(count, state)
            known = {slot: value.detach() for slot, value in targets.items()}
            known[self.weights] = self.synapses.geometry.matrix(known[self.weights])
            for slot, change in self.update.change({**known, **part, **traces}, theta, count).items():
                if slot in traces:
                    state[str(slot)] = traces[slot] + change
                else:
                    total[slot] = total[slot] + change if slot in total else change
        if self.weights in total:
            total[self.weights] = self.synapses.geometry.weight(total[self.weights], self.synapses.weight)
        return [(targets[slot], change) for slot, change in total.items()]

    def _targets(self, state: Mapping[str, Tensor]) -> dict[Slot, Tensor]:
        """What the rule may move, by the names of its programs."""
        found: dict[Slot, Tensor] = {self.weights: self.synapses.weight}
        if self.synapses.bias is not None:
            found[Slot(Kind.bias, self.synapses.number)] = self.synapses.bias
        feedback = Slot(Kind.feedback, self.synapses.number - 1)
        if str(Kind.feedback) in state:
            found[feedback] = state[str(Kind.feedback)]
        elif feedback in self.update.program.inputs():
            raise ModelError(
                "the rule has terms for `B`, the feedback weights from layer to layer, which the chosen "
                f"pathway does not read at `{self.synapses.name}`; `fixed` does"
            )
        return found

    def _traces(self, rows: int, state: Mapping[str, Tensor]) -> dict[Slot, Tensor]:
        """What every row remembers; each row of a batch is a stream of its own."""
        found: dict[Slot, Tensor] = {}
        program, sizes = self.update.program, self.update.sizes
        for slot, number in program.inputs().items():
            if slot.kind not in TRACES:
                continue
            shape = program.instructions[number].shape
            if len(shape) == 2 and rows > 1:
                raise ModelError(
                    f"`{self.synapses.name}`: the rule keeps a trace at every synapse, which belongs to one "
                    f"stream of samples; there are {rows} rows here. Give one sample at a time"
                )
            cells = [sizes[d] for d in shape]
            wanted = tuple(cells) if len(cells) == 2 else (rows, *cells)
            before = state.get(str(slot))
            if before is not None and tuple(before.shape) != wanted:
                raise ModelError(
                    f"`{self.synapses.name}`: the rule keeps traces, one for each row of a batch, and the "
                    f"batch now has {rows} rows after {before.shape[0]}; keep its size (drop_last=True), or "
                    "call reset_traces()"
                )
            found[slot] = self.synapses.weight.new_zeros(wanted) if before is None else before
        return found

    # what the programs read --------------------------------------------------------------

    def _rows(self, visit: Visit, scale: float, third: Tensor | None) -> dict[str, Tensor]:
        """Every quantity that the rule reads of one call, by name: (rows, cells)."""
        geometry, reads = self.synapses.geometry, self.reads
        assert visit.error is not None
        assert visit.z is not None
        found: dict[str, Tensor] = {}
        if "e_post" in reads:
            found["e_post"] = geometry.post(visit.error) * scale
        if "z_post" in reads:
            found["z_post"] = geometry.post(visit.z)
        if "y_post" in reads:
            found["y_post"] = geometry.post(self._activity(visit))
        if "y_pre" in reads:
            found["y_pre"] = geometry.pre(visit.x)
        if "z_pre" in reads:
            found["z_pre"] = geometry.pre(_below(visit, visit.source.z if visit.source else None, visit.x))
        if "e_pre" in reads:
            found["e_pre"] = geometry.pre(self._error_below(visit) * scale)
        if "third" in reads:
            found["third"] = self._third(visit, third)
        return found

    def _activity(self, visit: Visit) -> Tensor:
        activation = self.activation_of(visit)
        assert visit.z is not None
        if activation is not None and activation is visit.activation and visit.y is not None:
            return visit.y
        return visit.z if activation is None else activation(visit.z)

    def _error_below(self, visit: Visit) -> Tensor:
        """e_pre: that of the cells below; of inputs, what feedback carries to them times σ′ there."""
        below = visit.source.error if visit.source else None
        if below is not None:
            return below.reshape(visit.x.shape)
        signal = visit.signal if visit.signal is not None else self.send(visit)
        activation = self.slope_of(visit)
        return signal if activation is None else signal * activation.slope(visit.x)

    def _third(self, visit: Visit, third: Tensor | None) -> Tensor:
        if third is None:
            raise ModelError("the rule reads `third`, a number that every synapse hears: opt.step(third=…)")
        assert visit.error is not None
        rows = self.synapses.geometry.count(visit.error)
        if third.dim() == 0:
            return third.expand(rows)
        if rows % len(third):
            raise ModelError(f"`third` has {len(third)} numbers for {rows} rows of `{self.synapses.name}`")
        times = rows // len(third)
        return third.repeat_interleave(times) if self.batch_first else third.repeat(times)


def _joined(rows: list[Tensor]) -> Tensor:
    return rows[0] if len(rows) == 1 else torch.cat(rows)


def _below(visit: Visit, found: Tensor | None, otherwise: Tensor) -> Tensor:
    return otherwise if found is None else found.reshape(visit.x.shape)
