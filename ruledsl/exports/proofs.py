"""Whether an exported file computes what ruledsl computes: it is run, on random networks, and compared."""

from __future__ import annotations

import runpy
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import ruledsl.torch
from ruledsl.backend import CompiledRule, compile_rule
from ruledsl.engines import adapt, meta_gradient
from ruledsl.errors import require
from ruledsl.exports.subject import Subject
from ruledsl.ir import InternalError, Kind, Slot
from ruledsl.tasks import WEIGHTS, Episode, draw_feedback, draw_weights

SAMPLES, QUERIES = 50, 10
HUGE, TINY = 1e3, 1e-12


def small(subject: Subject) -> Subject:
    """The same rule in a network of as many layers with few cells, every coefficient at work."""
    sizes = tuple(range(subject.settings.depth + 4, 3, -1))
    # Different ones, and small: of a large rule many terms grow together.
    theta = tuple(value or 1e-3 * (1 + r / len(subject.theta)) for r, value in enumerate(subject.theta))
    return replace(subject, settings=subject.settings.having(sizes=sizes), theta=theta)


def episode_of(subject: Subject, seed: int = 0) -> Episode:
    """Random weights, feedback and samples in float64, with all else that the network hears."""
    sizes, needs = subject.settings.sizes, subject.programs.needs(subject.settings.sizes)
    W = [w.double() for w in draw_weights(sizes, seed, 0, WEIGHTS)]
    B = {name: b.double() for name, b in draw_feedback(needs.matrices, seed, 0).items()}
    random = torch.Generator().manual_seed(seed)
    signals = {
        name: torch.randn(SAMPLES, n, generator=random, dtype=torch.float64)
        for name, n in needs.signals.items()
    }
    if needs.third:
        signals[Kind.third] = torch.rand(SAMPLES, generator=random, dtype=torch.float64)
    x = torch.rand(SAMPLES + QUERIES, sizes[0], generator=random, dtype=torch.float64)
    y = torch.randint(sizes[-1], (SAMPLES + QUERIES,), generator=random)
    return Episode(W, B, x[:SAMPLES], y[:SAMPLES], x[SAMPLES:], y[SAMPLES:], signals)


def run_file(text: str) -> dict[str, Any]:
    """The names that a file of ours defines. It is run as a module, not as a program: no demo."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exported.py"
        path.write_text(text, encoding="utf-8")
        return runpy.run_path(str(path))


def _state(subject: Subject, episode: Episode) -> dict[str, np.ndarray]:
    sizes = {f"n{n}": size for n, size in enumerate(subject.settings.sizes)}
    shapes = subject.programs.shapes
    state = {str(Slot(Kind.weights, n)): w.numpy() for n, w in enumerate(episode.W)}
    state |= {str(name): b.numpy() for name, b in episode.feedback.items()}
    for slot in subject.programs.carried:
        if str(slot) not in state:
            state[str(slot)] = np.zeros([sizes[d] for d in shapes[slot]])
    return state


def prove_numpy(subject: Subject, text: str) -> str:
    """An episode of the file against `adapt`. Raises `InternalError` when they part."""
    found = run_file(text)
    asked = _Asked.of(subject)
    after = found["episode"](asked.theta.numpy(), asked.state, *asked.samples, **asked.signals)
    return told(asked.largest(after), "ruledsl.adapt", f"numpy {np.__version__}", asked.limit)


def prove_jax(subject: Subject, text: str) -> str:
    """An episode against `adapt`, and jax's own derivative through it against `meta_gradient`."""
    (jax,) = require("jax", "jax")
    asked = _Asked.of(subject)
    with jax.enable_x64(True):
        found = run_file(text)
        after = found["adapt"](asked.theta.numpy(), asked.state, *asked.samples, **asked.signals)
        difference = asked.largest(after)
        x, y = (part.numpy() for part in asked.episode.queries)
        gradient = found["meta_gradient"](
            asked.theta.numpy(), asked.state, *asked.samples, x, y, **asked.signals
        )
    exact = meta_gradient(asked.rule, asked.theta, asked.episode, subject.programs.network).grad.numpy()
    relative = float(np.abs(np.asarray(gradient) - exact).max() / max(np.abs(exact).max(), 1e-30))
    what = "ruledsl.adapt, and jax.grad through it against ruledsl.meta_gradient"
    return told(max(difference, relative), what, f"jax {jax.__version__}", max(1e-8, asked.limit))


def prove_brian(subject: Subject, text: str) -> str:
    """An episode in Brian2 against `adapt`."""
    (brian,) = require("brian2", "brian2")
    found, asked = run_file(text), _Asked.of(subject)
    after = found["episode"](asked.theta.numpy(), asked.state, *asked.samples)
    return told(asked.largest(after), "ruledsl.adapt", f"brian2 {brian.__version__}", asked.limit)


