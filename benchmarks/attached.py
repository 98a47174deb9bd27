"""What a step by a rule costs on a torch model, beside SGD's on the same model, by turns in the same minute.

`python -m benchmarks.attached --out docs/results/attached.md`
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import ruledsl
from benchmarks.page import write_page

BATCH, TURNS = 128, 15
RULES = (
    "feedback_alignment", "backprop", "ehebb", "oja", "bio", "oja_single", "pool",
    "rules/discovered/balanced.rule",
)  # fmt: skip


def mlp() -> tuple[nn.Module, tuple[int, ...]]:
    layers: list[nn.Module] = []
    for _ in range(4):
        layers += [nn.Linear(1000, 1000), nn.Softplus(10)]
    return nn.Sequential(*layers[:-1]), (1000,)


def convnet() -> tuple[nn.Module, tuple[int, ...]]:
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 49, 47),
    )  # fmt: skip
    return model, (1, 28, 28)


def turn(model: nn.Module, opt: torch.optim.Optimizer, x: Tensor, y: Tensor) -> Callable[[], None]:
    def once() -> None:
        opt.zero_grad()
        cross_entropy(model(x), y).backward()
        opt.step()

    return once


def quickest(turns: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Seconds of the quickest turn of each, taken in turns."""
    best = dict.fromkeys(turns, float("inf"))
    for _ in range(TURNS):
        for name, once in turns.items():
            started = time.perf_counter()
            once()
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def table() -> str:
    lines = ["| | 4 layers of 1 000 | × SGD | convnet 16-32 | × SGD |", "|---|---|---|---|---|"]
    columns = []
    for build in (mlp, convnet):
        model, shape = build()
        x, y = torch.rand(BATCH, *shape), torch.randint(47, (BATCH,))
        turns = {"SGD": turn(model, torch.optim.SGD(model.parameters(), lr=1e-6), x, y)}
        other = build()[0]
        turns["Adam"] = turn(other, torch.optim.Adam(other.parameters(), lr=1e-6), x, y)
        for rule in RULES:
            own = build()[0]
            turns[rule] = turn(own, ruledsl.torch.attach(own, rule, lr=1e-6), x, y)
        columns.append(quickest(turns))
    for name in columns[0]:
        cells = [f"{c[name] * 1e3:.1f} ms | {c[name] / c['SGD']:.2f}" for c in columns]
        lines.append(f"| {Path(name).stem} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=None)
    out = parser.parse_args().out
    page = [
        "# A rule as the optimiser of a torch model: what a step costs",
        "",
        f"Forward, backward and step with {BATCH} samples, the quickest of {TURNS} turns. The",
        "convnet has 28 × 28 pixels, 16 and 32 channels, pooling, and a linear layer.",
        "",
        table(),
    ]
    write_page("attached", page, out)


if __name__ == "__main__":
    main()
