"""SIGKILL of commands that hand work to processes, at random moments: of a worker, or of the command."""

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

import psutil

from fuzz.attack import Attack, Wrong
from fuzz.kills import CLAIMS, FEW, TOY, evidence, refuse_changed

CLI = Path(__file__).parents[1] / "cli.py"
COMMANDS = ("train", "select", "reproduce", "discover")
LONG = "episodes = 60\n"


@dataclass(frozen=True)
class Deaths:
    """What is run, and who is killed after how many seconds."""

    command: str
    blows: tuple[tuple[bool, float], ...]
    """(whether a worker dies, or the command; seconds after the one before)."""


class Workers(Attack):
    """Whatever dies: the same command, again, ends with every byte of one that nobody disturbed."""

    name = "workers"
    slow = 900.0
    hang = 900
    MOST = 8
    """Blows in one case."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.base, self.claims = folder / "base", folder / "toy.toml"
        self.claims.write_text(CLAIMS.replace("episodes = 6\n", LONG))
        self._finish("train", self.base, "here", "--l1", "0,0.01", "--episodes", "12")
        self.wholes: dict[str, dict[str, bytes]] = {}
        for command in COMMANDS:
            self._finish(command, folder / "whole" / command, "here")
            self.wholes[command] = evidence(folder / "whole" / command)

    def draw(self, chance: random.Random) -> Deaths:
        count = chance.randrange(1, self.MOST)
        blows = tuple((chance.random() < 0.7, chance.uniform(2.0, 8.0)) for _ in range(count))
        return Deaths(chance.choice(COMMANDS), blows)

    def attempt(self, case: Deaths) -> str:
        out = self.folder / "run"
        shutil.rmtree(out, ignore_errors=True)
        killed, process = [0, 0], self._started(case.command, out)
        for worker, seconds in case.blows:
            time.sleep(seconds)
            if process.poll() is not None:
                break
            found = spawned(process.pid) if worker else [process.pid]
            for victim in found[:1]:
                os.kill(victim, signal.SIGKILL)
                killed[worker] += 1
            if not worker:
                process.wait()
                process = self._started(case.command, out)
        if process.wait():
            raise Wrong(f"after {killed[1]} workers and {killed[0]} commands: exit code {process.returncode}")
        left, deadline = [], time.monotonic() + 90
        while (left := spawned(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.2)
        if left:
            raise Wrong(f"{len(left)} workers outlive their command")
        refuse_changed(out, self.wholes[case.command], f"after {killed[1]} workers and {killed[0]} commands")
        return f"{killed[1]} workers, {killed[0]} commands"

    def _finish(self, command: str, out: Path, executor: str, *more: str) -> None:
        process = self._started(command, out, executor, *more)
        if process.wait():
            raise Wrong(f"{command} that nobody disturbed ended with {process.returncode}")

    def _started(
        self, command: str, out: Path, executor: str = "processes:2", *more: str
    ) -> subprocess.Popen[bytes]:
        arguments = [*self._command(command, out), "--executor", executor, *more]
        return subprocess.Popen(
            [sys.executable, str(CLI), *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _command(self, command: str, out: Path) -> tuple[object, ...]:
        if command == "select":
            budget = ("--seeds", 1, "--episodes", 20, "--refit-episodes", 20, "--at-once", 2)
            return ("select", self.base, *budget, "--quiet", "--out", out)
        if command == "discover":
            if (out / "search.toml").exists():
                return ("discover", "--resume", out, "--quiet")
            return ("discover", *TOY, *FEW, "--at-once", 2, "--out", out)
        if command == "reproduce":
            return ("reproduce", self.claims, "--seeds", 2, "--quiet", "--out", out)
        if (out / "checkpoint.json").exists():
            return ("resume", out, "--quiet")
        return ("train", "bio", *TOY, "--seeds", 2, "--at-once", 1, "--episodes", 200, "--out", out)


def spawned(parent: int) -> list[int]:
    """Worker processes of a command, also of one that is gone."""
    found = []
    for process in psutil.process_iter(["pid", "ppid", "cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if "spawn_main" in line and (process.info["ppid"] == parent or f"parent_pid={parent}" in line):
            found.append(process.info["pid"])
    return found
