"""Ctrl-C and SIGTERM ask for a stop after the episode at hand; a second one stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit code of a command that was stopped and can go on, as shells have it for SIGINT."""
_asked: threading.Event | None = None


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that is set once a stop was asked for. Inside another `stopping`, the same event.

    A command enters this before it loads anything, so that a Ctrl-C in its first second leaves a folder that
    goes on.
    """
    global _asked
    if _asked is not None:
        yield _asked
        return
    stopped = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    _asked = stopped
    try:
        yield stopped
    finally:
        _asked = None
        for number, handler in before.items():
            signal.signal(number, handler)
