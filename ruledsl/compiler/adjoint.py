"""The adjoint of a step, op by op: reverse differentiation of the program itself.

For W′ = W + κ W + Σ (p qᵀ) ∘ W + Σ u vᵀ + dense with cotangent Λ of W′:

    ū = Λ v,   v̄ = Λᵀ u,   κ̄ = ⟨Λ, W⟩,   p̄ = (Λ ∘ W) q,   q̄ = (Λ ∘ W)ᵀ p,   cotangent of dense = Λ,
    Λ_W = Λ + κ Λ + Σ (p qᵀ) ∘ Λ + what flows back into W.

What flows back into W through products such as z = W y_pre is a sum of outer products, so the
adjoint of a step has the same form as a step: small vectors, and low-rank updates of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

from ruledsl.ir import (
    ELEMENTWISE,
    OPS,
    Builder,
    Instruction,
    Kind,
    Program,
    Slot,
    Update,
    is_of_cells,
    verify,
)

SAVED_OPS = frozenset({"matvec", "rmatvec", "matmul", "row_sum", "column_sum", "softmax", "pow"}) | {
    f.name for f in ELEMENTWISE.values() if f.is_op and f.kept
}
"""Results that are kept from the forward pass: products with weights, which backward no longer has in
time, and functions that cost more to compute than to read."""
CHEAP_POWERS = (2.0, 3.0)
"""Exponents that are a multiplication or two: quicker than reading what was kept."""


@dataclass(frozen=True)
class StepAdjoint:
    """A step and its adjoint.

    `backward` reads the step's own inputs, `saved{n}` (the result of forward instruction n), the
    weights W before the step and, for each updated W, `adjoint_W`. Its updates whose target is a
    weight are the step's own, to be undone; those of `adjoint_…` give the cotangents before the
    step. Outputs `theta{r}` are added to the gradient.
    """

    forward: Program
    backward: Program
    saved: tuple[int, ...]


def step_adjoint(forward: Program) -> StepAdjoint:
    """Differentiate a step in reverse; cotangents flow to coefficients and weights only."""
    builder = Builder()
    values = _reload(forward, builder)
    cotangents: dict[int, list[int]] = {}
    for update in forward.updates:
        _seed_update(builder, update, values, forward, cotangents)
    for number in forward_costs(forward):
        cotangents.setdefault(number, []).append(builder.const(1.0))
    outputs = _reverse(forward, builder, values, cotangents)
    updates = [_moved(update, values) for update in forward.updates if update.rank == 2]
    updates += [_weight_update(forward, builder, update, values, cotangents) for update in forward.updates]
    backward = builder.finish(outputs, updates)
    verify(backward)
    saved = {slot.number for slot in backward.inputs() if slot.kind == Kind.saved}
    saved |= set(forward_costs(forward))
    return StepAdjoint(forward, backward, tuple(sorted(saved)))


def forward_costs(forward: Program) -> list[int]:
    """The instruction of the running cost, if the step has one: it adds to the loss at every sample."""
    return [number for name, number in forward.outputs if name == Kind.cost]


def _reload(forward: Program, builder: Builder) -> list[int]:
    """Forward values in the backward program: saved ones are loaded, cheap ones computed again.

    Vectors that the stream carries along are saved too: they are small, and leaky ones could not be rebuilt.
    """
    carried = {update.target for update in forward.updates if update.rank == 1}
    values: list[int] = []
    for number, instruction in enumerate(forward.instructions):
        if _is_kept(instruction) or (instruction.op == "input" and instruction.parameter in carried):
            values.append(builder.input(Slot(Kind.saved, number), instruction.shape))
        else:
            arguments = [values[a] for a in instruction.arguments]
            values.append(builder.emit(instruction.op, arguments, instruction.shape, instruction.parameter))
    return values


def _is_kept(instruction: Instruction) -> bool:
    if instruction.op not in SAVED_OPS or not is_of_cells(instruction.shape):
        return False
    return instruction.op != "pow" or bool(instruction.shape and instruction.parameter not in CHEAP_POWERS)


def _seed_update(
    b: Builder, update: Update, values: list[int], forward: Program, cotangents: dict[int, list[int]]
) -> None:
    weight = forward.inputs()[update.target]
    shape = forward.instructions[weight].shape
    adjoint = b.input(update.target.cotangent, shape)
    for u, v in update.pairs:
        cotangents.setdefault(u, []).append(b.matvec(adjoint, values[v]))
        cotangents.setdefault(v, []).append(b.rmatvec(adjoint, values[u]))
    for p, q in update.gains:
        grown = b.mul(adjoint, values[weight])
        cotangents.setdefault(p, []).append(b.matvec(grown, values[q]))
        cotangents.setdefault(q, []).append(b.rmatvec(grown, values[p]))
    if update.kappa is not None:
        cotangents.setdefault(update.kappa, []).append(b.dot(adjoint, values[weight]))
    if update.dense is not None:
        cotangents.setdefault(update.dense, []).append(adjoint)


def _active(forward: Program) -> list[bool]:
    """Whether a value depends on a coefficient or on a weight that the step updates."""
    weights = {update.target for update in forward.updates}
    active: list[bool] = []
    for instruction in forward.instructions:
        own = instruction.op == "theta" or (instruction.op == "input" and instruction.parameter in weights)
        active.append(own or any(active[a] for a in instruction.arguments))
    return active


def _reverse(
    forward: Program, b: Builder, values: list[int], cotangents: dict[int, list[int]]
) -> dict[str, int]:
    active = _active(forward)
    outputs: dict[str, int] = {}
    for number in range(len(forward.instructions) - 1, -1, -1):
        instruction = forward.instructions[number]
        if not active[number] or number not in cotangents or instruction.op == "input":
            continue
        total = _total(b, cotangents[number])
        if instruction.op == "theta":
            outputs[Slot(Kind.coefficient, int(instruction.parameter or 0))] = total
            continue
        arguments = [values[a] for a in instruction.arguments]
        pulled = OPS[instruction.op].adjoint(b, instruction.parameter, arguments, values[number], total)
        for argument, cotangent in zip(instruction.arguments, pulled, strict=True):
            if cotangent is not None and active[argument]:
                cotangents.setdefault(argument, []).append(cotangent)
    return outputs


def _total(b: Builder, parts: list[int]) -> int:
    total = parts[0]
    for part in parts[1:]:
        total = b.add(total, part)
    return total


def _moved(update: Update, values: list[int]) -> Update:
    return Update(
        update.target,
        None if update.kappa is None else values[update.kappa],
        tuple((values[u], values[v]) for u, v in update.pairs),
        None if update.dense is None else values[update.dense],
        update.rank,
        tuple((values[p], values[q]) for p, q in update.gains),
    )


def _weight_update(
    forward: Program, b: Builder, update: Update, values: list[int], cotangents: dict[int, list[int]]
) -> Update:
    """Λ before the step: Λ + κ Λ + its own gains + outer products + whatever is not one."""
    weight = forward.inputs()[update.target]
    pairs: list[tuple[int, int]] = []
    dense: list[int] = []
    for part in cotangents.get(weight, []):
        pair = _outer_pair(b, part)
        if pair:
            pairs.append(pair)
        else:
            dense.append(part)
    kappa = None if update.kappa is None else values[update.kappa]
    rest = _total(b, dense) if dense else None
    gains = _moved(update, values).gains
    return Update(update.target.cotangent, kappa, tuple(pairs), rest, update.rank, gains)


def _outer_pair(b: Builder, number: int) -> tuple[int, int] | None:
    instruction = b.instructions[number]
    if instruction.op == "outer":
        return instruction.arguments[0], instruction.arguments[1]
    if instruction.op == "neg":
        inner = _outer_pair(b, instruction.arguments[0])
        return inner and (b.neg(inner[0]), inner[1])
    return None
