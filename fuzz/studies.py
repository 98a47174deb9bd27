"""Files of studies: other types, absurd values, keys gone, bytes changed; read, planned and asked about."""

from __future__ import annotations

import random
from pathlib import Path

from click.testing import Result

from fuzz.attack import Attack, Wrong
from fuzz.commands import call
from fuzz.folders import changed_value
from fuzz.options import ODD
from ruledsl.settings import OPTIONS

BASE = """rules = ["bio", "oja", "mine.rule"]

[vary]
seed = "0..2"
sizes = ["49-6-5-47", "49-8-47"]
dataset = ["glyphs"]
beta = [1.0, 10.0]

[settings]
episodes = 1
labels = 2
shots = 2
queries = 2
threads = 1
"""
MINE = 'term hebb "Hebb" = y_post * y_pre^T\nrule mine = pseudo_gradient + hebb\n'
COMMANDS = ("run --executor nowhere", "status", "table", "table --by beta", "script --jobs 3")
"""A study that is asked to run nowhere is read, then refused: nothing is trained, so a case takes no time."""


class Studies(Attack):
    name = "studies"
    slow = 20.0

    def draw(self, chance: random.Random) -> tuple[str, str]:
        text = BASE
        for _ in range(chance.randrange(1, 4)):
            text = _changed(text, chance) or "\n"
        return chance.choice(COMMANDS), text

    def attempt(self, case: tuple[str, str]) -> str:
        command, text = case
        file, out = self.folder / "study.toml", self.folder / "out"
        (self.folder / "mine.rule").write_text(MINE, encoding="utf-8")
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        name, *options = command.split()
        if name in ("status", "table"):  # of a folder that keeps this file
            out.mkdir(exist_ok=True)
            (out / "mine.rule").write_text(MINE, encoding="utf-8")
            (out / "study.toml").write_bytes(file.read_bytes())
            return _ended(call("study", name, out, *options))
        before = set(self.folder.rglob("*"))
        result = call("study", name, file, "--out", out, *options)
        if made := set(self.folder.rglob("*")) - before:
            raise Wrong(f"{command} made {_shown(made)}")
        return _ended(result)


def _changed(text: str, chance: random.Random) -> str:
    kind, at = chance.random(), chance.randrange(len(text))
    if kind < 0.4:
        return changed_value("study.toml", text, chance)
    if kind < 0.7:
        value = chance.choice(ODD).replace("\0", "\\u0000")
        name = chance.choice(list(OPTIONS))
        return text + f'{name} = "{value}"\n' if chance.random() < 0.5 else text + f"{name} = {value}\n"
    if kind < 0.8:
        name, value = chance.choice(list(OPTIONS)), chance.choice(ODD).replace("\0", "\\u0000")
        return text.replace("[vary]", f'[vary]\n{name} = ["{value}", 1, [], true]')
    if kind < 0.9:
        return text[:at]
    return text[:at] + chance.choice('\0\x1e[]{}="#.é') + text[at:]


def _ended(result: Result) -> str:
    return f"exit {result.exit_code}"


def _shown(made: set[Path]) -> str:
    return ", ".join(sorted(p.name for p in made)[:5])
