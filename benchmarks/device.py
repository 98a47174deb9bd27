"""Every shipped rule and extension on another device beside the CPU: same numbers, and how much sooner."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import click
import torch

from benchmarks import cuda
from benchmarks.extensions import EXAMPLES
from benchmarks.page import write_page
from benchmarks.training import Trained, seeded, train_in_memory
from ruledsl import TrainSettings, load
from ruledsl.rules import apart
from ruledsl.tasks import ImageSource, open_dataset

EPISODES = 4
"""The first of them compiles, or captures; the others are timed."""


@dataclass(frozen=True)
class Row:
    """One example on both devices: seconds a run and episode, and how far Θ and the losses are apart."""

    label: str
    engine: str
    there: float
    here: float
    theta: float
    loss: float

    def text(self) -> str:
        times = f"{self.there * 1e3:.1f} | {self.here * 1e3:.1f} | {self.here / self.there:.1f}×"
        return f"| {self.label} | {self.engine} | {times} | {self.theta:.0e} | {self.loss:.0e} |"


def trained(label: str, device: str, seeds: int, source: ImageSource) -> tuple[Trained, float]:
    """A short training of many runs in one batch, and the seconds of a run and episode after the first."""
    name, settings, per, _ = EXAMPLES[label]
    rule = apart(load(name), per, len(settings.sizes) - 1)
    once = settings.having(device=device, episodes=1)
    train_in_memory(rule, once, seeded(seeds), source)
    began = time.monotonic()
    found = train_in_memory(rule, settings.having(device=device, episodes=EPISODES), seeded(seeds), source)
    return found, (time.monotonic() - began) / (EPISODES * seeds)


def compared(label: str, device: str, seeds: int, source: ImageSource) -> Row:
    """Both devices in one run: tasks, weights and noise are drawn from the same seeds."""
    there, seconds_there = trained(label, device, seeds, source)
    here, seconds_here = trained(label, "cpu", seeds, source)
    theta = loss = 0.0
    for run, records in here.records.items():
        for a, b in zip(records, there.records[run], strict=True):
            loss = max(loss, abs(a.meta_loss - b.meta_loss) / max(abs(a.meta_loss), 1e-9))
            size = max(map(abs, a.theta))
            theta = max(theta, *(abs(x - y) / size for x, y in zip(a.theta, b.theta, strict=True)))
    return Row(label, there.engine, seconds_there, seconds_here, theta, loss)


RANKING = ("optimiser `cma`, relu", "optimiser `genetic`, relu")
"""Not compared: they rank candidates, and a difference in the last bit may exchange two of them."""


def rows_of(device: str, seeds: int, source: ImageSource) -> list[str]:
    """A row for each example; what fails says how, for the others are worth having."""
    EXAMPLES["ten terms: pool"] = ("pool", TrainSettings.of(meta_batch=1), "network", "rule")
    EXAMPLES["three terms: bio"] = ("bio", TrainSettings.of(meta_batch=1), "network", "rule")
    rows: list[str] = []
    for label in EXAMPLES.keys() - set(RANKING):
        try:
            rows.append(compared(label, device, seeds, source).text())
        except Exception as error:
            rows.append(f"| {label} | {type(error).__name__}: {str(error)[:90]!r} | | | | | |")
        click.echo(rows[-1], err=True)
    return sorted(rows)


def batches() -> list[str]:
    """The pool's gradient by the size of the batch, captured and launched kernel by kernel."""
    rows = [
        f"| {t.batch} | {t.captured * 1e3:.1f} | {t.eager * 1e3:.1f} | {t.eager / t.captured:.1f}× |"
        for t in cuda.timings()
    ]
    return ["| runs in a batch | captured, ms | launched, ms | sooner |", "|---|---|---|---|", *rows]


@click.command()
@click.option("--device", default="cuda", show_default=True)
@click.option("--seeds", default=64, show_default=True, help="Runs in one batch.")
@click.option("--dataset", default="glyphs", show_default=True)
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Also write the table to this file."
)
def main(device: str, seeds: int, dataset: str, data_root: Path, out: Path | None) -> None:
    """Print docs/results/cuda.md; needs the device."""
    rows = rows_of(device, seeds, open_dataset(dataset, data_root))
    named = torch.cuda.get_device_name() if device.startswith("cuda") else device
    page = [
        f"# On {named}",
        "",
        f"784-170-130-100-70-47, 250 samples, {seeds} runs in one batch, {EPISODES} episodes, {dataset}:",
        "milliseconds a run and episode on the device and on the CPU of the same machine, and the largest",
        "relative difference in Θ and in the meta-loss over all runs and episodes (float32).",
        "",
        "| example | engine | ms there | ms on CPU | sooner | Θ differs | loss differs |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        "The pool's gradient, a run: steps captured as CUDA graphs, and launched one by one.",
        "",
        *batches(),
    ]
    write_page("device", page, out)


if __name__ == "__main__":
    main()
