"""Options of `train`, absurd ones among them: refused before anything is made, or trained."""

from __future__ import annotations

import random
import shutil

from fuzz.attack import Attack, Wrong
from fuzz.commands import call
from ruledsl.settings import OPTIONS

BASE = {
    "sizes": "49-6-5-47", "labels": "2", "shots": "2", "queries": "2", "threads": "1", "episodes": "1",
    "meta_batch": "1",
}  # fmt: skip
ODD = (
    "0", "-1", "1", "2", "1e9", "1000000000", "100000000000", "1e308", "-1e308", "nan", "inf", "", "x", "0.5",
    "\0", "é", "1,2,3", "1-2", "1-1", "784-100000000000-47", "49-47", "3-" * 2000 + "3", "9" * 400, "true",
    "query+", "0*query", "query*query", "nan*query", "cuda", "meta", "0x10", "1_000", "--", "../x", "a=b",
    "a=nan",
    "pseudo_gradient=1e308", "1e-320",
)  # fmt: skip


class Options(Attack):
    name = "options"
    slow = 120.0

    def draw(self, chance: random.Random) -> dict[str, str]:
        asked = dict(BASE)
        # Flags take no value; as many episodes as one likes are a training as long as one likes.
        named = [name for name in OPTIONS if name not in ("download", "separately", "bias", "episodes")]
        for name in chance.sample(named, chance.choice((1, 1, 2, 3))):
            setting = OPTIONS[name]
            known = setting.check.choices
            asked[name] = chance.choice(known) if known and chance.random() < 0.5 else chance.choice(ODD)
        return asked

    def attempt(self, case: dict[str, str]) -> str:
        out = self.folder / "run"
        shutil.rmtree(out, ignore_errors=True)
        options = [part for name, value in case.items() for part in (OPTIONS[name].option, value)]
        result = call("train", "bio", *options, "--out", out, "--quiet")
        if result.exit_code == 2 and out.exists():
            raise Wrong(f"refused, but left a folder behind: {result.output.strip()[-200:]}")
        return f"exit {result.exit_code}"
