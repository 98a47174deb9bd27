"""The stable calls: `adapt` and `meta_gradient`, on tensors with any leading batch axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from ruledsl.backend import CompiledRule
from ruledsl.network.compiled import compiled_engine, compiled_state, is_possible, is_ready
from ruledsl.network.engines import (
    EngineResult,
    StepPrograms,
    Stream,
    autograd_engine,
    checkpoint_engine,
    rebuild_engine,
    run_stream,
    weights_of,
)
from ruledsl.network.forward_mode import forward_engine
from ruledsl.network.objectives import DEFAULT, Ending
from ruledsl.network.released_code import retied_engine
from ruledsl.network.replay import replay_engine
from ruledsl.network.streams import Given, prepare
from ruledsl.settings import Network

Engine = Literal["auto", "rebuild", "checkpoint", "autograd", "forward", "none", "retied"]
ENGINES = ("auto", "rebuild", "checkpoint", "autograd", "forward", "none", "retied")
Backend = Literal["auto", "compiled", "eager"]
BACKENDS = ("auto", "compiled", "eager")


@dataclass(frozen=True)
class MetaGradient:
    """What one episode says about Θ. Shapes have the batch axes of the inputs in front.

    Attributes:
        loss: (…) the objective after adaptation (by default the cross-entropy on the query set) + l1 ‖Θ‖₁.
        accuracy: (…) fraction of query samples whose largest output is their label; for vectors as targets, the
            explained fraction of their variance.
        grad: (…, R) exact derivative of `loss` with respect to theta; zeros from engine `none`.
        weights: the adapted weights, (…, n_{l+1}, n_l) each.
        engine: the engine that computed it; `rebuild and checkpoint` when some runs of the batch had to fall back.
        carried: everything the stream carried, by name, after it: W0 …, and B0 …, b1 …, traces where there are some.
    """

    loss: Tensor
    accuracy: Tensor
    grad: Tensor
    weights: list[Tensor]
    engine: str
    carried: dict[str, Tensor] = field(default_factory=dict)


class Learner:
    """Networks that go on learning: what a stream carries along (traces, biases, trained feedback) is kept."""

    PART = 500
    """Samples that compiled code sees at once: it saves what each step computed, about 20 kB a sample."""

    def __init__(
        self,
        rule: CompiledRule,
        theta: Tensor,
        network: Network,
        W: Sequence[Tensor],
        B: Sequence[Tensor] | Mapping[str, Tensor] | None,
        backend: Backend = "eager",
    ) -> None:
        """Arguments as for `adapt`; `backend` as for `meta_gradient`."""
        self.rule, self.theta, self.network, self.backend = rule, theta, network, backend
        self.W, self.B = list(W), B
        self.state: dict[str, Tensor] = {f"W{n}": w for n, w in enumerate(W)}

    def see(self, x: Tensor, y: Tensor, signals: Mapping[str, Tensor] | None = None) -> None:
        """Learn from more samples, x (N, T, n_0) and y (N, T), in order."""
        for start in range(0, x.shape[1], self.PART):
            part = slice(start, start + self.PART)
            self._see(x[:, part], y[:, part], {name: s[:, part] for name, s in (signals or {}).items()})

    def _see(self, x: Tensor, y: Tensor, signals: Mapping[str, Tensor]) -> None:
        prepared = prepare(self.rule, self.theta, self.network, Given(self.W, self.B, x, y, signals))
        known = {name: value for name, value in self.state.items() if name in prepared.stream.state}
        stream = replace(prepared.stream, state=prepared.stream.state | known)
        usable = is_ready if self.backend == "auto" else is_possible
        compiled = self.backend != "eager" and not prepared.programs.has_dense_rest
        run = compiled_state if compiled and usable(prepared.programs, stream) else run_stream
        self.state = run(prepared.programs, stream, prepared.theta)


def adapt(
    rule: CompiledRule,
    theta: Tensor,
    W: Sequence[Tensor],
    B: Sequence[Tensor] | Mapping[str, Tensor] | None,
    x: Tensor,
    y: Tensor,
    feedback: str = "fixed",
    beta: float = 10.0,
    network: Network | None = None,
    signals: Mapping[str, Tensor] | None = None,
) -> list[Tensor]:
    """One online learning episode (the inner loop of Algorithm 1): one sample at a time, in order.

    Args:
        rule: a compiled rule.
        theta: (…, R) coefficients; those of the feedback pathway, if it has some, behind the rule's.
        W: initial weights, W[l] of shape (…, n_{l+1}, n_l), l = 0 … L−1.
        B: feedback weights, B[l] of shape (…, n_l, n_{l+1}) for layered pathways; a mapping by name (`B0` …) for
            pathways with several families; may be None when the pathway reads none, as `symmetric` does.
        x: (…, T, n_0) inputs. y: (…, T) integer labels below n_L, or (…, T, n_L) targets.
        feedback: a feedback plugin: `fixed` (e carried by B), `symmetric` (by Wᵀ at every step), `direct` …
        beta: slope of the softplus in hidden layers.
        network: all of the wiring, in place of `feedback` and `beta`.
        signals: (…, T, n) what else comes with every sample, by name, such as `third` (…, T).

    Returns:
        The weights after the last sample, shaped like W. Differentiable with respect to theta and W.

    Raises:
        ValueError: shapes, labels or the name of the feedback pathway do not fit.
    """
    wiring = network or Network(feedback=feedback, beta=float(beta))
    prepared = prepare(rule, theta, wiring, Given(W, B, x, y, signals or {}))
    state = run_stream(prepared.programs, prepared.stream, prepared.theta)
    return [w.reshape(*prepared.batch, *w.shape[1:]) for w in weights_of(state)]


def meta_gradient(
    rule: CompiledRule,
    theta: Tensor,
    W: Sequence[Tensor],
    B: Sequence[Tensor] | Mapping[str, Tensor] | None,
    x: Tensor,
    y: Tensor,
    x_query: Tensor,
    y_query: Tensor,
    feedback: str = "fixed",
    beta: float = 10.0,
    l1: float | Tensor = 0.0,
    engine: Engine = "auto",
    backend: Backend = "auto",
    network: Network | None = None,
    signals: Mapping[str, Tensor] | None = None,
    objectives: tuple[tuple[str, float], ...] = DEFAULT,
    keys: Sequence[int] = (),
) -> MetaGradient:
    """The objective after an episode and its exact gradient with respect to theta (Algorithm 1, Eq. 6).

    Args as for `adapt`, and:
        x_query: (…, Q, n_0). y_query: (…, Q) integer labels, or (…, Q, n_L) targets.
        l1: λ of the penalty λ‖Θ‖₁, one number or (…); its sub-gradient at 0 is 0.
        engine: `rebuild`, `checkpoint`, `autograd`, `forward` (memory that does not grow with T), `none` (no gradient),
            or `auto` (rebuild where it is exact). `retied` is the released code's, wrong on purpose (`released_code`).
        backend: for `rebuild`, `compiled` C++, `eager` torch, or `auto` (compiled when it is built already).
            On CUDA both but `eager` replay captured CUDA graphs, also for `checkpoint`.
        objectives: objective plugins with their weights; those paid at every sample belong to `network.costs`.
        keys: one number per run (batch axes merged), for objectives that draw random numbers.

    Returns:
        A `MetaGradient`; its shapes have the batch axes of theta in front.
    """
    for value, known, what in ((engine, ENGINES, "engine"), (backend, BACKENDS, "backend")):
        if value not in known:
            raise ValueError(f"there is no {what} {value!r}; choose one of {', '.join(known)}")
    wiring = network or Network(feedback=feedback, beta=float(beta))
    prepared = prepare(rule, theta, wiring, Given(W, B, x, y, signals or {}))
    flat, batch = prepared.theta.detach(), prepared.batch
    queries = x_query.reshape(flat.shape[0], *x_query.shape[len(batch) :]).to(flat.dtype)
    labels = y_query.reshape(flat.shape[0], *y_query.shape[len(batch) :])
    labels = labels.to(flat.dtype) if labels.is_floating_point() else labels
    ending = Ending(prepared.programs, queries, labels, prepared.stream.length, objectives, keys)
    result = _run_engine(engine, backend, prepared.programs, prepared.stream, flat, ending)
    penalty = torch.as_tensor(l1, dtype=flat.dtype, device=flat.device).expand(batch).reshape(-1)
    loss = result.loss + penalty * flat.abs().sum(-1)
    gradient = result.gradient + penalty.unsqueeze(-1) * flat.sign()
    carried = {name: v.reshape(*batch, *v.shape[1:]) for name, v in result.state.items()}
    return MetaGradient(
        loss.reshape(batch),
        result.accuracy.reshape(batch),
        gradient.reshape(*batch, -1),
        weights_of(carried),
        result.engine,
        carried,
    )


def _run_engine(
    engine: Engine, backend: Backend, programs: StepPrograms, stream: Stream, theta: Tensor, ending: Ending
) -> EngineResult:
    if engine == "autograd":
        return autograd_engine(programs, stream, theta, ending)
    if engine == "forward":
        return forward_engine(programs, stream, theta, ending)
    if engine == "retied":
        return retied_engine(programs, stream, theta, ending)
    usable = is_ready if backend == "auto" else is_possible
    if engine == "none":
        if backend != "eager" and not programs.has_dense_rest and usable(programs, stream):
            ending.differentiable = True
            return compiled_engine(programs, stream, theta, ending, with_gradient=False)
        return no_gradient_engine(programs, stream, theta, ending)
    if engine == "rebuild" and programs.has_dense_rest:
        raise ValueError("this rule has a dense rest, whose weights cannot be rebuilt; use engine='checkpoint'")
    captured = stream.signals["x"].device.type == "cuda" and backend != "eager"
    keeping = _replay_keeping_weights if captured else checkpoint_engine
    if engine == "checkpoint" or programs.has_dense_rest:
        return keeping(programs, stream, theta, ending)
    fast = replay_engine if captured else compiled_engine
    run = fast if captured or (backend != "eager" and usable(programs, stream)) else rebuild_engine
    result = run(programs, stream, theta, ending)
    if result.lost is None or not bool(result.lost.any()):
        return result
    # Only the runs that lost precision are computed again: the others must not pay for their neighbours.
    rows = result.lost.nonzero().squeeze(-1)
    again = keeping(programs, stream.rows(rows), theta[rows], ending.rows(rows))
    return result.with_rows(rows, again)


def _replay_keeping_weights(programs: StepPrograms, stream: Stream, theta: Tensor, ending: Ending) -> EngineResult:
    return replay_engine(programs, stream, theta, ending, keeps_weights=True)


@torch.no_grad()
def no_gradient_engine(programs: StepPrograms, stream: Stream, theta: Tensor, ending: Ending) -> EngineResult:
    """The objective alone, for meta-optimisers that need no gradient."""
    ending.differentiable = True  # nothing is differentiated here, so no gradients of its own either
    state = run_stream(programs, stream, theta, ending)
    loss, accuracy = ending.total(state)
    return EngineResult(loss, accuracy, torch.zeros_like(theta), state, "none")
