"""SIGKILL of commands that train, at the n-th call that makes something durable, or after a random time:
whatever was asked for again ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from fuzz.attack import Attack, Wrong

TOY = ("--backend", "eager", "--sizes", "49-6-47", "--labels", "2", "--shots", "1", "--queries", "1",
       "--threads", "1", "--meta-batch", "1", "--quiet")  # fmt: skip
FEW = (
    *(
        "--size",
        "3",
        "--quantities",
        "y_post,y_pre,e_post",
        "--rounds",
        "1",
        "--beam",
        "1",
        "--kept",
        "2",
    ),
    *("--tries", "2", "--heats", "2", "--start-episodes", "2", "--refit-episodes", "2"),
    *("--search-seeds", "1", "--refit-seeds", "2", "--judged-tasks", "1"),
)
SMALL = "sizes = [49, 6, 47]\nlabels = 2\nshots = 1\nqueries = 1\nepisodes = 6\n"
CLAIMS = f"""
title = "Two trainings, and networks that learn by what one of them found"
text = "To be killed."
dataset = "glyphs"
[training.fa]
rule = "feedback_alignment"
{SMALL}[training.bio]
rule = "bio"
{SMALL}[stream.long]
rule = "bio"
theta_of = "bio"
sizes = [49, 6, 47]
samples = 30
test_images = 47
[[claim]]
name = "x"
says = "it learns"
of = "bio"
measure = "accuracy"
at_least = 0
"""
ZYGOTE = f"""
import fcntl, os, signal, sys, tempfile
os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})  # OpenMP's threads do not live on in a fork
import ruledsl.runs.driver as driver
import ruledsl.runs.metrics as metrics
from ruledsl.cli import main
driver.CHECKPOINT_SECONDS = 0.0
driver.FRESH_TASKS = 1
import ruledsl.selection.search
import ruledsl.runs.run
import ruledsl.reproduction.work
import ruledsl.discovery.front
# figures take longer than all else, and are no evidence
ruledsl.runs.run.Run.plot = lambda run: []
ruledsl.reproduction.work.draw_figure = ruledsl.discovery.front.draw_panels = lambda *arguments: []

def deadly(owner, name, count):
    real = getattr(owner, name)
    def call(*arguments, **more):
        count[0] -= 1
        if count[0] == 0: os.kill(os.getpid(), signal.SIGKILL)  # before it
        result = real(*arguments, **more)
        count[0] -= 1
        if count[0] == 0: os.kill(os.getpid(), signal.SIGKILL)  # after it
        return result
    setattr(owner, name, call)

def silenced():
    null = os.open(os.devnull, os.O_WRONLY)
    kept = os.dup(1), os.dup(2)
    os.dup2(null, 1); os.dup2(null, 2)
    return kept

# torch and the programs of the rule are loaded once; every child starts at once
with tempfile.TemporaryDirectory() as warm:
    kept = silenced()
    try: main(["train", "bio", *{TOY!r}, "--episodes", "1", "--out", warm + "/run"])
    except SystemExit: pass
    os.dup2(kept[0], 1); os.dup2(kept[1], 2)
for line in sys.stdin:
    number, *arguments = line.split()
    child = os.fork()
    if not child:
        silenced()
        count = [int(number)]
        for owner, name in ((os, "fsync"), (os, "replace"), (metrics.MetricsFile, "write"), (fcntl, "flock")):
            deadly(owner, name, count)
        main(arguments)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""A process that forks itself for each command; `number` is the call at which the child kills itself."""


class Zygote:
    """Runs commands in forks of one warm process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", ZYGOTE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        self.process.communicate(timeout=60)

    def attempt(self, *arguments: object, at_call: int = 0, after: float | None = None) -> int:
        """Run a command; its wait status. It is killed at a call, or `after` seconds, or not at all."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{at_call} {' '.join(map(str, arguments))}\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if after is not None:
            time.sleep(after)
            os.kill(child, signal.SIGKILL)  # a child that ended is not waited for yet: the number is its own
        return int(self.process.stdout.readline())


@dataclass(frozen=True)
class Death:
    """What was run, and when it was killed, one attempt after the other."""

    command: str
    at_calls: tuple[int, ...]
    after: tuple[float, ...]


COMMANDS = ("train", "select", "reproduce", "discover")


class Kills(Attack):
    name = "kills"
    slow = 600.0
    hang = 600
    MOST = 50
    """Kills in one case."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.zygote = Zygote()
        self.base, self.claims = folder / "base", folder / "toy.toml"
        self.claims.write_text(CLAIMS)
        self._must(self.zygote.attempt(*self._train(self.base, "0,0.01")))
        self.wholes: dict[str, dict[str, bytes]] = {}
        for command in COMMANDS:
            shutil.rmtree(self.folder / "run", ignore_errors=True)
            self._finish(command)
            self.wholes[command] = evidence(self.folder / "run")

    def draw(self, chance: random.Random) -> Death:
        command = chance.choice(("train", *COMMANDS))
        calls = tuple(int(chance.expovariate(1 / 25)) + 1 for _ in range(chance.randrange(self.MOST)))
        return Death(command, calls, tuple(chance.uniform(0, 0.4) for _ in range(chance.randrange(10))))

    def attempt(self, case: Death) -> str:
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        killed = 0
        for moment in (*({"at_call": n} for n in case.at_calls), *({"after": s} for s in case.after)):
            status = self.zygote.attempt(*self._command(case.command), **moment)  # type: ignore[arg-type]
            killed += status == signal.SIGKILL
        self._finish(case.command)
        refuse_changed(self.folder / "run", self.wholes[case.command], f"after {killed} kills")
        return f"{killed} kills"

    def _finish(self, command: str) -> None:
        self._must(self.zygote.attempt(*self._command(command)))

    def _command(self, command: str) -> tuple[object, ...]:
        run = self.folder / "run"
        if command == "select":
            budget = ("--seeds", 1, "--episodes", 2, "--refit-episodes", 2, "--quiet")
            return ("select", self.base, *budget, "--out", run)
        if command == "discover":
            return ("discover", *TOY, *FEW, "--out", run)
        if command == "reproduce":
            return ("reproduce", self.claims, "--seeds", 2, "--executor", "here", "--quiet", "--out", run)
        return ("resume", run, "--quiet") if (run / "checkpoint.json").exists() else self._train(run, "0")

    def _train(self, out: Path, l1: str) -> tuple[object, ...]:
        return ("train", "bio", *TOY, "--seeds", 2, "--l1", l1, "--episodes", 12, "--out", out)

    def _must(self, status: int) -> None:
        if status:
            raise Wrong(f"a command that nobody killed ended with {status}")


def refuse_changed(folder: Path, whole: dict[str, bytes], after: str) -> None:
    """Raises `Wrong` when a folder does not hold byte for byte what it would, had nobody died."""
    found = evidence(folder)
    if changed := sorted({n for n in whole | found if whole.get(n) != found.get(n)}):
        raise Wrong(f"{after} these differ: {', '.join(changed)}")


def evidence(folder: Path) -> dict[str, bytes]:
    """Everything that must be the same, byte for byte; also that nothing unfinished is left."""
    files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    # How long it took is no evidence.
    files = {name: path for name, path in files.items() if not name.startswith("seconds/")}
    kept = {n: p for n, p in files.items() if p.suffix in (".csv", ".json", ".toml", ".rule") or "unfin" in n}
    return {name: path.read_bytes() for name, path in kept.items()}
