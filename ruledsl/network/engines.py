"""An episode and its exact meta-gradient, three ways that agree.

`autograd`    unrolls the stream with torch's own differentiation: the literal reference.
`rebuild`     keeps each step's small vectors, and rebuilds the weights backwards from W_T.
`checkpoint`  keeps the weights at segment borders, and recomputes a segment when backward enters it.

All work on one leading batch axis N: W[l] is (N, n_{l+1}, n_l), x (N, T, n_0), theta (N, R).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isqrt

import torch
from torch import Tensor

from ruledsl.backend import EagerProgram, apply_update, undo_update
from ruledsl.backend.eager import Value
from ruledsl.compiler import RuleProgram, StepAdjoint, step_adjoint
from ruledsl.ir.program import Program
from ruledsl.network.step import prediction_program, step_program


@dataclass(frozen=True)
class Stream:
    """What an episode starts from. B is None where feedback does not read it."""

    weights: list[Tensor]
    feedback: list[Tensor] | None
    x: Tensor
    targets: Tensor

    @property
    def length(self) -> int:
        return self.x.shape[1]

    def rows(self, rows: Tensor) -> Stream:
        """Some of the runs, by their indices."""
        feedback = None if self.feedback is None else [b[rows] for b in self.feedback]
        return Stream([w[rows] for w in self.weights], feedback, self.x[rows], self.targets[rows])

    @property
    def sizes(self) -> dict[str, int]:
        rows = {f"n{n + 1}": w.shape[1] for n, w in enumerate(self.weights)}
        return {"n0": self.weights[0].shape[2], **rows}

    def inputs(self, time: int, weights: Sequence[Tensor]) -> dict[str, Tensor]:
        """The inputs of the step program at one sample."""
        named = {"x": self.x[:, time], "target": self.targets[:, time]}
        named |= {f"W{n}": w for n, w in enumerate(weights)}
        return named | {f"B{n}": b for n, b in enumerate(self.feedback or [])}


@dataclass(frozen=True)
class StepPrograms:
    """The programs of one rule in one kind of network; built once and kept."""

    rule: RuleProgram
    depth: int
    feedback: str
    beta: float

    @cached_property
    def step(self) -> Program:
        return step_program(self.rule, self.depth, self.feedback, self.beta)

    @cached_property
    def adjoint(self) -> StepAdjoint:
        return step_adjoint(self.step)

    @cached_property
    def prediction(self) -> Program:
        return prediction_program(self.depth, self.beta)

    @property
    def has_dense_rest(self) -> bool:
        return any(update.dense is not None for update in self.step.updates)


@lru_cache(maxsize=64)
def programs_for(rule: RuleProgram, depth: int, feedback: str, beta: float) -> StepPrograms:
    """The cached programs of a rule for a network of `depth` synapse layers."""
    return StepPrograms(rule, depth, feedback, beta)


def run_stream(programs: StepPrograms, stream: Stream, theta: Tensor) -> list[Tensor]:
    """The weights after the whole stream; differentiable when theta or the weights require gradients."""
    runner = EagerProgram(programs.step, stream.sizes)
    weights = list(stream.weights)
    for time in range(stream.length):
        values = runner.run(stream.inputs(time, weights), theta)
        weights = [apply_update(u, values, w) for u, w in zip(programs.step.updates, weights, strict=True)]
    return weights


@dataclass(frozen=True)
class QueryLoss:
    """Cross-entropy on the query set after adaptation, per run; `gradient` is ∂loss/∂W_T."""

    loss: Tensor
    accuracy: Tensor
    gradient: list[Tensor]


def query_outputs(programs: StepPrograms, weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """Pre-activations of the output, (N, Q, n_L), for x (N, Q, n_0)."""
    sizes = {"n0": weights[0].shape[2]} | {f"n{n + 1}": w.shape[1] for n, w in enumerate(weights)}
    runner = EagerProgram(programs.prediction, sizes)
    values = runner.run({"x": x} | {f"W{n}": w for n, w in enumerate(weights)}, x.new_zeros(()))
    logits = values[dict(programs.prediction.outputs)["logits"]]
    assert isinstance(logits, Tensor)
    return logits


def query_scores(programs: StepPrograms, weights: Sequence[Tensor], x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and accuracy per run; x (N, Q, n_0), labels (N, Q)."""
    logits = query_outputs(programs, weights, x)
    chosen = logits.log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    correct = (logits.argmax(-1) == labels).to(logits.dtype)
    return -chosen.mean(-1), correct.mean(-1)


