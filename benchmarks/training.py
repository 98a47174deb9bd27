"""Many runs of a rule trained in memory: what the tables of several benchmarks are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ruledsl import Episode, Interval, Rule, TrainSettings, compile_rule, meta_gradient
from ruledsl.meta import MetaTrainer
from ruledsl.settings import EpisodeRecord, RunSpec
from ruledsl.statistics import finite_mean
from ruledsl.studies import specify
from ruledsl.tasks import ImageSource


@dataclass(frozen=True)
class Trained:
    """A trainer after its last episode, and all that it said: records by run, in order."""

    trainer: MetaTrainer
    records: dict[int, list[EpisodeRecord]]

    @property
    def engine(self) -> str:
        """That of the last episode."""
        return next(reversed(self.records.values()))[-1].engine

    @property
    def refused(self) -> int:
        """Episodes whose gradient did not move Θ, over all runs."""
        return sum(state.diverged for state in self.trainer.states)

    def accuracies(self, last: int) -> list[float]:
        """By run: the mean query accuracy of the last episodes."""
        return [finite_mean([r.meta_accuracy for r in rs[-last:]]) for rs in self.records.values()]

    def accuracy(self, last: int) -> Interval:
        return Interval.of(self.accuracies(last))

    def angle(self, last: int) -> Interval:
        """To backprop, mean over the layers 1 … L−1."""
        inner = [[finite_mean(r.alpha[1:-1]) for r in rs[-last:]] for rs in self.records.values()]
        return Interval.of([finite_mean(each) for each in inner])

    def coefficient(self, last: int) -> Interval:
        """That of the first term."""
        return Interval.of([finite_mean([r.theta[0] for r in rs[-last:]]) for rs in self.records.values()])


def train_in_memory(
    rule: Rule, settings: TrainSettings, runs: Sequence[RunSpec], source: ImageSource
) -> Trained:
    """Every episode of `settings`, nothing written."""
    trainer = MetaTrainer(compile_rule(rule), settings, runs, source)
    records: dict[int, list[EpisodeRecord]] = {spec.run: [] for spec in runs}
    for episode in range(settings.episodes):
        for record in trainer.step(episode):
            records[record.run].append(record)
    return Trained(trainer, records)


def seeded(seeds: int) -> list[RunSpec]:
    """One run for each seed from 0 on."""
    return [RunSpec(seed, seed) for seed in range(seeds)]


@torch.no_grad()
def learned_once(
    rule: Rule, theta: Sequence[float], tasks: int, dataset: str, root: Path
) -> tuple[float, Episode, list[Tensor]]:
    """Networks of fresh tasks after one stream each, with a given Θ: accuracy, the episode, the weights."""
    spec = specify(rule, dataset=dataset, data_root=root, episodes=2, meta_batch=tasks, threads=0)
    compiled = compile_rule(rule)
    trainer = MetaTrainer(compiled, spec.config.settings, [RunSpec(0, 77)], spec.source)
    episode, network = trainer.draw_fresh(0), trainer.streams.programs.network
    wide = torch.tensor([tuple(theta)]).expand(tasks, -1)
    found = meta_gradient(compiled, wide, episode, network, engine="none", backend="compiled")
    return float(found.accuracy.mean()), episode, found.weights
