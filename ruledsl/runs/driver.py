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

from ruledsl.ir.kinds import Locality
from ruledsl.meta import MetaTrainer, coefficient_names
from ruledsl.pipeline import Rule, compile_rule, load
from ruledsl.runs.checkpoint import load_checkpoint, save_checkpoint
from ruledsl.runs.folder import RunConfig, RunError, read_config, write_config, write_json, write_text
from ruledsl.runs.metrics import (
    MetricsFile,
    metrics_header,
    metrics_rows,
    reopen_metrics,
    start_metrics,
)
from ruledsl.runs.summary import summary
from ruledsl.settings import EpisodeRecord
from ruledsl.storage import sweep
from ruledsl.tasks import ImageSource, open_dataset

CHECKPOINT_SECONDS = 5.0
Listener = Callable[[Sequence[EpisodeRecord]], None]


@dataclass(frozen=True)
class Outcome:
    """How a training ended: `interrupted` leaves a folder that `resume` continues."""

    folder: Path
    episodes_done: int
    interrupted: bool


@dataclass
class _Session:
    """A training at work in its folder."""

    folder: Path
    config: RunConfig
    trainer: MetaTrainer
    metrics: MetricsFile
    done: int = 0
    saved: int | None = None
    """Episodes that the checkpoint on disk knows."""

    def save(self) -> None:
        save_checkpoint(self.folder, self.trainer, self.done, self.metrics.secure())
        self.saved = self.done

    def step(self, listen: Listener) -> None:
        records = self.trainer.step(self.done)
        self.metrics.write(metrics_rows(records, self.config.runs))
        self.done += 1
        listen(records)


def start(folder: Path, rule: Rule, config: RunConfig, source: ImageSource, listen: Listener) -> Outcome:
    """A new training in a new folder. Raises `RunError` when the folder cannot be used.

    checkpoint.json comes last: a folder without it holds no training yet, and may be started again.
    """
    if (folder / "checkpoint.json").exists() or _has_rows(folder):
        raise RunError(f"{folder} already holds a run; continue it with `resume {folder}`, or choose another `--out`")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            write_text(folder / "rule.rule", rule.source)
            write_config(folder, config)
            trainer = MetaTrainer(compile_rule(rule), config.settings, config.runs, source)
            metrics = start_metrics(
                folder, metrics_header(config.terms, len(config.settings.sizes) - 1, config.settings.diagnostics)
            )
            return _run(_Session(folder, config, trainer, metrics), listen)
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror or error}. Nothing was saved there") from None


def _has_rows(folder: Path) -> bool:
    try:
        with (folder / "metrics.csv").open("rb") as file:
            file.readline()
            return bool(file.readline())
    except OSError:
        return False


def resume(folder: Path, listen: Listener, episodes: int | None = None) -> Outcome:
    """Continue a training from its last checkpoint, bit for bit; one that is finished is left as it is.

    Raises `RunError` for a folder that is damaged, changed or in use; nothing in it is changed then.
    """
    config = read_config(folder)
    if not (folder / "checkpoint.json").exists():
        raise RunError(f"{folder} has no checkpoint.json: its training never began, or lost it; use `rerun {folder}`")
    rule = load_recorded(folder, config)
    source = open_dataset(config.dataset, Path(config.data_root))
    try:
        with _locked(folder):
            trainer = MetaTrainer(compile_rule(rule), config.settings, config.runs, source)
            checkpoint = load_checkpoint(folder, trainer)
            done = checkpoint.episodes_done
            metrics = reopen_metrics(folder, done * len(config.runs), checkpoint.metrics_digest)
            return _run(_Session(folder, config, trainer, metrics, done, done), listen, episodes)
    except OSError as error:
        raise RunError(f"{folder} cannot be used: {error.strerror or error}. It is as it was") from None


def load_recorded(folder: Path, config: RunConfig) -> Rule:
    """The rule that a run folder trained. Its locality was judged when it was: any class is accepted now."""
    path = folder / "rule.rule"
    if not path.exists():
        raise RunError(f"{path} is missing: without it nobody can say what was trained")
    rule = load(path, allow=Locality.layer)
    if coefficient_names(rule.program, config.settings) != config.terms:
        raise RunError(f"{path} defines other terms than config.toml names")
    return rule


def _run(session: _Session, listen: Listener, episodes: int | None = None) -> Outcome:
    folder, config = session.folder, session.config
    use_threads(config.settings.threads)
    total = episodes or config.settings.episodes
    try:
        with session.metrics.file, _stop_signals() as stopped:
            session.save()
            saved_at = time.monotonic()
            while session.done < total and not stopped.is_set():
                session.step(listen)
                if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                    session.save()
                    saved_at = time.monotonic()
            session.save()
        interrupted = session.done < total
        learned = {state.spec.run: state.recipe.theta.tolist() for state in session.trainer.states}
        write_json(folder / "result.json", summary(folder, config, learned, interrupted))
        return Outcome(folder, session.done, interrupted)
    except OSError as error:
        raise RunError(_lost(session, error)) from None


def _lost(session: _Session, error: OSError) -> str:
    """What a full disk, or a folder that became read-only, cost."""
    head = f"{session.folder} cannot be written after episode {session.done}: {error.strerror or error}"
    if session.saved is None:
        return f"{head}. Nothing was saved"
    return (
        f"{head}. Saved: the checkpoint after episode {session.saved} and its metrics; "
        f"when that is mended, `resume {session.folder}` continues there"
    )


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
        sweep(folder)
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