def query_loss(programs: StepPrograms, weights: Sequence[Tensor], x: Tensor, labels: Tensor) -> QueryLoss:
    """Query loss with its gradient with respect to the adapted weights."""
    leaves = [w.detach().requires_grad_() for w in weights]
    with torch.enable_grad():
        loss, accuracy = query_scores(programs, leaves, x, labels)
        gradient = torch.autograd.grad(loss.sum(), leaves)
    return QueryLoss(loss.detach(), accuracy.detach(), list(gradient))


@dataclass(frozen=True)
class EngineResult:
    """Per run: loss without penalty, accuracy, exact gradient (N, R), adapted weights."""

    loss: Tensor
    accuracy: Tensor
    gradient: Tensor
    weights: list[Tensor]
    engine: str
    lost: Tensor | None = None
    """(N,) runs whose weights could not be rebuilt exactly: their gradient must be computed another way."""

    def with_rows(self, rows: Tensor, other: EngineResult) -> EngineResult:
        """This result with the rows (indices) of some runs taken from another one."""
        whole = len(rows) == len(self.loss)
        weights = [w.index_copy(0, rows, o) for w, o in zip(self.weights, other.weights, strict=True)]
        return EngineResult(
            self.loss.index_copy(0, rows, other.loss),
            self.accuracy.index_copy(0, rows, other.accuracy),
            self.gradient.index_copy(0, rows, other.gradient),
            weights,
            other.engine if whole else f"{self.engine} and {other.engine}",
        )


def autograd_engine(
    programs: StepPrograms, stream: Stream, theta: Tensor, x_query: Tensor, y_query: Tensor
) -> EngineResult:
    """The reference: reverse mode through the unrolled stream, every W_t kept by the graph."""
    leaf = theta.detach().requires_grad_()
    with torch.enable_grad():
        weights = run_stream(programs, stream, leaf)
        loss, accuracy = query_scores(programs, weights, x_query, y_query)
        if loss.requires_grad:
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        else:
            gradient = torch.zeros_like(theta)
    return EngineResult(loss.detach(), accuracy.detach(), gradient, [w.detach() for w in weights], "autograd")


