"""Where cells run: here one after the other, in worker processes of this machine, or behind any executor.

Plugins of the kind `executor` open them: `plugins/executors.py`.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from ruledsl import __version__
from ruledsl.errors import FolderInUse, RunError, UserError
from ruledsl.registry import find, plugin_folders, use_folders
from ruledsl.storage import make_folder
from ruledsl.studies.carrying import Parcel, Returned
from ruledsl.studies.cells import STOPPED, Cell, Place, Tick

T = TypeVar("T")
COUNT_SECONDS = 2.0
HERE = "here"
"""The executor that is this process."""


class _Immediately(Executor):
    """An executor that does the work when it is given it."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Here(Place):
    """This process."""

    tells = True

    def __init__(self) -> None:
        super().__init__()
        self.executor = _Immediately()
        self.done = 0

    def work(self) -> Callable[[Cell], str]:
        return self._work

    def _work(self, cell: Cell) -> str:
        return attempted(cell, self._tick)

    def _tick(self, episodes: int) -> None:
        self.done += episodes
        self.told()  # whoever waits for this process cannot ask in between

    def ticks(self) -> int:
        done, self.done = self.done, 0
        return done

    def running(self, handed_out: Collection[Future[Any]]) -> int:
        return 0  # what was handed out is done


class Processes(Place):
    """Worker processes, on one thread each, which on few cores beats threads within one."""

    tells = True

    def __init__(self, jobs: int) -> None:
        super().__init__()
        self.jobs, self.most = jobs, jobs + 1  # one more, so that no worker waits
        self.renew()

    def renew(self) -> None:
        # Forked children would inherit torch's threads in an unknown state. A worker that was killed may have
        # held a lock of the queue: those that follow get another one.
        context = multiprocessing.get_context("spawn")
        # Without a thread that feeds it: what a cell tells is there when its result is.
        self.queue: Any = context.SimpleQueue()
        self.stop = context.Event()
        begin = (self.queue, self.stop, os.getpid(), named_folders())
        self.executor = ProcessPoolExecutor(self.jobs, context, _begin, begin)

    def __enter__(self) -> Processes:
        # A closed terminal or a `kill` must stop the workers as Ctrl-C does.
        # Whoever listens already, a training that saves itself, is left to it.
        usual = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) == signal.SIG_DFL]
        self.before = {s: signal.signal(s, _interrupt) for s in usual}
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *_: Any) -> None:
        if kind is not None:
            self.stop.set()
            for worker in multiprocessing.active_children():
                if worker.pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker.pid, signal.SIGINT)  # the training at work saves itself
        self.executor.shutdown(wait=True, cancel_futures=True)
        self.queue.close()
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def work(self) -> Callable[[Cell], str]:
        return _work

    def ticks(self) -> int:
        done = 0
        while not self.queue.empty():
            done += self.queue.get()
        return done

    def running(self, handed_out: Collection[Future[Any]]) -> int:
        return min(self.jobs, len(handed_out))


class Far(Place):
    """Workers behind any `concurrent.futures.Executor`, on this machine or on others.

    Where they see the folders of this process, they write there; else files go along with each cell as bytes,
    and come back.

    Args:
        opened: opens the executor, and closes it, with whatever else it opened, when the cells are done.
        about: what else can be watched while that executor is open.
        workers: how many cells that executor runs at a time, where it can be asked.
    """

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[Executor]],
        about: Callable[[Executor], str] | None = None,
        workers: Callable[[Executor], int] | None = None,
    ) -> None:
        super().__init__()
        self.opened, self.asked_about, self.workers = opened, about, workers
        self.signs: dict[Path, Path | None] = {}
        """By root: a file in it that workers see; None where the one that was asked does not."""
        self.counted = (-math.inf, 0)
        """When workers were counted, and how many there were."""

    def __enter__(self) -> Far:
        self.within = ExitStack()
        try:
            self.executor = self.within.enter_context(self.opened())
        except (OSError, ValueError, RuntimeError) as error:
            raise RunError(f"no workers can be had: {error}") from None
        return self

    def __exit__(self, *_: Any) -> None:
        self.within.close()
        for sign in self.signs.values():
            if sign:
                sign.unlink(missing_ok=True)
        self.signs.clear()

    def work(self) -> Callable[[Cell], str]:
        return partial(_far, __version__, named_folders())

    def submit(self, cell: Cell) -> Future[Any]:
        if sign := self._sign(cell.root):
            return self.executor.submit(_if_seen, sign, self.work(), cell)
        return self.executor.submit(_carried, __version__, named_folders(), Parcel.of(cell))

    def received(self, cell: Cell, found: str | Returned) -> str:
        if isinstance(found, str):
            return found
        found.unpack(cell.root)
        return found.message

    def _sign(self, root: Path) -> Path | None:
        """A file that workers see while this place is open, if they see the folder: one of them is asked."""
        if root not in self.signs:
            sign = (make_folder(root) / f".seen-{secrets.token_hex(8)}").absolute()
            sign.touch()
            self.signs[root] = sign  # gone with this place, whatever the answer is
            if not self.executor.submit(Path.exists, sign).result():
                sign.unlink()
                self.signs[root] = None
        return self.signs[root]

    def running(self, handed_out: Collection[Future[Any]]) -> int:
        if not self.workers or not handed_out:
            return len(handed_out)
        now = time.monotonic()
        if now - self.counted[0] > COUNT_SECONDS:  # the scheduler has other things to do
            with contextlib.suppress(Exception):  # one that does not answer is noticed elsewhere
                self.counted = now, self.workers(self.executor)
        return min(len(handed_out), self.counted[1])

    def about(self) -> str:
        return self.asked_about(self.executor) if self.asked_about else ""

    def renew(self) -> None:
        self.within.close()
        self.__enter__()


