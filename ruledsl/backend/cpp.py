"""A step and its adjoint as fused C++: one more printer beside torch's.

Sizes are constants of the generated code, but for passes over matrices, whose functions are told
them. One call advances one run through its whole stream; runs go to threads. Within a sample, products
that meet the same matrix at the same moment share one pass over it; between samples, the update of a
matrix shares its pass with those products of the *next* sample whose operands are known by then (the
input of the first layer in the forward direction; Λ v and Λᵀ u everywhere in the backward direction,
since u and v come from saved values). What is no product of a given matrix (functions of W, sums of outer
products) is taken entry by entry (`cpp_entries`); values of cells share loops (`cpp_values`).

The backward direction undoes the updates of matrices, or reads what `forward` kept of them when it is
given a place for that.

Nothing is compiled with fast-math: NaN and infinity behave as in torch, except that a NaN which arises at
silent inputs alone is not seen (`backend/silence.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ruledsl.backend.cpp_direction import Direction
from ruledsl.backend.cpp_guards import Guards
from ruledsl.backend.cpp_inputs import Inputs, stride_of
from ruledsl.backend.cpp_lists import LISTS_OPTIMISED, declared_lists, printed_lists
from ruledsl.backend.cpp_passes import LANES, Forms
from ruledsl.backend.prelude import PRELUDE
from ruledsl.compiler import Presence, StepAdjoint, forward_costs, presence
from ruledsl.ir import Kind, Program, Slot, is_grid

WORTH_SPLITTING = 20_000
"""Letters of code from which on compilers side by side repay reading the headers again."""
LIBRARY = 16
"""Coefficients from which on a step is a library's, of which each run has a few: what the others need is left
out when the code runs. With fewer, all are computed, in as few reads of the matrices as can be."""


class NotPrintable(Exception):
    """The step holds something this printer has no fused form for; eager torch runs it."""

    def __str__(self) -> str:
        return f"there is no compiled form of this rule in this network: {self.args[0]}"


@dataclass(frozen=True)
class KernelSource:
    """Generated code and the layout its caller must know."""

    units: tuple[str, ...]
    """Of a long code each direction and the passes over matrices apart: compilers work on all at once."""
    trace_length: int
    """Numbers saved per sample."""
    inputs: Inputs
    """What `forward` and `backward` take, in order."""
    costs: list[int]
    """Where in the trace a sample's cost lies, if there is one."""
    reads_absent: bool
    """Whether values of terms that a run lacks are read, as 0, though nobody wrote them."""


def print_kernel(
    pair: StepAdjoint, sizes: Mapping[str, int], real: str, signals: Collection[str] = ()
) -> KernelSource:
    """The C++ of an episode's two directions. `signals` come anew with every sample, besides x and target.

    Raises `NotPrintable` for a step with products of two matrices, or that adds a transposed one to another,
    and for convolutions.
    """
    for program in (pair.forward, pair.backward):
        _require_printable(program)
    offsets, length = _trace_layout(pair, sizes)
    inputs = Inputs.of(pair, signals)
    loaded = pair.backward.inputs()
    saved = {loaded[slot]: offsets[n] for n in pair.saved if (slot := Slot(Kind.saved, n)) in loaded}
    coefficients = {i.parameter for i in pair.forward.instructions if i.op == "theta"}
    library = len(coefficients) >= LIBRARY
    when = presence(pair) if library else Presence((), ())
    forms = Forms()
    forward = Direction(pair.forward, sizes, "forward", dict(offsets), inputs, Guards(when.forward), forms)
    backward = Direction(pair.backward, sizes, "backward", saved, inputs, Guards(when.backward), forms)
    parts = [forward.print(length), backward.print(length), forms.print()]
    prelude = PRELUDE.replace("REAL", real) + forms.declared()
    if library:
        prelude += declared_lists(max(forward.room, backward.room))
    apart = library or sum(map(len, parts)) > WORTH_SPLITTING
    units = tuple(prelude + part for part in parts) if apart else (prelude + "".join(parts),)
    if library:
        units += (LISTS_OPTIMISED + prelude + printed_lists(),)
    return KernelSource(units, length, inputs, [offsets[n] for n in forward_costs(pair.forward)], library)


def _require_printable(program: Program) -> None:
    turned: list[bool] = []
    if any(is_grid(i.shape) for i in program.instructions):
        raise NotPrintable("cells of a convolution share their synapses")
    for instruction in program.instructions:
        if instruction.op == "matmul":
            raise NotPrintable("`matmul` gives a matrix that is not one entry by entry")
        inside = any(turned[a] for a in instruction.arguments)
        turned.append(len(instruction.shape) == 2 and (inside or instruction.op == "transpose"))
    # The matrix that is turned may be one that the same moment changes.
    if any(update.dense is not None and turned[update.dense] for update in program.updates):
        raise NotPrintable("a transposed matrix is added to another one")


def _trace_layout(pair: StepAdjoint, sizes: Mapping[str, int]) -> tuple[dict[int, int], int]:
    """Where each saved value lies in a sample's trace; vectors start on whole lanes."""
    offsets: dict[int, int] = {}
    position = 0
    for number in pair.saved:
        shape = pair.forward.instructions[number].shape
        offsets[number] = position
        position += stride_of(sizes[shape[0]]) if shape else LANES
    return offsets, max(position, LANES)
