"""A checked rule as the compiler sees it: names, index forms, and the programs printed from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ruledsl.algebra import IndexForm
from ruledsl.compiler.factor import NormalForm, lower_update, normal_form
from ruledsl.compiler.lowering import Lowering
from ruledsl.ir import Builder, Kind, Program, Slot, Update, verify

LayerRange = tuple[int, int]
_OF_CELLS = ("y", "z", "e", "exc", "inh")
"""Quantities of cells, which both ends of a synapse have."""


@dataclass(frozen=True)
class OtherForm:
    """What a coefficient scales besides W: a term for `B` or for `bias`."""

    target: str
    coefficient: int
    form: IndexForm


@dataclass(frozen=True)
class RuleProgram:
    """Σ_r θ_r F^r ready for lowering. `layers[r]` confines term r to postsynaptic layers ℓ ≥ 1.

    `forms[r]` is what θ_r scales in W, if it does; `others` lists what coefficients scale in the feedback
    weights B and in the biases. Forms of B are seen from its own synapses, which run from the post to the pre
    side.
    """

    names: tuple[str, ...]
    forms: tuple[IndexForm | None, ...]
    initial: tuple[float, ...]
    trainable: tuple[bool, ...]
    layers: tuple[tuple[LayerRange, ...] | None, ...]
    bounds: tuple[tuple[float, float], ...]
    feedback: str | None = None
    others: tuple[OtherForm, ...] = ()

    def trains(self, target: str) -> bool:
        """Whether a term moves `W`, `B` or `bias`."""
        return (
            any(f is not None for f in self.forms)
            if target == "W"
            else any(o.target == target for o in self.others)
        )

    def acts_in(self, term: int, layer: int) -> bool:
        """Whether a term takes part in the weights that enter postsynaptic layer `layer` (from 1)."""
        ranges = self.layers[term]
        return ranges is None or any(low <= layer <= high for low, high in ranges)

    def normal_form(self, layer: int | None = None, target: str = "W") -> NormalForm:
        """κ, pairs, gains and dense rest, of every term or of those that act in one layer."""
        forms = (
            enumerate(self.forms)
            if target == "W"
            else ((o.coefficient, o.form) for o in self.others_of(target))
        )
        return normal_form(
            [(r, f) for r, f in forms if f is not None and (layer is None or self.acts_in(r, layer))]
        )

    def written_size(self, coefficient: int) -> float:
        """How large what θ_r scales was written: twice as large a number asks for half the θ."""
        own = self.forms[coefficient]
        others = [other.form for other in self.others if other.coefficient == coefficient]
        return max(form.written_size for form in ([own] if own else []) + others)

    def others_of(self, target: str) -> list[OtherForm]:
        return [o for o in self.others if o.target == target]

    def lower_into(
        self,
        builder: Builder,
        layer: int,
        inputs: dict[str, int],
        has_bias: bool = False,
        with_gains: bool = False,
    ) -> list[Update]:
        """This rule's updates of one layer inside a larger program; z_post = W y_pre unless there is a bias.

        `with_gains` says how entries grow in proportion to themselves, for those who undo it; else it is a
        part of the dense rest.
        """
        forms = (self.normal_form(layer), self.normal_form(layer, "B"))
        own, back = (form if with_gains else form.gains_as_dense() for form in forms)
        dims = {"post": f"n{layer}", "pre": f"n{layer - 1}"}
        lowering = Lowering(
            builder, dims, dict(inputs), z_post_is_product=not has_bias, traces=Slot(Kind.trace, layer)
        )
        updates = [lower_update(own, lowering, Slot(Kind.weights, layer - 1))]
        if has_bias:
            updates += self._lower_bias(lowering, layer)
        updates += lowering.carried
        if self.trains("B"):
            updates += self._lower_feedback(builder, layer, inputs, back)
        return updates

    def layer_program(self, builder: Builder, layer: int, inputs: dict[str, int]) -> Program:
        """The update of W into one layer by the terms that act there, from instructions for quantities of
        sizes `post` and `pre`."""
        lowering = Lowering(builder, inputs=dict(inputs), z_post_is_product=True)
        update = lower_update(self.normal_form(layer).gains_as_dense(), lowering, Slot(Kind.weights))
        return builder.finish({Kind.weights: inputs["W"]}, [update])

    def _lower_bias(self, lowering: Lowering, layer: int) -> list[Update]:
        b, target = lowering.builder, Slot(Kind.bias, layer)
        lowering.inputs["bias"] = b.input(target, (f"n{layer}",))
        total: int | None = None
        for other in self.others_of("bias"):
            if self.acts_in(other.coefficient, layer):
                part = b.mul(b.theta(other.coefficient), lowering.post_vector(other.form.entry))
                total = part if total is None else b.add(total, part)
        return [Update(target, None, (), total, rank=1)]

    def _lower_feedback(
        self, b: Builder, layer: int, inputs: dict[str, int], normal: NormalForm
    ) -> list[Update]:
        """B's update. Its synapse runs from cell j of this layer to cell i of the layer below: pre and post
        change places, and it is W's update from there on."""
        dims = {"post": f"n{layer - 1}", "pre": f"n{layer}"}
        ends = [(f"{q}_{a}", f"{q}_{b}") for q in _OF_CELLS for a, b in (("post", "pre"), ("pre", "post"))]
        back = {own: inputs[other] for own, other in ends if other in inputs}
        back |= {"third": inputs["third"]} if "third" in inputs else {}
        back["W"] = b.input(Slot(Kind.feedback, layer - 1), (f"n{layer - 1}", f"n{layer}"))
        if any(o.form.reads & {"noise_post", "response_pre"} for o in self.others_of("B")):
            noise = b.input(Slot(Kind.noise, layer - 1), (f"n{layer - 1}",))
            back |= {"noise_post": noise, "response_pre": b.matvec(inputs["W"], noise)}
        lowering = Lowering(b, dims, back, traces=Slot(Kind.feedback_trace, layer))
        update = lower_update(normal, lowering, Slot(Kind.feedback, layer - 1))
        return [update, *lowering.carried]

    @cached_property
    def update_program(self) -> Program:
        """One layer's update of `W` from the quantities it reads; every term takes part."""
        builder = Builder()
        update = lower_update(self.normal_form().gains_as_dense(), Lowering(builder), Slot(Kind.weights))
        builder_inputs = {i.slot for i in builder.instructions if i.op == "input"}
        outputs: dict[str, int] = (
            {} if Kind.weights in builder_inputs else {Kind.weights: builder.input("W", ("post", "pre"))}
        )
        program = builder.finish(outputs, [update])
        verify(program)
        return program

    def single_program(self, term: int) -> Program:
        """The update program of one term alone; it changes nothing when the term does not move W."""
        return _alone(self.names[term], self.forms[term])


@lru_cache(maxsize=256)
def _alone(name: str, form: IndexForm | None) -> Program:
    # Lowering costs tens of milliseconds, and measurements ask for a term at every sample.
    return RuleProgram(
        (name,), (form,), (0.0,), (True,), (None,), ((float("-inf"), float("inf")),)
    ).update_program


def check_layers(program: RuleProgram, depth: int) -> list[str]:
    """Sentences on terms that act in no layer of a network with `depth` synapse layers."""
    return [
        f"`{program.names[r]}` acts in layers {_shown(program.layers[r] or ())}, "
        f"but this network's weights lead to layers 1 to {depth}"
        for r in range(len(program.names))
        if not any(program.acts_in(r, layer) for layer in range(1, depth + 1))
        or any(high > depth for _, high in program.layers[r] or ())
    ]


def _shown(ranges: Sequence[LayerRange]) -> str:
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in ranges)
