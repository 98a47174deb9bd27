"""What an attack is, and how one of its cases is judged: refused in words, or done, within a second."""

from __future__ import annotations

import random
import signal
import time
import traceback
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ruledsl import UserError


class Hangs(BaseException):
    """A case that does not end: no `except Exception` on its way may take it for something else."""


class Wrong(Exception):
    """A case ended in a way that a user must never see; says which."""


@dataclass(frozen=True)
class Finding:
    """A case that went wrong. `Attack.run` with its seed and number does the same again."""

    attack: str
    seed: int
    number: int
    what: str
    case: str

    def __str__(self) -> str:
        return f"{self.attack} --seed {self.seed} --only {self.number}: {self.what}\n    {self.case}"


class Attack(ABC):
    """One kind of input. `draw` makes the n-th case of a seed, a function of the two alone."""

    name: ClassVar[str]
    slow: ClassVar[float] = 1.0
    """CPU seconds beyond which a case that computes nothing is a finding."""
    hang: ClassVar[int] = 60
    """Seconds of CPU after which a case is stopped, or ten times as many on the clock: what is paused, or
    runs at the lowest priority, does not hang."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def draw(self, chance: random.Random) -> Any:
        """A case, as plain data that can be shown."""

    @abstractmethod
    def attempt(self, case: Any) -> str:
        """Give it to the product; how it ended, in a word. Raises `Wrong`, or whatever the product raises."""

    def run(self, seed: int, number: int) -> tuple[str, Finding | None]:
        """Draw and try one case: how it ended, and what was wrong with that."""
        case = self.draw(random.Random(f"{self.name}/{seed}/{number}"))
        started = time.process_time()
        signal.signal(signal.SIGALRM, _hang)
        signal.signal(signal.SIGPROF, _hang)
        signal.setitimer(signal.ITIMER_PROF, self.hang)
        signal.alarm(10 * self.hang)
        try:
            ended, what = self.attempt(case), ""
        except UserError as error:
            ended, what = "refused", _unreadable(str(error))
        except Hangs:
            ended, what = "hangs", f"not done after {self.hang} s"
        except Wrong as wrong:
            ended, what = "wrong", str(wrong)
        except BaseException as error:  # whatever it is, a user would see it
            ended, what = "raised", _place(error)
        finally:
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
        spent = time.process_time() - started
        if not what and spent > self.slow:
            what = f"took {spent:.1f} s of CPU"
        finding = Finding(self.name, seed, number, what, repr(case)[:600]) if what else None
        return ended, finding


def _hang(_signal: int, _frame: object) -> None:
    raise Hangs


def _unreadable(message: str) -> str:
    return "" if message.strip() else "refused without a word"


def _place(error: BaseException) -> str:
    steps = traceback.extract_tb(error.__traceback__)
    own = [s for s in steps if "/ruledsl/" in s.filename] or steps
    last = own[-1] if own else None
    where = f" at {last.filename.rpartition('/ruledsl/')[2]}:{last.lineno}" if last else ""
    return f"{type(error).__name__}: {str(error)[:200]}{where}"