def prove_torch(subject: Subject, text: str) -> str:
    """Five batches against `ruledsl.torch.attach`."""
    found, sizes = run_file(text), (7, 6, 5)
    theta = torch.tensor(small(subject).theta, dtype=torch.float64)
    torch.manual_seed(0)
    hidden: nn.Module = nn.Softplus(10, threshold=1000)
    own = [
        found["RuleLinear"](a, b, h, dtype=torch.float64)
        for a, b, h in zip(sizes, sizes[1:], (hidden, None), strict=False)
    ]
    pairs = [
        (nn.Linear(a, b, dtype=torch.float64), layer)
        for (a, b), layer in zip(pairwise(sizes), own, strict=True)
    ]
    usual = nn.Sequential(pairs[0][0], hidden, pairs[1][0])
    usual.load_state_dict(
        {f"{2 * n}.{k}": v for n, m in enumerate(own) for k, v in m.state_dict().items() if k != "B"}
    )
    feedback = subject.network.feedback
    output = subject.network.output
    attached = ruledsl.torch.attach(usual, subject.rule, theta=theta, feedback=feedback, output=output)
    for number, layer in enumerate(own):
        for matrix in attached.feedback_of(f"{2 * number}").values():
            matrix.copy_(layer.B)
    model = nn.Sequential(*own)
    optimizer = found["RuleOptimizer"](model, theta=theta, slope=lambda y: 1 - torch.exp(-10 * y))
    for _ in range(5):
        x, y, third = (
            torch.rand(8, 7, dtype=torch.float64),
            torch.randint(5, (8,)),
            torch.rand(8, dtype=torch.float64),
        )
        for each in (model, usual):
            cross_entropy(each(x), y).backward()
        optimizer.step(third=third)
        attached.step(third=third)
    found_weights = [layer.weight.detach().numpy() for layer in own]
    usual_weights = [m.weight.detach() for m in usual if isinstance(m, nn.Linear)]
    difference = _largest(found_weights, usual_weights)
    return told(difference, "ruledsl.torch.attach, five batches of 8", "", LIMIT)


LIMIT = 1e-10
NUDGE, EPSILON = 1e-9, 1e-15


def told(difference: float, against: str, versions: str, limit: float) -> str:
    """The sentence for the header. Raises `InternalError` when the numbers part."""
    if not difference <= limit:
        raise InternalError(
            f"the exported file parts from {against} by {difference:.1e}; please report this rule"
        )
    known = ", ".join(
        v for v in (f"ruledsl {ruledsl.__version__}", f"torch {torch.__version__}", versions) if v
    )
    return f"Verified against {against}:\nlargest difference {difference:.0e} ({known})."


@dataclass(frozen=True)
class _Asked:
    """One random episode of a small network, and what `adapt` makes of it."""

    rule: CompiledRule
    theta: Tensor
    episode: Episode
    state: dict[str, np.ndarray]
    adapted: list[Tensor]
    limit: float
    """How far two ways of computing it may part. Some networks magnify rounding without bound: how much this
    one does is measured by moving its weights a little."""

    @classmethod
    def of(cls, subject: Subject) -> _Asked:
        subject = small(subject)
        episode, rule = episode_of(subject), compile_rule(subject.rule)
        theta = torch.tensor(subject.theta, dtype=torch.float64)
        adapted = adapt(rule, theta, episode, subject.programs.network)
        while not all(bool((w.abs() < HUGE).all()) for w in adapted) and bool(theta.abs().max() > TINY):
            theta = theta / 4  # numbers that explode compare nothing
            adapted = adapt(rule, theta, episode, subject.programs.network)
        nudged = replace(episode, W=[w * (1.0 + NUDGE) for w in episode.W])
        moved = _largest([w.numpy() for w in adapt(rule, theta, nudged, subject.programs.network)], adapted)
        limit = max(LIMIT, 100 * EPSILON * moved / NUDGE)
        return cls(rule, theta, episode, _state(subject, episode), adapted, limit)

    @property
    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        return self.episode.x.numpy(), self.episode.y.numpy()

    @property
    def signals(self) -> dict[str, np.ndarray]:
        return {str(name): s.numpy() for name, s in self.episode.signals.items()}

    def largest(self, after: Mapping[str, Any]) -> float:
        return _largest([after[f"W{n}"] for n in range(len(self.adapted))], self.adapted)


def _largest(found: Sequence[Any], wanted: Sequence[Tensor]) -> float:
    return max(float(np.abs(np.asarray(a) - b.numpy()).max()) for a, b in zip(found, wanted, strict=True))
