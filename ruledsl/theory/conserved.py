"""What a rule that moves W and B together keeps: a combination κ W − Bᵀ that stays, or only decays."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import sympy as sp
import torch

from ruledsl.algebra import POST_CELL, PRE_CELL, Contract, Elementwise, Entry, Theta, entry, index_text
from ruledsl.backend import compile_rule
from ruledsl.engines import meta_gradient
from ruledsl.rules import Piece, Rule
from ruledsl.tasks import Episode
from ruledsl.theory.findings import Analysed, Finding

SIZES, SAMPLES, RATE = (6, 5, 4, 3), 20, 0.01
"""Of the network in which a combination is followed, with every θ at RATE."""


def invariants(subject: Analysed) -> list[Finding]:
    """A combination of W and Bᵀ that the rule keeps (Kolen & Pollack 1994), found by algebra and followed
    through a stream; nothing for rules that leave B alone."""
    rule = subject.rule
    moving = {target: [p for p in rule.pieces if p.term.target == target] for target in ("W", "B")}
    if not moving["W"] or not moving["B"]:
        return []
    change_W, change_B = _sum(moving["W"]), _sum(moving["B"])
    own_W, own_B = entry("W", POST_CELL, PRE_CELL), entry("B", PRE_CELL, POST_CELL)
    decay, decay_B = _decay(change_W, own_W), _decay(change_B, own_B)
    rest_W, rest_B = sp.expand(change_W + decay * own_W), sp.expand(change_B + decay_B * own_B)
    if rest_W == 0 or rest_B == 0:
        return []
    ratio = sp.Mul(sp.cancel(rest_B / rest_W))
    if ratio.atoms(Entry, Contract, Elementwise) or sp.expand(decay - decay_B) != 0:
        return [Finding("no combination κ W − Bᵀ is kept")]
    kept = "W − Bᵀ" if ratio == 1 else f"({_text(ratio, rule)}) W − Bᵀ"
    end = (
        "stays as it is" if decay == 0 else f"shrinks by the factor 1 − {_text(decay, rule)} at every sample"
    )
    agrees = _followed(rule, ratio, sp.Add(1, -decay))
    return [Finding(f"{kept} {end}, whatever is learned", agrees=agrees)]


def _sum(pieces: Iterable[Piece]) -> sp.Expr:
    return sp.expand(sp.Add(*(Theta(p.coefficient) * p.written.entry for p in pieces)))


def _decay(change: sp.Expr, own: sp.Expr) -> sp.Expr:
    """λ of the part −λ · own of a change."""
    linear = [s for s in sp.Add.make_args(change) if not (s / own).atoms(Entry, Contract, Elementwise)]
    return sp.expand(-sp.Add(*(s / own for s in linear)))


def _text(expression: sp.Expr, rule: Rule) -> str:
    """With coefficients by the names of their terms."""
    names = {Theta(r): sp.Symbol(f"θ_{name}") for r, name in enumerate(rule.names)}
    return index_text(expression.xreplace(names))  # type: ignore[arg-type]


def _followed(rule: Rule, ratio: sp.Expr, factor: sp.Expr) -> bool:
    """Does the combination behave so in every layer of a network that learns by the rule?"""
    generator = torch.Generator().manual_seed(0)
    widths = list(itertools.pairwise(SIZES))

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    W, B = [normal(post, pre) for pre, post in widths], [normal(pre, post) for pre, post in widths]
    x, y = normal(SAMPLES, SIZES[0]), torch.arange(SAMPLES) % SIZES[-1]
    theta = torch.full((len(rule.names),), RATE, dtype=torch.float64)
    carried = meta_gradient(
        compile_rule(rule), theta, Episode(W, B, x, y, x[:2], y[:2]), engine="none"
    ).carried
    numbers = {Theta(r): RATE for r in range(len(rule.names))}
    kappa, shrunk = (float(e.xreplace(numbers)) for e in (ratio, factor**SAMPLES))  # type: ignore[arg-type]
    for layer in range(1, len(W)):  # no error is carried below the first
        start = kappa * W[layer] - B[layer].mT
        end = kappa * carried[f"W{layer}"] - carried[f"B{layer}"].mT
        if not np.allclose(end, shrunk * start, rtol=1e-9, atol=1e-9):
            return False
    return True
