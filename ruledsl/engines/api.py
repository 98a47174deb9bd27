"""The stable calls: `adapt` and `meta_gradient`, on tensors with any leading batch axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ruledsl.backend import CompiledRule
from ruledsl.engines.base import Backend, Case
from ruledsl.engines.choice import EngineName, OnLost, compute, learner_for
from ruledsl.engines.ending import DEFAULT, Ending
from ruledsl.engines.stepping import run_stream
from ruledsl.ir import Kind, Slot
from ruledsl.network import Objectives, prepare, weights_of
from ruledsl.settings import Network
from ruledsl.tasks import Episode


@dataclass(frozen=True)
class MetaGradient:
    """What one episode says about Θ. Shapes have the batch axes of the inputs in front.

    Attributes:
        loss: (…) the objective after adaptation (by default the cross-entropy on the query set) + l1 ‖Θ‖₁.
        accuracy: (…) fraction of query samples whose largest output is their label; for vectors as targets,
            the explained fraction of their variance.
        grad: (…, R) exact derivative of `loss` with respect to theta; zeros from engine `none`.
        weights: the adapted weights, (…, n_{l+1}, n_l) each.
        engine: the engine that computed it; `rebuild and checkpoint` when some runs of the batch had to fall
            back.
        carried: everything the stream carried, by name, after it: W0 …, and B0 …, b1 …, traces where there
            are some.

    >>> MetaGradient(torch.tensor(0.5), torch.tensor(1.0), torch.zeros(2), [], "rebuild").engine
    'rebuild'
    """

    loss: Tensor
    accuracy: Tensor
    grad: Tensor
    weights: list[Tensor]
    engine: str
    carried: dict[str, Tensor] = field(default_factory=dict)


class Learner:
    """Networks that go on learning: what a stream carries along (traces, biases,
    trained feedback) is kept."""

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
        """Arguments as for `Episode`; `backend` as for `meta_gradient`."""
        self.rule, self.theta, self.network = rule, theta, network
        self.backend: Backend = backend
        self.W, self.B = list(W), B
        self.state: dict[str, Tensor] = {Slot(Kind.weights, n): w for n, w in enumerate(W)}
        self.seen = 0

    def see(self, x: Tensor, y: Tensor, signals: Mapping[str, Tensor] | None = None) -> None:
        """Learn from more samples, x (N, T, n_0) and y (N, T), in order."""
        for start in range(0, x.shape[1], self.PART):
            part = slice(start, start + self.PART)
            heard = {name: s[:, part] for name, s in (signals or {}).items()}
            self._see(Episode(self.W, self.B, x[:, part], y[:, part], signals=heard, seen=self.seen))
            self.seen += x[:, part].shape[1]

    def _see(self, part: Episode) -> None:
        prepared = prepare(self.rule, self.theta, self.network, part)
        known = {name: value for name, value in self.state.items() if name in prepared.stream.state}
        stream = replace(prepared.stream, state=prepared.stream.state | known)
        case = Case(prepared.programs, stream, prepared.theta)
        self.state = learner_for(case, self.backend).advance(case)


def adapt(
    rule: CompiledRule, theta: Tensor, episode: Episode, network: Network | None = None
) -> list[Tensor]:
    """One online learning episode (the inner loop of Algorithm 1): one sample at a time, in order.

    Args:
        rule: a compiled rule.
        theta: (…, R) coefficients; those of the feedback pathway, if it has some, behind the rule's.
        episode: what it starts from and sees; its query set is not needed.
        network: the wiring; by default the paper's, with fixed feedback and softplus of slope 10.

    Returns:
        The weights after the last sample, shaped like W. Differentiable with respect to theta and W.

    Raises:
        ValueError: shapes, labels or the name of the feedback pathway do not fit.

    >>> import ruledsl, torch
    >>> F = ruledsl.compile_rule(ruledsl.load("backprop"))
    >>> episode = ruledsl.Episode([torch.randn(3, 4)], None, torch.rand(5, 4), torch.tensor([0, 1, 2, 0, 1]))
    >>> adapt(F, torch.tensor([0.01]), episode, ruledsl.Network(feedback="symmetric"))[0].shape
    torch.Size([3, 4])
    """
    prepared = prepare(rule, theta, network or Network(), episode)
    state = run_stream(prepared.programs, prepared.stream, prepared.theta)
    return [w.reshape(*prepared.batch, *w.shape[1:]) for w in weights_of(state)]


def meta_gradient(
    rule: CompiledRule,
    theta: Tensor,
    episode: Episode,
    network: Network | None = None,
    *,
    l1: float | Tensor = 0.0,
    engine: EngineName | str = "auto",
    backend: Backend = "auto",
    objectives: Objectives = DEFAULT,
    on_lost: OnLost = "again",
    present: Tensor | None = None,
) -> MetaGradient:
    """The objective after an episode and its exact gradient with respect to theta (Algorithm 1, Eq. 6).

    Args:
        rule, theta, episode, network: as for `adapt`.
        l1: λ of the penalty λ‖Θ‖₁, one number or (…); its sub-gradient at 0 is 0.
        engine: `rebuild`, `checkpoint`, `autograd`, `forward` (memory that does not grow with T), `none` (no
            gradient), or `auto` (rebuild where it is exact). `retied` is the released code's, wrong on
            purpose (`engines.retied`).
        backend: for `rebuild`, `checkpoint` and `none`, `compiled` C++, `eager` torch, or `auto` (compiled
            when it is built already).
            On CUDA both but `eager` replay captured CUDA graphs, also for `checkpoint`.
        objectives: objective plugins with their weights; those paid at every sample belong to
            `network.costs`.
        on_lost: what becomes of a run whose weights cannot be rebuilt: computed `again` from checkpoints, or
            `drop`, which costs nothing and leaves NaN for its gradient.
        present: (…, R) which coefficients are there, by default all: the others must be 0, and what is said
            of their gradient means nothing. Compiled code of many terms computes what is there alone.

    Returns:
        A `MetaGradient`; its shapes have the batch axes of theta in front.

    Raises:
        ValueError: as `adapt`, or the episode has no query set, or the engine cannot compute this rule.

    >>> import ruledsl, torch
    >>> F = ruledsl.compile_rule(ruledsl.load("backprop"))
    >>> x, y = torch.rand(5, 4), torch.tensor([0, 1, 2, 0, 1])
    >>> episode = ruledsl.Episode([torch.randn(3, 4)], None, x, y, x_query=x, y_query=y)
    >>> found = meta_gradient(F, torch.tensor([0.01]), episode, ruledsl.Network(feedback="symmetric"))
    >>> found.engine, found.grad.shape
    ('rebuild', torch.Size([1]))
    """
    prepared = prepare(rule, theta, network or Network(), episode)
    flat, batch = prepared.theta.detach(), prepared.batch
    queries, labels = (part.reshape(flat.shape[0], *part.shape[len(batch) :]) for part in episode.queries)
    kept = None if present is None else present.expand(*batch, flat.shape[-1]).reshape(flat.shape)
    labels = labels.to(flat.dtype) if labels.is_floating_point() else labels
    ending = Ending(
        prepared.programs, queries.to(flat.dtype), labels, prepared.stream.length, objectives, episode.keys
    )
    result = compute(engine, backend, Case(prepared.programs, prepared.stream, flat, kept), ending, on_lost)
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