def open_place(executor: str) -> Place:
    """The place that `NAME[:ADDRESS]` means. Raises `PluginError` when there is no executor of that name."""
    name, _, address = executor.partition(":")
    plugin = find("executor", name)
    try:
        return plugin.item(address)
    except ValueError as error:
        raise RunError(f"executor {name}: {error}") from None


def named_folders() -> tuple[Path, ...]:
    """Folders of plugins that workers must know as well."""
    return tuple(folder for folder, origin in plugin_folders() if origin == "named")


def _far(version: str, plugins: tuple[Path, ...], cell: Cell) -> str:
    """Run one cell wherever this is: nothing, or what went wrong.

    An executor that lost sight of a worker gives its cells to another one, while the first may be at work:
    the second waits, and finds them done.
    """
    if fault := joined(version, plugins):
        return fault
    patience = 2
    while True:
        try:
            cell.run(lambda _: None)
            return ""
        except FolderInUse:
            time.sleep(1.0)
        except KeyboardInterrupt:
            return STOPPED
        except Exception as error:  # whatever it is, the others must not be lost for it
            if not patience:
                return told(error)
            patience -= 1  # it may have begun between our look and the other worker's
            time.sleep(1.0)


def _if_seen(sign: Path, work: Callable[[Cell], str], cell: Cell) -> str:
    """Run a cell where it writes into the folder of whoever asked for it; else its result would be lost."""
    if not sign.exists():
        return f"its worker does not see {cell.root}, though another one does"
    return work(cell)


def _carried(version: str, plugins: tuple[Path, ...], parcel: Parcel) -> str | Returned:
    """Run a cell that brought its files along: what it wrote, and what went wrong, if anything did."""
    return joined(version, plugins) or parcel.opened(lambda cell: attempted(cell, lambda _: None))


def joined(version: str, plugins: tuple[Path, ...]) -> str:
    """Make whoever runs this a worker of who asks from that version: nothing, or why it cannot be one."""
    if version != __version__:
        return f"a worker has ruledsl {__version__}, whoever asked it {version}"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    use_folders(plugins)
    return ""


def attempted(cell: Cell, tick: Tick) -> str:
    """Run a cell: nothing, or what went wrong, whatever it is; the others must not be lost for it."""
    try:
        cell.run(tick)
    except KeyboardInterrupt:
        return STOPPED
    except Exception as error:
        return told(error)
    return ""


def told(error: Exception) -> str:
    """What went wrong in a cell, in one line that travels."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


PARENT_SECONDS = 0.2
GRACE_SECONDS = 60.0
_at_work = threading.Event()
_here: tuple[Any, Any, int] | None = None
"""Of a worker: the queue of ticks, the word to stop, and the parent's process."""


def _begin(ticks: Any, stop: Any, parent: int, plugins: tuple[Path, ...]) -> None:
    """A worker's start."""
    global _here
    _here = (ticks, stop, parent)
    os.environ["OMP_NUM_THREADS"] = "1"
    use_folders(plugins)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which tells its workers once
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with_parent(parent: int) -> None:
    """Nobody waits for a worker whose parent is gone. A training at work saves itself first."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os.kill(os.getpid(), signal.SIGINT)
    deadline = time.monotonic() + GRACE_SECONDS
    while _at_work.is_set() and time.monotonic() < deadline:
        time.sleep(PARENT_SECONDS)
    os._exit(1)


def _work(cell: Cell) -> str:
    """Run one cell in a worker: nothing, or what went wrong."""
    assert _here is not None
    ticks, stop, parent = _here

    def tick(episodes: int) -> None:
        if os.getppid() != parent:
            raise KeyboardInterrupt  # nobody is waiting any more
        ticks.put(episodes)

    if stop.is_set():
        return STOPPED
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _at_work.set()
    try:
        return attempted(cell, tick)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _at_work.clear()