class _Backward:
    """Runs the adjoint of one step after another, from the last sample to the first."""

    def __init__(self, programs: StepPrograms, stream: Stream, theta: Tensor) -> None:
        self.pair = programs.adjoint
        self.stream, self.theta = stream, theta
        self.runner = EagerProgram(self.pair.backward, stream.sizes)
        self.gradient = torch.zeros_like(theta)
        late = depends_on_matrices(self.pair.backward)
        self.early, self.late = [not flag for flag in late], late
        updates = self.pair.backward.updates
        self.own = [u for u in updates if not u.target.startswith("adjoint_")]
        self.adjoint = [u for u in updates if u.target.startswith("adjoint_")]

    def step(
        self,
        time: int,
        saved: Sequence[Value | None],
        cotangents: list[Tensor],
        after: list[Tensor] | None,
        before: list[Tensor] | None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Cotangents and weights before sample `time`; weights are rebuilt unless `before` gives them."""
        inputs = self.stream.inputs(time, [])
        inputs |= {f"saved{n}": _as_tensor(v, self.theta) for n, v in zip(self.pair.saved, saved, strict=True)}
        values = self.runner.run(inputs, self.theta, only=self.early)
        if before is None:
            assert after is not None
            before = [undo_update(u, values, w) for u, w in zip(self.own, after, strict=True)]
        inputs |= {f"W{n}": w for n, w in enumerate(before)}
        inputs |= {f"adjoint_W{n}": c for n, c in enumerate(cotangents)}
        values = self.runner.run(inputs, self.theta, values, only=self.late)
        for name, number in self.pair.backward.outputs:
            self.gradient[..., int(name[5:])] += values[number]  # type: ignore[operator]
        return [apply_update(u, values, c) for u, c in zip(self.adjoint, cotangents, strict=True)], before


def _as_tensor(value: Value | None, like: Tensor) -> Tensor:
    assert value is not None
    return value if isinstance(value, Tensor) else torch.full((), value, dtype=like.dtype, device=like.device)


def depends_on_matrices(program: Program) -> list[bool]:
    """Instructions that need a weight before the step, or a cotangent; the rest can run first."""
    late: list[bool] = []
    for instruction in program.instructions:
        name = str(instruction.attribute)
        own = instruction.op == "input" and (name.startswith("adjoint_") or (name[0] == "W" and name[1:].isdigit()))
        late.append(own or any(late[a] for a in instruction.arguments))
    return late


def _forward_saving(
    programs: StepPrograms, stream: Stream, theta: Tensor, weights: list[Tensor], times: range, keep_weights: bool
) -> tuple[list[Tensor], list[list[Value | None]], list[list[Tensor]]]:
    """Run samples `times`; the saved values of each, and the weights before each when asked for."""
    runner = EagerProgram(programs.step, stream.sizes)
    saved: list[list[Value | None]] = []
    history: list[list[Tensor]] = []
    for time in times:
        values = runner.run(stream.inputs(time, weights), theta, keep=programs.adjoint.saved)
        saved.append([values[n] for n in programs.adjoint.saved])
        if keep_weights:
            history.append(weights)
        weights = [apply_update(u, values, w) for u, w in zip(programs.step.updates, weights, strict=True)]
    return weights, saved, history


@torch.no_grad()
def rebuild_engine(
    programs: StepPrograms, stream: Stream, theta: Tensor, x_query: Tensor, y_query: Tensor
) -> EngineResult:
    """Weights rebuilt backwards: W_t = (W_{t+1} − Σ u vᵀ)/(1 + κ); `lost` names runs where that lost precision.

    The rebuilt W_0 is compared with the true one; beyond `rebuild_tolerance` a run's gradient is not to be used.
    """
    final, saved, _ = _forward_saving(programs, stream, theta, list(stream.weights), range(stream.length), False)
    query = query_loss(programs, final, x_query, y_query)
    backward = _Backward(programs, stream, theta)
    cotangents, weights = query.gradient, final
    for time in range(stream.length - 1, -1, -1):
        cotangents, weights = backward.step(time, saved[time], cotangents, weights, None)
    lost = lost_runs(weights, stream.weights, final)
    return EngineResult(query.loss, query.accuracy, backward.gradient, final, "rebuild", lost)


def rebuild_tolerance(dtype: torch.dtype) -> float:
    """Largest accepted relative error of the rebuilt W_0: 30 ε^¾, which is 2e-4 in float32 and 5e-11 in float64.

    A healthy stream stays far below it (about 1e-7 in float32 after 250 samples); one that forgets its weights
    is far above. It bounds the weights' error; that of the gradient is measured in tests/test_adjoint.py.
    """
    return 30.0 * torch.finfo(dtype).eps ** 0.75


def lost_runs(weights: Sequence[Tensor], true: Sequence[Tensor], final: Sequence[Tensor]) -> Tensor:
    """(N,) runs for which rebuilding did not come back to W_0. A run that diverged has no gradient to protect."""
    lost = torch.zeros(true[0].shape[0], dtype=torch.bool, device=true[0].device)
    for rebuilt, start, end in zip(weights, true, final, strict=True):
        error = (rebuilt - start).flatten(1).norm(dim=1) / start.flatten(1).norm(dim=1).clamp_min(1e-30)
        finite = end.flatten(1).isfinite().all(1)
        lost |= finite & ((error > rebuild_tolerance(start.dtype)) | ~error.isfinite())
    return lost


@torch.no_grad()
def checkpoint_engine(
    programs: StepPrograms, stream: Stream, theta: Tensor, x_query: Tensor, y_query: Tensor
) -> EngineResult:
    """Weights kept every √T samples; a segment is run again, with its weights, when backward enters it."""
    length = stream.length
    stride = max(1, isqrt(length))
    borders: list[list[Tensor]] = []
    weights = list(stream.weights)
    for start in range(0, length, stride):
        borders.append(weights)
        weights, _, _ = _forward_saving(
            programs, stream, theta, weights, range(start, min(start + stride, length)), False
        )
    query = query_loss(programs, weights, x_query, y_query)
    backward = _Backward(programs, stream, theta)
    cotangents = query.gradient
    for number in range(len(borders) - 1, -1, -1):
        times = range(number * stride, min((number + 1) * stride, length))
        _, saved, history = _forward_saving(programs, stream, theta, borders[number], times, True)
        for offset in range(len(times) - 1, -1, -1):
            cotangents, _ = backward.step(times[offset], saved[offset], cotangents, None, history[offset])
    return EngineResult(query.loss, query.accuracy, backward.gradient, weights, "checkpoint")
