"""Runs of a batch, and what is recorded of each episode: the one schema of metrics.csv."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

NO_TERMS = ("∅",)
"""The set of terms of a run that learns nothing: no term can have this name."""


@dataclass(frozen=True)
class RunSpec:
    """One independent run of a batch: its own seed, penalty λ and set of terms."""

    run: int
    seed: int
    l1: float = 0.0
    terms: tuple[str, ...] = ()
    """The coefficients that take part; none listed means all, `NO_TERMS` none. The others are held at 0."""
    initial: tuple[float, ...] = ()
    """Where Θ starts, one number per coefficient; none listed means the rule's own start."""

    def takes_part(self, term: str) -> bool:
        return not self.terms or term in self.terms


@dataclass(frozen=True)
class Column:
    """One column of metrics.csv, or a family of them:
    `theta[{}]` for every term, `alpha_{}` for every layer."""

    pattern: str
    of: str = ""
    """What a family counts: `term`, `layer` (0 … L), `hidden` (1 … L−1) or `diagnostic`."""

    def named(self, member: object = "") -> str:
        """The column's name, for one member of a family."""
        return self.pattern.format(member)

    def member(self, name: str) -> str | None:
        """The member that a column's name means; None when it is no column of this family."""
        head, _, tail = self.pattern.partition("{}")
        inner = name.removeprefix(head).removesuffix(tail) if tail else name.removeprefix(head)
        return inner if self.of and self.named(inner) == name else None

    def members(self, terms: Sequence[str], depth: int, diagnostics: Sequence[str]) -> Sequence[object]:
        """All members in a network of `depth` synapse layers."""
        return {
            "": ("",), "term": terms, "layer": range(depth + 1), "hidden": range(1, depth),
            "diagnostic": diagnostics,
        }[self.of]  # fmt: skip


def _column(pattern: str, of: str = "", **given: Any) -> Any:
    return dataclasses.field(metadata={"column": Column(pattern, of)}, **given)


@dataclass(frozen=True)
class EpisodeRecord:
    """One run's episode: what was measured, and Θ *before* the step that follows from it.

    Every field but the last is a column of metrics.csv, or several: a new measure is a field here, and its
    value in `MetaTrainer`.
    """

    run: int = _column("run")
    seed: int = _column("seed")
    episode: int = _column("episode")
    meta_loss: float = _column("meta_loss")
    meta_accuracy: float = _column("meta_accuracy")
    diverged: bool = _column("diverged")
    theta: tuple[float, ...] = _column("theta[{}]", "term")
    alpha: tuple[float, ...] = _column("alpha_{}", "layer")
    ortho: tuple[float, ...] = _column("ortho_{}", "hidden")
    diagnostics: tuple[float, ...] = _column("diagnostic_{}", "diagnostic", default=())
    engine: str = ""
    """The engine that computed it: tells when `rebuild` fell back to `checkpoint`."""


COLUMNS: dict[str, Column] = {
    f.name: f.metadata["column"] for f in dataclasses.fields(EpisodeRecord) if "column" in f.metadata
}
"""Columns by the field of `EpisodeRecord` that they show."""
THETA, ALPHA, ORTHO = COLUMNS["theta"], COLUMNS["alpha"], COLUMNS["ortho"]
LOSS, ACCURACY, DIVERGED = "meta_loss", "meta_accuracy", "diverged"


def columns_of(
    terms: Sequence[str], depth: int, diagnostics: Sequence[str] = ()
) -> Iterator[tuple[str, str]]:
    """(field, column) of every recorded number, in the order of metrics.csv."""
    for field, column in COLUMNS.items():
        yield from ((field, column.named(m)) for m in column.members(terms, depth, diagnostics))
