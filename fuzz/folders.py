"""Run folders that another hand changed, a command each: refused in words or read; nothing else changes."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz.attack import Attack, Wrong
from fuzz.commands import call
from ruledsl.evidence import CHECKPOINT, CONFIG, METRICS, RESULT, RULE, digest, digests, sealed
from ruledsl.storage import read_json

FILES = (
    CONFIG,
    CONFIG,
    CONFIG,
    RULE,
    METRICS,
    CHECKPOINT,
    CHECKPOINT,
    RESULT,
    RESULT,
    "selection/selection.json",
)
SMALL = ("--sizes", "49-6-5-47", "--labels", "2", "--shots", "2", "--queries", "2", "--threads", "1")
COMMANDS: dict[str, tuple[str, ...]] = {
    "show": ("show", "RUN"),
    "report": ("report", "RUN", "--out", "OUT.html"),
    "diff": ("diff", "RUN", "OTHER"),
    "plot": ("plot", "RUN"),
    "evaluate": ("evaluate", "RUN", "--samples", "2", "--test-images", "47", "--seeds", "1", "--out", "OUT"),
    "select": ("select", "RUN", "--seeds", "1", "--episodes", "2", "--refit-episodes", "2", "--out", "OUT"),
    "diagnose": ("diagnose", "RUN", "--episode", "0"),
    "watch": ("watch", "RUN", "--every", "0.1"),
    "tensorboard": ("tensorboard", "RUN"),
    "rerun": ("rerun", "RUN", "--out", "OUT"),
    "resume": ("resume", "RUN"),
    "resume on": ("resume", "RUN", "--episodes", "3"),
    "train": ("train", "RUN", "--episodes", "1", *SMALL, "--out", "OUT"),
    "train --config": ("train", "--config", "RUN/config.toml", "--episodes", "1", *SMALL, "--out", "OUT"),
}
WRITES = {"plot": ("training.",), "report": ("report.html",), "evaluate": ("learning_curve",),
          "tensorboard": ("tensorboard",), "select": ("selection",),
          "resume": ("",), "resume on": ("",)}  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 3, 10**5, 10**20, -(10**20), 1e308, -1e-300, float("nan"), float("inf"), "", "x",
    "\0", "é" * 300, [], [[]], {}, {"x": 1}, [0, "a"], "../../x", 0.5, [1e400], "nan", "cpu", "cuda:7",
    "9" * 5000,
)  # fmt: skip


@dataclass(frozen=True)
class Damage:
    file: str
    kind: str
    seed: int
    command: str
    accept: bool
    reseal: bool


class Folders(Attack):
    name = "folders"
    slow = 120.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.whole, self.other = folder / "whole", folder / "other"
        call("train", "bio", *SMALL, "--episodes", 2, "--seeds", 2, "--l1", "0,1", "--out", self.whole)
        call("select", self.whole, "--seeds", 1, "--episodes", 2, "--refit-episodes", 2)
        call("train", "oja", "ehebb", *SMALL, "--episodes", 1, "--out", self.other)

    def draw(self, chance: random.Random) -> Damage:
        kinds = (
            "value",
            "value",
            "value",
            "flip",
            "cut",
            "empty",
            "remove",
            "folder",
            "swap",
            "deep",
            "bytes",
        )
        return Damage(
            chance.choice(FILES), chance.choice(kinds), chance.randrange(10**9),
            chance.choice(list(COMMANDS)), chance.random() < 0.5, chance.random() < 0.4,
        )  # fmt: skip

    def attempt(self, case: Damage) -> str:
        run, out = self.folder / "run", self.folder / "out"
        for path in (run, out):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.whole, run)
        self._damage(run, case)
        if case.reseal:
            reseal(run)
        before = contents(run)
        arguments = [
            part.replace("RUN", str(run)).replace("OUT", str(out)).replace("OTHER", str(self.other))
            for part in COMMANDS[case.command]
        ]
        accepts = case.accept and not case.command.startswith("resume")
        result = call(*arguments, *(["--accept-edited"] if accepts else []))
        written = WRITES.get(case.command, ())
        after = contents(run)
        changed = [
            name for name, data in before.items() if after.get(name) != data
            if not any(name.startswith(w) for w in written)
        ]  # fmt: skip
        if changed:
            raise Wrong(f"{case.command} changed {changed}")
        return f"exit {result.exit_code}"

    def _damage(self, run: Path, case: Damage) -> None:
        path, chance = run / case.file, random.Random(case.seed)
        data = path.read_bytes()
        match case.kind:
            case "remove":
                path.unlink()
            case "folder":
                path.unlink()
                path.mkdir()
            case "empty":
                path.write_bytes(b"")
            case "cut":
                path.write_bytes(data[: chance.randrange(len(data))])
            case "flip":
                at = chance.randrange(len(data))
                path.write_bytes(data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :])
            case "bytes":
                path.write_bytes(chance.randbytes(chance.randrange(200)))
            case "swap":
                other = self.other / case.file
                path.write_bytes(other.read_bytes() if other.is_file() else b"null")
            case "deep":
                path.write_bytes((b"x = " if path.suffix == ".toml" else b"") + b"[" * 20_000)
            case _:
                path.write_bytes(changed_value(path.name, data.decode(), chance).encode())


def changed_value(name: str, text: str, chance: random.Random) -> str:
    """The text with one value of another type or size in place of one that was there."""
    if name.endswith(".json"):
        document = json.loads(text)
        _replace_leaf(document, chance)
        return json.dumps(document)
    lines = text.split("\n")
    at = chance.randrange(len(lines))
    if name.endswith(".toml"):
        key, equal, _ = lines[at].partition(" = ")
        odd = chance.choice(ODD)
        value = {"True": "true", "None": "{}", "inf": "inf", "nan": "nan"}.get(str(odd))
        lines[at] = f"{key} = {value or json.dumps(odd)}" if equal else lines[at][1:]
    else:
        cells = lines[at].split(",")
        cells[chance.randrange(len(cells))] = str(chance.choice(ODD))
        lines[at] = ",".join(cells)
    return "\n".join(lines)


def _replace_leaf(document: Any, chance: random.Random) -> None:
    while True:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        if not keys:
            return
        key = chance.choice(keys)
        inner = document[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.25:
            document[key] = chance.choice(ODD)
            return
        document = inner


def reseal(run: Path) -> None:
    """What a careful forger would do: digests that fit what is there now."""
    try:
        checkpoint = read_json(run / CHECKPOINT)
        checkpoint["sha256"] |= digests(run)
        checkpoint["sha256"][METRICS] = digest((run / METRICS).read_bytes())
        checkpoint.pop("check", None)
        (run / CHECKPOINT).write_text(json.dumps(sealed(checkpoint)))
        for name in (RESULT, "selection/selection.json"):
            document = read_json(run / name)
            document.pop("check", None)
            (run / name).write_text(json.dumps(sealed(document)))
    except Exception:  # what cannot be sealed stays as it is
        return


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }
