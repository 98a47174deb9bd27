"""One online learning step of the whole network as one program (Eqs. 1–3 and 6, Algorithm 1).

Layer sizes are the symbolic dimensions n0 … nL. All errors of a sample come from the weights
before its update: updates are written at the end of the step, after everything that reads W.
"""

from __future__ import annotations

from dataclasses import dataclass

from ruledsl.compiler import RuleProgram
from ruledsl.ir.ops import softplus_slope, verify
from ruledsl.ir.program import Builder, Program

FEEDBACKS = ("fixed", "symmetric")


@dataclass(frozen=True)
class Activity:
    """Instructions that hold pre-activations and activities of layers 0 … L."""

    z: list[int]
    y: list[int]


def forward_layers(b: Builder, depth: int, beta: float) -> Activity:
    """z_ℓ = W y_{ℓ−1} (1), y_ℓ = softplus_β(z_ℓ) (2, 11), softmax at the output; z_0 = y_0 = x."""
    x = b.input("x", ("n0",))
    z, y = [x], [x]
    for layer in range(1, depth + 1):
        weights = b.input(f"W{layer - 1}", (f"n{layer}", f"n{layer - 1}"))
        z.append(b.matvec(weights, y[-1]))
        y.append(b.unary("softmax", z[-1]) if layer == depth else b.unary("softplus", z[-1], beta))
    return Activity(z, y)


def backward_errors(b: Builder, y: list[int], feedback: str, beta: float) -> list[int]:
    """e_L = y_L − onehot; e_ℓ = B e_{ℓ+1} ⊙ (1 − exp(−β y_ℓ)) down to the synthetic e_0 (3, 4)."""
    depth = len(y) - 1
    errors = [b.sub(y[depth], b.input("target", (f"n{depth}",)))]
    for layer in range(depth - 1, -1, -1):
        if feedback == "symmetric":
            weights = b.input(f"W{layer}", (f"n{layer + 1}", f"n{layer}"))
            carried = b.rmatvec(weights, errors[0])
        else:
            carried = b.matvec(b.input(f"B{layer}", (f"n{layer}", f"n{layer + 1}")), errors[0])
        errors.insert(0, b.mul(carried, softplus_slope(b, y[layer], beta)))
    return errors


def step_program(rule: RuleProgram, depth: int, feedback: str, beta: float) -> Program:
    """W_t → W_{t+1} for one sample; inputs x, target, W0 …, B0 …, and θ."""
    b = Builder()
    activity = forward_layers(b, depth, beta)
    errors = backward_errors(b, activity.y, feedback, beta)
    updates = []
    for layer in range(1, depth + 1):
        inputs = {
            "y_pre": activity.y[layer - 1],
            "y_post": activity.y[layer],
            "z_pre": activity.z[layer - 1],
            "z_post": activity.z[layer],
            "e_pre": errors[layer - 1],
            "e_post": errors[layer],
            "W": b.input(f"W{layer - 1}", (f"n{layer}", f"n{layer - 1}")),
        }
        updates.append(rule.lower_into(b, {"post": f"n{layer}", "pre": f"n{layer - 1}"}, inputs, layer))
    # Every weight stays an input, also where a rule never reads it: engines need its shape and place.
    weights = {f"W{n}": b.input(f"W{n}", (f"n{n + 1}", f"n{n}")) for n in range(depth)}
    program = b.finish(weights, updates)
    verify(program)
    return program


def prediction_program(depth: int, beta: float) -> Program:
    """Pre-activation of the output for an input: what the query loss is computed from."""
    b = Builder()
    activity = forward_layers(b, depth, beta)
    return b.finish({"logits": activity.z[-1]})


def probe_program(depth: int, feedback: str, beta: float) -> Program:
    """Every z, y and e of the network, for measurements: outputs z1 …, y0 …, e0 …."""
    b = Builder()
    activity = forward_layers(b, depth, beta)
    errors = backward_errors(b, activity.y, feedback, beta)
    outputs = {f"y{n}": v for n, v in enumerate(activity.y)}
    outputs |= {f"z{n}": v for n, v in enumerate(activity.z)}
    outputs |= {f"e{n}": v for n, v in enumerate(errors)}
    return b.finish(outputs)
