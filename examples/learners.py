"""What the examples share: images, the usual loop, ways to learn, and the table that compares them.

A way's step size is chosen on one seed from a grid of its own, by accuracy on validation images; then
other seeds learn with it, and are judged on test images. Rules bring the Θ that was meta-learned for
them in episodes of 250 samples (`ruledsl train NAME --dataset emnist-bymerge/test --episodes 300 --seeds 3`);
the grid multiplies it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import ruledsl
from ruledsl import Interval, Rule
from ruledsl.tasks import fit_pixels, open_dataset

Optimisers = list[torch.optim.Optimizer]
SCALES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Factors on a rule's Θ."""


@dataclass(frozen=True)
class Way:
    """A way to learn: from a model and a step size to the optimisers that move it."""

    optimisers: Callable[[nn.Module, float], Optimisers]
    grid: Sequence[float]


@dataclass(frozen=True)
class Images:
    """Training, validation and test images, (n, 28, 28), with labels."""

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def by_rule(rule: str | Rule, theta: Mapping[str, float], feedback: str = "fixed") -> Way:
    """A rule on every layer; biases learn by gradient descent, at the rate of the rule's F⁰."""

    def optimisers(model: nn.Module, scale: float) -> Optimisers:
        opt = ruledsl.torch.attach(model, rule, theta=theta, feedback=feedback, lr=scale)
        rate = scale * abs(next(iter(theta.values())))
        return [opt, torch.optim.SGD(opt.unattached, lr=rate)] if opt.unattached else [opt]

    return Way(optimisers, SCALES)


def by_torch(make: Callable[..., torch.optim.Optimizer], grid: Sequence[float]) -> Way:
    """One of torch's own optimisers on the exact gradient."""
    return Way(lambda model, rate: [make(model.parameters(), lr=rate)], grid)


THETA = {
    "feedback_alignment": {"pseudo_gradient": 0.01058},
    "ehebb": {"pseudo_gradient": 0.01426, "error_hebb": -0.09528},
    "bio": {"pseudo_gradient": 0.01138, "error_hebb": -0.04366, "oja_subspace": -0.005885},
}
BALANCED = ruledsl.load(Path(__file__).parents[1] / "rules" / "discovered" / "balanced.rule")
SGD = by_torch(torch.optim.SGD, (0.01, 0.03, 0.1, 0.3, 1.0))
ADAM = by_torch(torch.optim.Adam, (1e-4, 3e-4, 1e-3, 3e-3, 1e-2))
WAYS: dict[str, Way] = {
    "SGD": SGD,
    "Adam": ADAM,
    "feedback alignment": by_rule("feedback_alignment", THETA["feedback_alignment"]),
    "direct feedback alignment": by_rule("feedback_alignment", THETA["feedback_alignment"], "direct"),
    "eHebb": by_rule("ehebb", THETA["ehebb"]),
    "bio": by_rule("bio", THETA["bio"]),
    "balanced": by_rule(BALANCED, dict(zip(BALANCED.names, BALANCED.init.tolist(), strict=True))),
}


def images(dataset: str, root: Path, train: int, held_out: int, seed: int = 0) -> Images:
    """A part of a data set, split at random; the training images are what is left where it has fewer."""
    source = open_dataset(dataset, root)
    order = np.random.default_rng(seed).permutation(len(source.labels))[: train + 2 * held_out]
    x = torch.from_numpy(np.asarray(fit_pixels(source.read(order), 784))).reshape(-1, 28, 28)
    y = torch.from_numpy(source.labels[order]).long()
    parts = [slice(held_out), slice(held_out, 2 * held_out), slice(2 * held_out, None)]
    validation, test, rest = ((x[p], y[p]) for p in parts)
    return Images(rest, validation, test)


def learn(
    model: nn.Module, optimisers: Optimisers, data: tuple[Tensor, Tensor], epochs: int, batch: int, seed: int
) -> bool:
    """The usual loop. False when the loss left the numbers."""
    x, y = data
    random = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=random).split(batch):
            for opt in optimisers:
                opt.zero_grad()
            loss = cross_entropy(model(x[rows]), y[rows])
            if not bool(loss.isfinite()):
                return False
            loss.backward()
            for opt in optimisers:
                opt.step()
    return True


@torch.no_grad()
def accuracy(model: nn.Module, data: tuple[Tensor, Tensor]) -> float:
    x, y = data
    right = [
        (model(a).argmax(-1) == b).float().sum() for a, b in zip(x.split(1000), y.split(1000), strict=True)
    ]
    return float(sum(right)) / len(x)


def trained(
    build: Callable[[], nn.Module], way: Way, step: float, data: Images, seed: int, args: argparse.Namespace
) -> nn.Module | None:
    torch.manual_seed(seed)
    model = build()
    for parameter in model.parameters():  # as in the episodes that Θ comes from (Glorot & Bengio 2010)
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
        else:
            nn.init.zeros_(parameter)
    optimisers = way.optimisers(model, step)
    return model if learn(model, optimisers, data.train, args.epochs, args.batch, seed) else None


def compare(title: str, build: Callable[[], nn.Module], ways: Sequence[str], args: argparse.Namespace) -> str:
    """A table: each way with the step size chosen for it, and its accuracy over seeds."""
    data = images(args.dataset, args.data_root, args.train, args.held_out)
    lines = [f"| {title} | step | test accuracy | s a run |", "|---|---|---|---|"]
    for name in ways:
        way, best, started = WAYS[name], (0.0, WAYS[name].grid[0]), time.monotonic()
        for step in way.grid:
            model = trained(build, way, step, data, 0, args)
            best = max(best, (accuracy(model, data.validation) if model else 0.0, step))
        found = []
        for seed in range(1, args.seeds + 1):
            model = trained(build, way, best[1], data, seed, args)
            found.append(accuracy(model, data.test) if model else 0.0)
        seconds = (time.monotonic() - started) / (len(way.grid) + args.seeds)
        shown = Interval.of(found).text(".3f") if best[0] else "diverges at every step of the grid"
        lines.append(f"| {name} | {best[1]:g} | {shown} | {seconds:.1f} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def options(description: str) -> argparse.Namespace:
    """What every example may be asked."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--dataset", default="glyphs", help="a name of `ruledsl train --dataset`")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--train", type=int, default=20000, help="training images")
    parser.add_argument(
        "--held-out", type=int, default=4000, help="validation images, and as many for the test"
    )
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", default="", help="some of the ways, separated by commas")
    return parser.parse_args()
