"""Files of claims: the shipped ones with values of other types, keys gone, and bytes changed."""

from __future__ import annotations

import random

from fuzz.attack import Attack
from fuzz.folders import changed_value
from ruledsl.reproduction import read_claims, shipped


class Claims(Attack):
    name = "claims"

    def draw(self, chance: random.Random) -> str:
        text = chance.choice(sorted(shipped().values())).read_text(encoding="utf-8")
        for _ in range(chance.randrange(1, 4)):
            kind = chance.random()
            at = chance.randrange(len(text))
            if kind < 0.7:
                text = changed_value("claims.toml", text, chance)
            elif kind < 0.8:
                text = text[:at]
            elif kind < 0.9:
                text = text[:at] + chance.choice('\0\x1e[]{}="#.é') + text[at:]
            else:
                text = text[:at] + "x = " + "[" * 20_000
            text = text or "\n"
        return text

    def attempt(self, case: str) -> str:
        path = self.folder / "claims.toml"
        path.write_text(case, encoding="utf-8", errors="surrogatepass")
        read_claims(path)
        return "taken"
