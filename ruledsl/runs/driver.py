"""Runs a training in its folder: records what the trainer says, checkpoints, and continues."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from filelock import FileLock, Timeout

from ruledsl.meta import MetaTrainer
from ruledsl.pipeline import Rule, compile_rule, load
from ruledsl.runs.checkpoint import load_checkpoint, save_checkpoint
from ruledsl.runs.folder import (
    RunConfig,
    RunError,
    cut_metrics,
    metrics_header,
    metrics_rows,
    read_config,
    write_config,
    write_json,
    write_text,
)
from ruledsl.runs.summary import summary
from ruledsl.settings import EpisodeRecord
from ruledsl.tasks import ImageSource, open_dataset

CHECKPOINT_SECONDS = 5.0
Listener = Callable[[Sequence[EpisodeRecord]], None]


@dataclass(frozen=True)
class Outcome:
    """How a training ended: `interrupted` leaves a folder that `resume` continues."""

    folder: Path
    episodes_done: int
    interrupted: bool


def start(folder: Path, rule: Rule, config: RunConfig, source: ImageSource, listen: Listener) -> Outcome:
    """A new training in a new folder. Raises `RunError` when the folder cannot be used."""
    if (folder / "config.toml").exists():
        raise RunError(f"{folder} already holds a run; continue it with `resume {folder}`, or choose another `--out`")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            write_text(folder / "rule.rule", rule.source)
            write_config(folder, config)
            header = ",".join(metrics_header(rule.names, len(config.settings.sizes) - 1))
            write_text(folder / "metrics.csv", header + "\n")
            trainer = MetaTrainer(compile_rule(rule), config.settings, config.runs, source)
            save_checkpoint(folder, trainer, 0)
            return _run(folder, config, trainer, 0, listen)
    except OSError as error:
        raise RunError(
            f"{folder} cannot be written: {error.strerror or error}. What was recorded before stays there"
        ) from None


def resume(folder: Path, listen: Listener, episodes: int | None = None) -> Outcome:
    """Continue a training from its last checkpoint, bit for bit.

    Raises `RunError` for a folder that is finished, damaged or in use; nothing in it is changed then.
    """
    config = read_config(folder)
    rule = load(folder / "rule.rule")
    if rule.names != config.terms:
        raise RunError(f"{folder}/rule.rule defines other terms than config.toml names")
    source = open_dataset(config.dataset, Path(config.data_root))
    with _locked(folder):
        trainer = MetaTrainer(compile_rule(rule), config.settings, config.runs, source)
        done = load_checkpoint(folder, trainer)
        cut_metrics(folder, done * len(config.runs))
        return _run(folder, config, trainer, done, listen, episodes)


def _run(
    folder: Path, config: RunConfig, trainer: MetaTrainer, done: int, listen: Listener, episodes: int | None = None
) -> Outcome:
    use_threads(config.settings.threads)
    total = episodes or config.settings.episodes
    interrupted = False
    saved_at = time.monotonic()
    with (folder / "metrics.csv").open("a", encoding="utf-8") as metrics, _stop_signals() as stopped:
        while done < total and not stopped.is_set():
            records = trainer.step(done)
            metrics.write(metrics_rows(records))
            metrics.flush()
            done += 1
            listen(records)
            if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                save_checkpoint(folder, trainer, done)
                saved_at = time.monotonic()
        interrupted = done < total
        save_checkpoint(folder, trainer, done)
    learned = {state.spec.run: state.recipe.theta.tolist() for state in trainer.states}
    write_json(folder / "result.json", summary(folder, config, learned, interrupted))
    return Outcome(folder, done, interrupted)


def use_threads(threads: int) -> None:
    """Set torch's CPU threads; 0 takes every core."""
    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process per run folder; the lock goes with the process, however it ends."""
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RunError(f"{folder} is in use by another process") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM ask for a stop after the episode at hand; a second one stops at once."""
    stopped = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
