"""Rules that a search found, elsewhere: other images, depths, streams, activations, pathways; ceilings.

Θ stays as it was learned. Every column is judged on the same tasks, networks and feedback weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from benchmarks.page import write_page
from ruledsl import Front, Interval, Rule, TrainSettings, compile_rule, load, meta_gradient
from ruledsl.discovery import BASELINES, FOUND, Judged, formula, read_front, read_question
from ruledsl.meta import MetaTrainer
from ruledsl.runs import use_threads
from ruledsl.settings import RunSpec
from ruledsl.tasks import Episode, ImageSource, open_dataset

SEED = 5_000_000
"""Networks and tasks that neither the search nor its refits saw."""
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "as searched, classes never searched": ("@test", {}),
    "glyphs": ("glyphs", {}),
    "one hidden layer, 784-170-47": ("@test", {"sizes": (784, 170, 47)}),
    "ten layers of weights, of 100 cells": ("@test", {"sizes": (784, *[100] * 9, 47)}),
    "wider, 784-340-260-200-140-47": ("@test", {"sizes": (784, 340, 260, 200, 140, 47)}),
    "2 000 samples": ("@test", {"shots": 400}),
    "50 samples": ("@test", {"shots": 10}),
    "ten labels": ("@test", {"labels": 10, "shots": 25}),
    "activation tanh": ("@test", {"activation": "tanh", "beta": 1.0}),
    "activation relu": ("@test", {"activation": "relu"}),
    "feedback direct": ("@test", {"feedback": "direct"}),
}


Learner = Callable[[Tensor, Tensor, Tensor, list[Tensor]], Tensor]
"""(x, y, queries, initial weights) → labels."""


@dataclass(frozen=True)
class Column:
    """A rule with its Θ: one for all tasks, the mean over the seeds that learned it."""

    name: str
    rule: Rule
    theta: dict[str, float]
    own: dict[str, Any]

    def accuracy(self, settings: TrainSettings, source: ImageSource, seeds: int, tasks: int) -> list[float]:
        """By seed, on fresh tasks."""
        pinned = "symmetric" if self.own.get("feedback") == "symmetric" else settings.network.feedback
        start = tuple(self.theta.get(name, 0.0) for name in self.rule.names)
        terms = tuple(name for name in self.rule.names if name in self.theta)
        runs = [RunSpec(n, SEED + n, 0.0, terms, start) for n in range(seeds)]
        trainer = MetaTrainer(compile_rule(self.rule), settings.having(feedback=pinned), runs, source)
        return [fresh.accuracy for fresh in trainer.judge_fresh(tasks).values()]

    def queried(
        self, settings: TrainSettings, source: ImageSource, tasks: int
    ) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Weights after fresh streams, with the queries (1, Q, n_0)."""
        start = torch.tensor([[self.theta.get(name, 0.0) for name in self.rule.names]])
        wired = settings.having(**self.own)
        trainer = MetaTrainer(compile_rule(self.rule), wired, [RunSpec(0, SEED)], source)
        for number in range(tasks):
            episode = trainer.draw_fresh(number)
            learned = meta_gradient(trainer.rule, start, episode, wired.network, engine="none").weights
            yield learned, episode.queries[0]

    def adapted(
        self, settings: TrainSettings, source: ImageSource, tasks: int
    ) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        """Weights after fresh streams, and every cell's mean activity over the queries, by layer."""
        for learned, queries in self.queried(settings, source, tasks):
            y, activity = queries, []
            for w in learned[:-1]:
                y = torch.nn.functional.softplus(y @ w.transpose(1, 2), beta=settings.network.beta)
                activity.append(y.mean(1))
            yield learned, activity


def columns_of(front: Front) -> list[Column]:
    """Backprop, feedback alignment and `bio`, then the two of the front that did best on the choice's
    classes."""
    found = []
    for judged in front.baselines:
        rule, own = BASELINES[judged.name]
        found.append(Column(judged.name, load(rule), {n: v.mean for n, v in judged.theta.items()}, own))
    best = sorted(front.rules, key=lambda rule: -rule.mean("choice").mean)
    return found + [_found(front, rule) for rule in best[:2]]


