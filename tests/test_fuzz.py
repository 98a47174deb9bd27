"""A little of every attack, each with a seed of its own; `python -m fuzz` tries as many as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.attack import Attack
from fuzz.claims import Claims
from fuzz.data import Data
from fuzz.folders import Folders
from fuzz.options import Options
from fuzz.studies import Studies

CASES: dict[type[Attack], int] = {Data: 100, Options: 30, Folders: 30, Claims: 60, Studies: 40}


@pytest.mark.parametrize("attack", CASES, ids=lambda a: a.name)
@pytest.mark.filterwarnings("default")
def test_attacks_end_in_words(attack: type[Attack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attack, "slow", 50.0)  # how fast this machine is, is not what is tested
    tried = attack(tmp_path)
    found = [tried.run(0, number)[1] for number in range(CASES[attack])]
    assert [str(f) for f in found if f] == []


class Clumsy(Attack):
    """What an attack must notice."""

    name = "clumsy"

    def draw(self, chance):  # type: ignore[no-untyped-def]
        return chance.random()

    def attempt(self, case: float) -> str:
        raise KeyError(case)


def test_an_attack_notices_what_a_user_must_not_see(tmp_path: Path) -> None:
    ended, finding = Clumsy(tmp_path).run(1, 2)
    assert ended == "raised"
    assert finding is not None
    assert "KeyError" in finding.what
    assert Clumsy(tmp_path).run(1, 2)[1] == finding, "a case is a function of seed and number"
