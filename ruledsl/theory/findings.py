"""What an analysis is given, and what it gives: sentences about a rule, each held against numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sympy as sp

from ruledsl.algebra import Elementwise, trace_time
from ruledsl.ir import Program
from ruledsl.rules import Rule
from ruledsl.theory.checking import networks, samples, updates


@dataclass(frozen=True)
class Finding:
    """One sentence that an analysis found.

    Attributes:
        text: for reading, one line or several.
        term: the term of which it speaks; empty for the whole rule.
        agrees: is it what was measured? None where there is nothing to measure.
    """

    text: str
    term: str = ""
    agrees: bool | None = None

    def __str__(self) -> str:
        verdict = {None: "", True: " (as measured)", False: " DISAGREES with what was measured"}
        return f"{self.text}{verdict[self.agrees]}"


@dataclass(frozen=True)
class Analysed:
    """A rule under analysis, with its coefficients: those of a training, or where they start."""

    rule: Rule
    theta: Mapping[str, float]

    @property
    def terms(self) -> dict[str, tuple[str, ...]]:
        """Terms that move W by what `draw` gives alone, each with what it reads of it: no traces, no third
        factors, no noise."""
        known = set(self.draw(0, 1))
        moving = [p for p in self.rule.pieces[: len(self.rule.names)] if p.term.target == "W"]
        named = {self.rule.names[p.coefficient]: p.form.entry for p in moving}
        reads = {name: tuple(self._program(name).inputs()) for name, e in named.items() if not _remembers(e)}
        return {name: found for name, found in reads.items() if set(found) <= known}

    def draw(self, seed: int, count: int = 100) -> dict[str, np.ndarray]:
        """W (n_post, n_pre), B (n_pre, n_post) of a naive linear layer and, of `count` samples, y_pre, z_pre,
        e_pre (count, n_pre), y_post, z_post, e_post (count, n_post)."""
        W, B = networks(seed)
        return {"W": W, "B": B, **samples(W, B, seed, count)}

    def update(self, term: str, **quantities: np.ndarray) -> np.ndarray:
        """ΔW of one of `terms` at every sample, θ left out: (count, n_post, n_pre)."""
        return updates(self._program(term), quantities)

    def _program(self, term: str) -> Program:
        return self.rule.program.single_program(self.rule.names.index(term))


def _remembers(entry: sp.Expr) -> bool:
    """Has it a trace of earlier samples?"""
    return any(trace_time(part) is not None for part in entry.atoms(Elementwise))  # type: ignore[arg-type]
