"""The stable calls: `adapt` and `meta_gradient`, on tensors with any leading batch axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor

from ruledsl.backend import CompiledRule
from ruledsl.network.compiled import compiled_engine, is_possible, is_ready
from ruledsl.network.engines import (
    EngineResult,
    StepPrograms,
    Stream,
    autograd_engine,
    checkpoint_engine,
    programs_for,
    rebuild_engine,
    run_stream,
)
from ruledsl.network.replay import replay_engine
from ruledsl.network.step import FEEDBACKS

Engine = Literal["auto", "rebuild", "checkpoint", "autograd"]
ENGINES = ("auto", "rebuild", "checkpoint", "autograd")
Backend = Literal["auto", "compiled", "eager"]
BACKENDS = ("auto", "compiled", "eager")


@dataclass(frozen=True)
class MetaGradient:
    """What one episode says about Θ. Shapes have the batch axes of the inputs in front.

    Attributes:
        loss: (…) cross-entropy on the query set after adaptation + l1 ‖Θ‖₁.
        accuracy: (…) fraction of query samples whose largest output is their label.
        grad: (…, R) exact derivative of `loss` with respect to theta.
        weights: the adapted weights, (…, n_{l+1}, n_l) each.
        engine: the engine that computed it; `rebuild and checkpoint` when some runs of the batch had to fall back.
    """

    loss: Tensor
    accuracy: Tensor
    grad: Tensor
    weights: list[Tensor]
    engine: str


def adapt(
    rule: CompiledRule,
    theta: Tensor,
    W: Sequence[Tensor],
    B: Sequence[Tensor] | None,
    x: Tensor,
    y: Tensor,
    feedback: str = "fixed",
    beta: float = 10.0,
) -> list[Tensor]:
    """One online learning episode (the inner loop of Algorithm 1): one sample at a time, in order.

    Args:
        rule: a compiled rule.
        theta: (…, R) coefficients.
        W: initial weights, W[l] of shape (…, n_{l+1}, n_l), l = 0 … L−1.
        B: feedback weights, B[l] of shape (…, n_l, n_{l+1}); may be None when `feedback` is symmetric.
        x: (…, T, n_0) inputs. y: (…, T) integer labels below n_L.
        feedback: `fixed` (e carried by B) or `symmetric` (by Wᵀ at every step).
        beta: slope of the softplus in hidden layers.

    Returns:
        The weights after the last sample, shaped like W. Differentiable with respect to theta and W.

    Raises:
        ValueError: shapes, labels or the name of the feedback pathway do not fit.
    """
    programs, stream, flat, batch = _prepared(rule, theta, W, B, x, y, feedback, beta)
    weights = run_stream(programs, stream, flat)
    return [w.reshape(*batch, *w.shape[1:]) for w in weights]


def meta_gradient(
    rule: CompiledRule,
    theta: Tensor,
    W: Sequence[Tensor],
    B: Sequence[Tensor] | None,
    x: Tensor,
    y: Tensor,
    x_query: Tensor,
    y_query: Tensor,
    feedback: str = "fixed",
    beta: float = 10.0,
    l1: float | Tensor = 0.0,
    engine: Engine = "auto",
    backend: Backend = "auto",
) -> MetaGradient:
    """The query loss after an episode and its exact gradient with respect to theta (Algorithm 1, Eq. 6).

    Args as for `adapt`, and:
        x_query: (…, Q, n_0). y_query: (…, Q) integer labels.
        l1: λ of the penalty λ‖Θ‖₁, one number or (…); its sub-gradient at 0 is 0.
        engine: `rebuild`, `checkpoint`, `autograd`, or `auto` (rebuild where it is exact).
        backend: for `rebuild`, `compiled` C++, `eager` torch, or `auto` (compiled when it is built already).
            On CUDA both but `eager` replay captured CUDA graphs, also for `checkpoint`.

    Returns:
        A `MetaGradient`; its shapes have the batch axes of theta in front.
    """
    if engine not in ENGINES:
        raise ValueError(f"there is no engine {engine!r}; choose one of {', '.join(ENGINES)}")
    programs, stream, flat, batch = _prepared(rule, theta, W, B, x, y, feedback, beta)
    queries = x_query.reshape(flat.shape[0], *x_query.shape[len(batch) :]).to(flat.dtype)
    labels = y_query.reshape(flat.shape[0], -1)
    if backend not in BACKENDS:
        raise ValueError(f"there is no backend {backend!r}; choose one of {', '.join(BACKENDS)}")
    result = _run_engine(engine, backend, programs, stream, flat.detach(), queries, labels)
    penalty = torch.as_tensor(l1, dtype=flat.dtype, device=flat.device).expand(batch).reshape(-1)
    loss = result.loss + penalty * flat.detach().abs().sum(-1)
    gradient = result.gradient + penalty.unsqueeze(-1) * flat.detach().sign()
    weights = [w.reshape(*batch, *w.shape[1:]) for w in result.weights]
    return MetaGradient(
        loss.reshape(batch), result.accuracy.reshape(batch), gradient.reshape(*batch, -1), weights, result.engine
    )


def _run_engine(
    engine: Engine,
    backend: Backend,
    programs: StepPrograms,
    stream: Stream,
    theta: Tensor,
    x_query: Tensor,
    y_query: Tensor,
) -> EngineResult:
    if engine == "autograd":
        return autograd_engine(programs, stream, theta, x_query, y_query)
    if engine == "rebuild" and programs.has_dense_rest:
        raise ValueError("this rule has a dense rest, whose weights cannot be rebuilt; use engine='checkpoint'")
    captured = stream.x.device.type == "cuda" and backend != "eager"
    keeping = _replay_keeping_weights if captured else checkpoint_engine
    if engine == "checkpoint" or programs.has_dense_rest:
        return keeping(programs, stream, theta, x_query, y_query)
    usable = is_ready if backend == "auto" else is_possible
    fast = replay_engine if captured else compiled_engine
    run = fast if captured or (backend != "eager" and usable(programs, stream)) else rebuild_engine
    result = run(programs, stream, theta, x_query, y_query)
    if result.lost is None or not bool(result.lost.any()):
        return result
    # Only the runs that lost precision are computed again: the others must not pay for their neighbours.
    rows = result.lost.nonzero().squeeze(-1)
    again = keeping(programs, stream.rows(rows), theta[rows], x_query[rows], y_query[rows])
    return result.with_rows(rows, again)


def _replay_keeping_weights(
    programs: StepPrograms, stream: Stream, theta: Tensor, x_query: Tensor, y_query: Tensor
) -> EngineResult:
    return replay_engine(programs, stream, theta, x_query, y_query, keeps_weights=True)


def _prepared(
    rule: CompiledRule,
    theta: Tensor,
    W: Sequence[Tensor],
    B: Sequence[Tensor] | None,
    x: Tensor,
    y: Tensor,
    feedback: str,
    beta: float,
) -> tuple[StepPrograms, Stream, Tensor, tuple[int, ...]]:
    """Checked arguments with all batch axes merged into one."""
    theta = torch.as_tensor(theta, dtype=W[0].dtype, device=W[0].device)
    batch = tuple(theta.shape[:-1])
    _check_arguments(rule, theta, W, B, x, y, feedback)
    count = prod(batch)
    flat_weights = [w.reshape(count, *w.shape[-2:]) for w in W]
    flat_feedback = None if B is None or feedback == "symmetric" else [b.reshape(count, *b.shape[-2:]) for b in B]
    labels = y.reshape(count, -1).long()
    outputs = W[-1].shape[-2]
    targets = torch.nn.functional.one_hot(labels, outputs).to(W[0].dtype)
    stream = Stream(flat_weights, flat_feedback, x.reshape(count, *x.shape[-2:]).to(W[0].dtype), targets)
    programs = programs_for(rule.program, len(W), feedback, float(beta))
    return programs, stream, theta.reshape(count, theta.shape[-1]), batch


def _check_arguments(
    rule: CompiledRule,
    theta: Tensor,
    W: Sequence[Tensor],
    B: Sequence[Tensor] | None,
    x: Tensor,
    y: Tensor,
    feedback: str,
) -> None:
    if feedback not in FEEDBACKS:
        raise ValueError(f"there is no feedback pathway {feedback!r}; choose one of {', '.join(FEEDBACKS)}")
    if theta.shape[-1:] != (len(rule.names),):
        raise ValueError(
            f"theta has shape {tuple(theta.shape)}; its last axis must hold the {len(rule.names)} coefficients"
        )
    batch = tuple(theta.shape[:-1])
    n_0, n_out = W[0].shape[-1], W[-1].shape[-2]
    for number, weights in enumerate(W):
        below = n_0 if number == 0 else W[number - 1].shape[-2]
        _expect(f"W[{number}]", weights, (*batch, weights.shape[-2], below))
    if feedback == "fixed":
        if B is None or len(B) != len(W):
            raise ValueError(f"fixed feedback needs one B for each of the {len(W)} weight matrices")
        for number, back in enumerate(B):
            _expect(f"B[{number}]", back, (*batch, W[number].shape[-1], W[number].shape[-2]))
    _expect("x", x, (*batch, x.shape[-2], n_0))
    _expect("y", y, (*batch, x.shape[-2]))
    if y.numel() and not 0 <= int(y.min()) <= int(y.max()) < n_out:
        raise ValueError(f"labels must lie in 0 … {n_out - 1}, the output units; found {int(y.min())} … {int(y.max())}")


def _expect(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}")
