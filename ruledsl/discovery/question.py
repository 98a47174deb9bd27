"""What a search was asked: kept in its folder, so that the search is gone on with as it began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from ruledsl.discovery.budget import SEARCH, TRAINED, Search
from ruledsl.enumeration import Alphabet
from ruledsl.errors import RunError, SettingsError
from ruledsl.ir import LOCALITY_NAMES
from ruledsl.language import TARGETS
from ruledsl.runs import checked, read_toml
from ruledsl.settings import PAPER_SIZES, checks, columns_of, known_names, written
from ruledsl.storage import write_text
from ruledsl.tasks import split_name

QUESTION = "search.toml"
QUESTION_FILE = checks.record(
    {"start": checks.text, "allow": checks.choice(*LOCALITY_NAMES), "size": checks.count},
    {
        "alphabet": checks.table,
        "search": checks.table,
        "settings": checks.table,
        "plant": checks.coefficients,
        "also": checks.words,
    },
)
LARGEST_SIZE = 15


@dataclass(frozen=True)
class Question:
    """The rule to start from, the terms to choose from, how much to try, and how everything is trained.

    >>> Question(size=3, settings={"dataset": "glyphs"}).given["dataset"]
    'glyphs@search'
    """

    start: str = "feedback_alignment"
    allow: str = "axon"
    size: int = 5
    alphabet: Alphabet = field(default_factory=Alphabet)
    search: Search = field(default_factory=Search)
    settings: Mapping[str, Any] = field(default_factory=dict)
    plant: Mapping[str, float] = field(default_factory=dict)
    """A planted Θ* by terms of the library: labels of queries come from networks that learned by it, to see
    whether a search finds what is known to be there."""
    also: tuple[str, ...] = ()
    """What terms may move beside the alphabet's target: B, bias."""

    def __post_init__(self) -> None:
        """Raises `SettingsError` for names and values that mean nothing here."""
        known_names(self.settings, TRAINED)
        if self.allow not in LOCALITY_NAMES:
            raise SettingsError(f"`{self.allow}` is no locality class; there are {', '.join(LOCALITY_NAMES)}")
        if not 1 <= self.size <= LARGEST_SIZE:
            raise SettingsError(f"terms have from 1 to {LARGEST_SIZE} symbols, not {self.size}")
        for target in self.also:
            if target not in TARGETS or target == self.alphabet.target or self.also.count(target) > 1:
                others = ", ".join(t for t in TARGETS if t != self.alphabet.target)
                raise SettingsError(f"`{target}` is nothing that terms may also move; there are {others}")
        if split_name(self.dataset)[1]:
            raise SettingsError(f"`{self.dataset}` is part of a data set; a search splits it itself")

    @property
    def dataset(self) -> str:
        return str(self.settings.get("dataset", "glyphs"))

    def part(self, name: str) -> str:
        """The classes to search on, to choose by, or of the test, as a data set.

        >>> Question(search=Search(split=1)).part("choice")
        'glyphs@choice:1'
        """
        return f"{self.dataset}@{name}" + (f":{self.search.split}" if self.search.split else "")

    @property
    def given(self) -> dict[str, Any]:
        """Keywords of `train` on the classes that are searched."""
        usual = {"meta_batch": 1, "on_lost": "drop"}
        planted = {"plant": dict(self.plant)} if self.plant else {}
        own = {"dataset": self.part("search"), "episodes": self.search.tries, **planted}
        return {**usual, **self.settings, **own}

    @property
    def angles(self) -> tuple[str, ...]:
        """What every run of the search records of its feedback, by layer."""
        layers = len(self.settings.get("sizes", PAPER_SIZES)) - 1
        return tuple(column for field, column in columns_of((), layers) if field in ("alpha", "ortho"))

    def text(self) -> str:
        """As TOML."""
        tables = {"alphabet": asdict(self.alphabet), "search": asdict(self.search), "settings": self.settings}
        listed = {
            name: {key: written(value) for key, value in table.items()} for name, table in tables.items()
        }
        if not self.search.split:  # searches that were begun before there was another one go on
            del listed["search"]["split"]
        planted = {"plant": dict(self.plant)} if self.plant else {}
        own: dict[str, Any] = {"start": self.start, "allow": self.allow, "size": self.size}
        if self.also:
            own["also"] = list(self.also)
        return tomli_w.dumps({**own, **listed, **planted})

    def keep(self, folder: Path) -> None:
        """Write it down. Raises `RunError` when the folder holds another question's search."""
        path = folder / QUESTION
        if not path.is_file():
            write_text(path, self.text())
        elif path.read_text(encoding="utf-8") != self.text():
            if read_question(folder) == self:
                raise RunError(f"{folder} was begun by earlier code, which searched otherwise; begin anew")
            raise RunError(f"{folder} holds a search with other options; choose another `--out`")


def read_question(folder: Path) -> Question:
    """The question of a search's folder. Raises `RunError` when there is none, or when it is damaged."""
    path = folder / QUESTION
    if not path.is_file():
        raise RunError(f"{folder} is not the folder of a search: it has no {QUESTION}")
    found = checked(path, QUESTION_FILE, read_toml(path))
    alphabet, search = found.get("alphabet", {}), found.get("search", {})
    try:
        known_names(alphabet, Alphabet.__dataclass_fields__)
        known_names(search, SEARCH)
        words: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in alphabet.items()}
        read = {name: SEARCH[name].read(value) for name, value in search.items()}
        settings = {
            k: TRAINED[k].read(v) if k in TRAINED else v for k, v in found.get("settings", {}).items()
        }
        own = (found["start"], found["allow"], found["size"])
        return Question(
            *own,
            Alphabet(**words),
            Search(**read),
            settings,
            found.get("plant", {}),
            tuple(found.get("also", ())),
        )
    except (SettingsError, TypeError) as error:
        raise RunError(f"{path} is damaged: {error}") from None
