"""Runs a training in its folder: records what the trainer says, checkpoints, and continues."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from ruledsl.backend import compile_rule
from ruledsl.errors import FolderInUse, RunError
from ruledsl.evidence import digests, refuse_edited, write_sealed
from ruledsl.meta import Crew, MetaTrainer
from ruledsl.rules import Rule
from ruledsl.runs.checkpoint import load_checkpoint, save_checkpoint, was_eager
from ruledsl.runs.config import RunConfig, data_digest, write_config
from ruledsl.runs.metrics import (
    MetricsFile,
    has_rows,
    metrics_rows,
    read_metrics,
    reopen_metrics,
    start_metrics,
)
from ruledsl.runs.names import CHECKPOINT, LOCK, RESULT, RULE
from ruledsl.runs.summary import Learned, summary
from ruledsl.settings import EpisodeRecord
from ruledsl.stopping import stopping
from ruledsl.storage import sweep, write_text
from ruledsl.tasks import ImageSource
from ruledsl.wording import counted

CHECKPOINT_SECONDS = 5.0
FRESH_TASKS = 20
"""Tasks per run, never trained on, that a finished training is judged by."""
Listener = Callable[[Sequence[EpisodeRecord]], None]


def unheard(records: Sequence[EpisodeRecord]) -> None:
    """For trainings that nobody watches."""


class LockWarning(UserWarning):
    """A folder that cannot be kept from other processes."""


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
    asked: int
    """Episodes, once all are done."""
    done: int = 0
    saved: int | None = None
    """Episodes that the checkpoint on disk knows."""

    def save(self) -> None:
        save_checkpoint(self.folder, self.trainer, self.done, self.asked, self.metrics.secure())
        self.saved = self.done

    def step(self, listen: Listener) -> None:
        records = self.trainer.step(self.done)
        self.metrics.write(metrics_rows(records, self.config.runs))
        self.done += 1
        listen(records)

    def conclude(self, interrupted: bool, fresh_tasks: int) -> None:
        """Write what was found."""
        judged = self.trainer.judge_fresh(fresh_tasks) if fresh_tasks and not interrupted else {}
        accuracy = {run: fresh.accuracy for run, fresh in judged.items()}
        learned = Learned(self.trainer.theta, accuracy, fresh_tasks if judged else 0)
        document: dict[str, Any] = {"finished": not interrupted, "groups": [], "runs": []}
        if self.done:
            document = summary(self.config, read_metrics(self.folder), learned, interrupted)
        write_sealed(self.folder / RESULT, {**document, "sha256": digests(self.folder)})


def start(
    folder: Path,
    rule: Rule,
    config: RunConfig,
    source: ImageSource,
    listen: Listener,
    fresh_tasks: int = FRESH_TASKS,
    begun: Callable[[], None] = lambda: None,
    crew: Crew | None = None,
) -> Outcome:
    """A new training in a new folder; `begun` is called when nothing stands in its way any more.

    The checkpoint comes last: a folder without it holds no training yet, and may be started again.

    Raises:
        RunError: the folder cannot be used.
        UserError: a trainer cannot be made, for want of a package say; no folder was made then.
    """
    refuse_used(folder)
    trainer = MetaTrainer(compile_rule(rule), config.settings, config.runs, source, crew)
    if config.settings.backend == "compiled":
        _ = trainer.computed_by  # what was asked for must be there before a folder is made
    data = data_digest(source)  # before a folder is made: samples that cannot be read are told as such
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            refuse_used(folder)  # another process may have trained here while the trainer was made
            begun()
            write_text(folder / RULE, rule.source)
            write_config(folder, config, data)
            metrics = start_metrics(folder, config.columns)
            session = _Session(folder, config, trainer, metrics, config.settings.episodes)
            return _run(session, listen, fresh_tasks)
    except OSError as error:
        raise RunError(
            f"{folder} cannot be written: {error.strerror or error}. Nothing was saved there"
        ) from None


def refuse_used(folder: Path) -> None:
    """Raise `RunError` for a folder that holds a training already."""
    if (folder / CHECKPOINT).exists() or has_rows(folder):
        raise RunError(
            f"{folder} already holds a run; continue it with `resume {folder}`, or choose another `--out`"
        )


def resume(
    folder: Path,
    rule: Rule,
    config: RunConfig,
    source: ImageSource,
    listen: Listener,
    episodes: int | None = None,
    fresh_tasks: int = FRESH_TASKS,
    other_backend: bool = False,
    crew: Crew | None = None,
) -> Outcome:
    """Continue a training from its last checkpoint, bit for bit; one that is finished is judged again.

    `episodes` are asked for from now on, also of who goes on later.

    Raises `RunError` for a folder that is damaged, changed or in use; nothing in it is changed then.
    """
    if not (folder / CHECKPOINT).exists():
        raise RunError(
            f"{folder} has no {CHECKPOINT}: its training never began, or lost it; use `rerun {folder}`"
        )
    refuse_edited(folder, always=True)
    try:
        with locked(folder):
            settings = config.settings
            if settings.backend == "auto" and not other_backend and was_eager(folder):
                settings = settings.put(backend="eager")  # compiled code may have come since
            trainer = MetaTrainer(compile_rule(rule), settings, config.runs, source, crew)
            checkpoint = load_checkpoint(folder, trainer, other_backend)
            done = checkpoint.episodes_done
            if episodes is not None and episodes < done:
                raise RunError(
                    f"{folder} has {counted(done, 'episode')} already; `--episodes` counts from the first, "
                    f"and cannot take any back"
                )
            metrics = reopen_metrics(
                folder, config.columns, done * len(config.runs), checkpoint.metrics_digest
            )
            asked = episodes or checkpoint.episodes_asked or settings.episodes
            return _run(_Session(folder, config, trainer, metrics, asked, done, done), listen, fresh_tasks)
    except OSError as error:
        raise RunError(f"{folder} cannot be used: {error.strerror or error}. It is as it was") from None


def _run(session: _Session, listen: Listener, fresh_tasks: int) -> Outcome:
    use_threads(session.config.settings.threads_used)
    try:
        with session.metrics.file, stopping() as stopped:
            session.save()
            saved_at = time.monotonic()
            while session.done < session.asked and not stopped.is_set():
                session.step(listen)
                if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                    session.save()
                    saved_at = time.monotonic()
            session.save()
        interrupted = session.done < session.asked
        session.conclude(interrupted, fresh_tasks)
        return Outcome(session.folder, session.done, interrupted)
    except OSError as error:
        head = f"{session.folder} cannot be written after episode {session.done}: {error.strerror or error}"
        raise RunError(f"{head}. {_saved(session)}") from None
    except (Exception, SystemExit) as error:
        error.add_note(_saved(session))  # a plugin may raise anything, at any time
        raise


def _saved(session: _Session) -> str:
    """What is left of a training that a full disk, or an exception, ended."""
    if session.saved is None:
        return "Nothing was saved"
    return (
        f"Saved: the checkpoint after episode {session.saved} and its metrics; "
        f"when that is mended, `resume {session.folder}` continues there"
    )


def use_threads(threads: int) -> None:
    """Set torch's CPU threads; 0 takes what $OMP_NUM_THREADS allows, which workers are given, else all."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    cores = int(allowed) if allowed.isdecimal() and int(allowed) else len(os.sched_getaffinity(0))
    torch.set_num_threads(threads or cores)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process per folder; the lock goes with the process, however it ends. What a killed one left half
    written is swept. Raises `RunError` when another process has it."""
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise FolderInUse(f"{folder} is in use by another process") from None
    except NotImplementedError:  # some network shares know no locks
        warnings.warn(f"{folder} cannot be locked: let no other process use it", LockWarning, stacklevel=3)
    try:
        sweep(folder)
        yield
    finally:
        lock.release()


def is_in_use(folder: Path) -> bool:
    """Whether another process trains in a run folder at this moment."""
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except (OSError, NotImplementedError):  # a folder one may only read, or a share without locks
        return False
    lock.release()
    return False
