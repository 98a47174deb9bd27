"""A checked rule as the compiler sees it: names, index forms, and the programs printed from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ruledsl.algebra import IndexForm
from ruledsl.compiler.factor import NormalForm, lower_update, normal_form
from ruledsl.compiler.lowering import Lowering
from ruledsl.ir.ops import verify
from ruledsl.ir.program import Builder, Program, Update

LayerRange = tuple[int, int]


@dataclass(frozen=True)
class RuleProgram:
    """Σ_r θ_r F^r ready for lowering. `layers[r]` confines term r to postsynaptic layers ℓ ≥ 1."""

    names: tuple[str, ...]
    forms: tuple[IndexForm, ...]
    initial: tuple[float, ...]
    trainable: tuple[bool, ...]
    layers: tuple[tuple[LayerRange, ...] | None, ...]
    bounds: tuple[tuple[float, float], ...]
    feedback: str | None = None

    def acts_in(self, term: int, layer: int) -> bool:
        """Whether a term takes part in the weights that enter postsynaptic layer `layer` (from 1)."""
        ranges = self.layers[term]
        return ranges is None or any(low <= layer <= high for low, high in ranges)

    def normal_form(self, layer: int | None = None) -> NormalForm:
        """κ, pairs and dense rest, of every term or of those that act in one layer."""
        return normal_form([f if layer is None or self.acts_in(r, layer) else None for r, f in enumerate(self.forms)])

    def lower_into(self, builder: Builder, dims: dict[str, str], inputs: dict[str, int], layer: int) -> Update:
        """This rule's update of one layer inside a larger program where z_post = W y_pre."""
        lowering = Lowering(builder, dims, inputs, z_post_is_product=True)
        return lower_update(self.normal_form(layer), lowering, f"W{layer - 1}")

    @cached_property
    def update_program(self) -> Program:
        """One layer's update of `W` from the quantities it reads; every term takes part."""
        builder = Builder()
        update = lower_update(self.normal_form(), Lowering(builder), "W")
        builder_inputs = {str(i.attribute) for i in builder.instructions if i.op == "input"}
        outputs = {} if "W" in builder_inputs else {"W": builder.input("W", ("post", "pre"))}
        program = builder.finish(outputs, [update])
        verify(program)
        return program

    def single_program(self, term: int) -> Program:
        """The update program of one term alone."""
        return _alone(self.names[term], self.forms[term])


@lru_cache(maxsize=256)
def _alone(name: str, form: IndexForm) -> Program:
    # Lowering costs tens of milliseconds, and measurements ask for a term at every sample.
    return RuleProgram((name,), (form,), (0.0,), (True,), (None,), ((float("-inf"), float("inf")),)).update_program


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