def _found(front: Front, rule: Judged) -> Column:
    # Its own file, not the library: a program of a few terms compiles in seconds.
    own = load(front.out / FOUND / f"{rule.name}.rule")
    return Column(rule.name, own, {n: v.mean for n, v in rule.theta.items()}, {})


def transfer(
    columns: Sequence[Column],
    base: TrainSettings,
    open_: Callable[[str], ImageSource],
    seeds: int,
    tasks: int,
    variants: Mapping[str, tuple[str, dict[str, Any]]] = VARIANTS,
) -> list[str]:
    """A row for each variant: every rule's accuracy, ± 95 % over seeds."""
    rows = ["| | " + " | ".join(c.name for c in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for label, (data, more) in variants.items():
        settings, source = base.having(**more), open_(data)
        cells = [Interval.of(c.accuracy(settings, source, seeds, tasks)).text(".3f") for c in columns]
        rows.append(f"| {label} | " + " | ".join(cells) + " |")
        click.echo(rows[-1], err=True)
    return rows


def knock_outs(front: Front, base: TrainSettings, source: ImageSource, seeds: int, tasks: int) -> list[str]:
    """The chosen rule without each of its terms, Θ of the others as it is."""
    best = _found(front, front.best)
    rows = ["| without | θ | accuracy | lost |", "|---|---|---|---|"]
    whole = best.accuracy(base, source, seeds, tasks)
    rows.append(f"| nothing | | {Interval.of(whole).text('.3f')} | |")
    for name, value in front.best.theta.items():
        left = replace(best, theta={n: v for n, v in best.theta.items() if n != name})
        accuracy = left.accuracy(base, source, seeds, tasks)
        lost = Interval.of([a - b for a, b in zip(accuracy, whole, strict=True)])
        text = formula({name: 1.0}, front.best.rule).removeprefix("1 * ").removeprefix("- 1 * ")
        rows.append(
            f"| `{text}` | {value.text('.3g')} | {Interval.of(accuracy).text('.3f')} | {lost.text('+.3f')} |"
        )
    return rows


def balances(columns: Sequence[Column], base: TrainSettings, source: ImageSource, tasks: int) -> list[str]:
    """What learning leaves of the weights: by hidden layer, how large the mean weight that leaves a cell is
    beside all weights, and how it follows the mean weight onto the cells that are active."""
    rows = ["| rule | layer | mean weight / rms weight | slope | correlation |", "|---|---|---|---|---|"]
    depth = len(base.sizes) - 2
    for column in columns:
        found: list[list[list[float]]] = [[] for _ in range(depth)]
        for weights, activity in column.adapted(base, source, tasks):
            for layer in range(depth):
                found[layer] += [_balance(w, y) for w, y in zip(weights[layer], activity[layer], strict=True)]
        for layer, measured in enumerate(found, start=1):
            cells = [Interval.of(part).text(".2f") for part in zip(*measured, strict=True)]
            rows.append(f"| {column.name} | {layer} | " + " | ".join(cells) + " |")
    return rows


def _balance(w: Tensor, y: Tensor) -> list[float]:
    """(n_post, n_pre) weights and (n_post,) mean activities."""
    mean, onto_active = w.mean(0), (y / y.sum()) @ w
    slope = float((mean @ onto_active) / (onto_active @ onto_active))
    together = float(torch.corrcoef(torch.stack([mean, onto_active]))[0, 1])
    return [float(mean.square().mean().sqrt() / w.square().mean().sqrt()), slope, together]


def ceilings(base: TrainSettings, source: ImageSource, seeds: int, tasks: int) -> list[str]:
    """What others reach on the very same samples and queries, seen once or as often as they like."""
    rule = compile_rule(load("feedback_alignment"))
    learners: dict[str, Learner] = {
        "nearest neighbour": nearest,
        "logistic regression, 300 steps of L-BFGS": logistic,
        "the same network, Adam in the stream, each sample once": lambda x, y, q, W: network(
            x, y, q, W, 1, 1
        ),
        "the same network, Adam, batches of 10, 100 epochs": partial(network, epochs=100, batch=10),
    }
    rows = ["| learner | accuracy |", "|---|---|"]
    episodes = []
    for n in range(seeds):
        trainer = MetaTrainer(rule, base, [RunSpec(0, SEED + n)], source)
        episodes.append([trainer.draw_fresh(task) for task in range(tasks)])
    for name, learn in learners.items():
        by_seed = [sum(_scored(learn, e) for e in drawn) / len(drawn) for drawn in episodes]
        rows.append(f"| {name} | {Interval.of(by_seed).text('.3f')} |")
        click.echo(rows[-1], err=True)
    return rows


def _scored(learn: Learner, episode: Episode) -> float:
    x_query, y_query = episode.queries
    found = learn(episode.x[0], episode.y[0], x_query[0], [w[0] for w in episode.W])
    return float((found == y_query[0]).double().mean())


def nearest(x: Tensor, y: Tensor, query: Tensor, _: list[Tensor]) -> Tensor:
    return y[torch.cdist(query, x).argmin(1)]


def logistic(x: Tensor, y: Tensor, query: Tensor, W: list[Tensor]) -> Tensor:
    w = torch.zeros(W[-1].shape[0], x.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([w], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = cross_entropy(x @ w.T, y) + 1e-3 * w.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[arg-type]
    return (query @ w.T).argmax(1)


def network(x: Tensor, y: Tensor, query: Tensor, W: list[Tensor], epochs: int, batch: int) -> Tensor:
    """Softplus of slope 10 and softmax, from the episode's own weights; the one of three rates that fits its
    samples best."""
    best, score = None, -1.0
    targets = one_hot(y, W[-1].shape[0]).float()
    for rate in (3e-4, 1e-3, 3e-3):
        weights = [w.clone().requires_grad_() for w in W]
        optimiser = torch.optim.Adam(weights, rate)
        for _ in range(epochs):
            for start in range(0, len(x), batch):
                part = slice(start, start + batch)
                optimiser.zero_grad()
                cross_entropy(_forward(weights, x[part]), targets[part]).backward()
                optimiser.step()
        with torch.no_grad():
            found = _forward(weights, query).argmax(1)
            fit = float((_forward(weights, x).argmax(1) == y).double().mean())
        if fit > score:
            best, score = found, fit
    assert best is not None
    return best


def _forward(weights: Sequence[Tensor], x: Tensor) -> Tensor:
    for w in weights[:-1]:
        x = torch.nn.functional.softplus(x @ w.T, beta=10.0)
    return x @ weights[-1].T


@click.command()
@click.argument("search", type=click.Path(path_type=Path, exists=True))
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option("--seeds", default=6, show_default=True)
@click.option("--tasks", default=10, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=None)
def main(search: Path, data_root: Path, seeds: int, tasks: int, out: Path | None) -> None:
    """Transfer, knock-outs and ceilings of the rules in the folder of a finished SEARCH."""
    use_threads(0)
    question = read_question(search)
    front = read_front(search)
    base = TrainSettings.of(**{n: v for n, v in question.given.items() if n not in ("dataset", "data_root")})
    base = base.having(backend="compiled", episodes=1)

    def opened(data: str) -> ImageSource:
        return open_dataset(question.part(data[1:]) if data.startswith("@") else data, data_root)

    columns = columns_of(front)
    page = [
        f"# Rules found on {front.dataset}, elsewhere",
        "",
        f"Accuracy on fresh tasks, Θ as the search left it; {seeds} seeds of {tasks} tasks, ± 95 %.",
        "",
        *transfer(columns, base, opened, seeds, tasks),
        "",
        f"## {front.best.name}, chosen by the choice's classes, without each of its terms",
        "",
        *knock_outs(front, base, opened("@test"), seeds, tasks),
        "",
        "## What others reach on the same samples",
        "",
        *ceilings(base, opened("@test"), seeds, min(tasks, 2)),
        "",
        "## What it leaves of the weights",
        "",
        "m_i: the mean weight that leaves presynaptic cell i; a_i: the mean onto the cells that answer,",
        "weighted by their activity on the queries. Root mean square of m beside that of W; slope and",
        "correlation of m on a.",
        "",
        *balances(columns, base, opened("@test"), tasks),
        "",
        "## The rules",
        "",
        *(f"- {rule.name}: `{rule.text}`" for rule in front.rules),
    ]
    write_page("discovered", page, out)


if __name__ == "__main__":
    main()
