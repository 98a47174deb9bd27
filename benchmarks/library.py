"""What a library costs: compiling it, and an episode of subsets of it, beside the pool and `bio`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import click
import torch

from benchmarks.page import write_page
from ruledsl import Alphabet, Locality, Rule, TrainSettings, compile_rule, load
from ruledsl.discovery import library_of
from ruledsl.meta import MetaTrainer
from ruledsl.runs import Run, use_threads
from ruledsl.selection import train_groups
from ruledsl.settings import RunSpec
from ruledsl.studies import crews, portioned, specify
from ruledsl.tasks import open_dataset

RUNS, EPISODES = 48, 4
CANDIDATES, HEAT = 30, 60
CORES = 2
GROWING = ((15, 0), (30, 0), (60, 0), (120, 0), (30, 16), (60, 16), (120, 16))
"""Candidates, and how many of them are computed at once; 0 for all."""
SHORT = 10
ALONE = """
import sys
from pathlib import Path
from benchmarks.library import SHORT, library, race
dataset, root, (count, at_once) = sys.argv[1], Path(sys.argv[2]), map(int, sys.argv[3:])
seconds = race(library(), dataset, root, "here", count, SHORT, at_once)
# ru_maxrss would begin with what the process that started this one holds.
print(seconds, next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@dataclass(frozen=True)
class Cost:
    """Seconds until the first episode is done, and of each run and episode after it (the quickest)."""

    first: float
    each: float
    lost: int


def library() -> Rule:
    """F⁰ and every term of class `axon` with up to five symbols."""
    return library_of(load("feedback_alignment"), Alphabet(), Locality.axon, 5)


def cost(rule: Rule, subsets: list[tuple[str, ...]], dataset: str, root: Path) -> Cost:
    """From an empty cache of kernels: a batch of runs, one subset of the rule's terms each."""
    settings = TrainSettings.of(meta_batch=1, backend="compiled", on_lost="drop")
    start = tuple(0.01 if name == "pseudo_gradient" else 0.0 for name in rule.names)
    runs = [RunSpec(n, n, 0.0, subsets[n % len(subsets)], start) for n in range(RUNS)]
    with tempfile.TemporaryDirectory() as cache:
        os.environ["RULEDSL_CACHE"] = cache
        trainer = MetaTrainer(compile_rule(rule), settings, runs, open_dataset(dataset, root))
        began = time.perf_counter()
        trainer.step(0)
        first = time.perf_counter() - began
        times, lost = [], 0
        for episode in range(1, EPISODES + 1):
            began = time.perf_counter()
            lost += sum(record.diverged for record in trainer.step(episode))
            times.append(time.perf_counter() - began)
    return Cost(first, min(times) / RUNS, lost)


def race(
    rule: Rule,
    dataset: str,
    root: Path,
    executor: str,
    count: int = CANDIDATES,
    heat: int = HEAT,
    at_once: int = 0,
) -> float:
    """Seconds that candidates of F⁰ and one or two further terms take, kernels built before."""
    chance = Random(1)
    pairs = [("pseudo_gradient", *chance.sample(rule.names[1:], 1 + n % 2)) for n in range(count)]
    warm = [{"pseudo_gradient": 0.01}] * count
    with tempfile.TemporaryDirectory() as folder, crews(executor) as hired:
        for name, episodes in (("built", 1), ("raced", heat)):
            began = time.perf_counter()
            spec = specify(
                rule, dataset=dataset, data_root=root, meta_batch=1, backend="compiled", on_lost="drop",
                at_once=portioned(executor, at_once), threads=0 if executor == "here" else 1,
            )  # fmt: skip
            train_groups(Run(Path(folder) / name), spec, pairs, warm, [0], episodes, lambda _: None, hired)
    return time.perf_counter() - began


def growth(dataset: str, root: Path) -> list[str]:
    """Heats of more and more candidates, each in a process of its own: time and peak memory."""
    rows = ["| candidates | at once | s a candidate | peak memory, MB |", "|---|---|---|---|"]
    for count, at_once in GROWING:
        command = [sys.executable, "-c", ALONE, dataset, str(root), str(count), str(at_once)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, peak = map(float, done.stdout.split()[-2:])
        rows.append(f"| {count} | {at_once or 'all'} | {seconds / count:.2f} | {peak / 1024:.0f} |")
    return rows


@click.command()
@click.option("--dataset", default="glyphs", show_default=True)
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=None)
def main(dataset: str, data_root: Path, out: Path | None) -> None:
    """Print docs/results/library.md."""
    use_threads(0)
    threads = torch.get_num_threads()
    terms = library()
    pairs = [("pseudo_gradient", name) for name in terms.names[1:]]
    pool, bio = load("pool"), load("bio")
    count, chance = len(terms.names), Random(0)
    fives = [("pseudo_gradient", *chance.sample(terms.names[1:], 4)) for _ in range(RUNS)]
    found = {
        f"{count} terms, pairs of F⁰ and each": cost(terms, pairs, dataset, data_root),
        f"{count} terms, F⁰ and four of them": cost(terms, fives, dataset, data_root),
        f"{count} terms, all of them": cost(terms, [terms.names], dataset, data_root),
        "pool, all ten terms": cost(pool, [pool.names], dataset, data_root),
        "bio, three terms": cost(bio, [bio.names], dataset, data_root),
    }
    base = found["pool, all ten terms"]
    heats = {where: race(terms, dataset, data_root, where) for where in ("here", f"processes:{CORES}")}
    rows = [
        f"| {name} | {c.first:.1f} | {c.each * 1e3:.0f} | {c.each / base.each:.2f} | {c.lost} |"
        for name, c in found.items()
    ]
    page = [
        "# A library of terms as one program",
        "",
        f"{RUNS} runs in a batch, 784-170-130-100-70-47, 250 samples, {dataset}; from an empty cache of",
        f"kernels. The quickest of {EPISODES} episodes after the first; *refused* of {RUNS * EPISODES}.",
        "",
        "Until the first episode the code is compiled, and every run feels how far its coefficients may be",
        f"moved: 48 terms, 96 streams. {threads} threads.",
        "",
        "| rule | s until the first episode | ms a run and episode | beside the pool | refused |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"A heat of {CANDIDATES} candidates × {HEAT} episodes, F⁰ and one or two terms each:",
        "",
        "| by | s | candidates × 60 episodes a minute |",
        "|---|---|---|",
        *(f"| {where} | {s:.0f} | {CANDIDATES * HEAT / 60 / s * 60:.0f} |" for where, s in heats.items()),
        "",
        f"Heats of {SHORT} episodes, each in a process of its own:",
        "",
        *growth(dataset, data_root),
    ]
    write_page("library", page, out)


if __name__ == "__main__":
    main()
