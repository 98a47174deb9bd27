"""E[ΔW | W, B] of a term, in closed form: Wick's theorem on the index form (Isserlis 1918).

Assumed, as in the paper's Eq. 13: a linear layer, y_post = z_post = W y_pre and e_pre = B e_post, whose input
y_pre and error e_post are independent, Gaussian, of mean zero, with variances σ_y² and σ_e² at every cell.
With `input_mean` the input has a mean μ_y as well, the same at every cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy as sp

from ruledsl.algebra import Entry, IndexForm, TooManySums, contract, entry, fresh_index, make_sum
from ruledsl.theory.polynomials import MOST, Monomial, NotPolynomial, monomials

SIGMA_Y, SIGMA_E, MU_Y = (sp.Symbol(name, positive=True) for name in ("sigma_y", "sigma_e", "mu_y"))
RANDOM = {"y_pre": SIGMA_Y, "e_post": SIGMA_E}


def expected_drift(form: IndexForm, input_mean: bool = False) -> sp.Expr:
    """E[ΔW[j, i] | W, B] as an index form in W, B, σ_y, σ_e, μ_y and sizes.

    Raises `NotPolynomial` for a term with a function, a trace, or a quantity of which nothing is assumed.
    """
    monomials(form.entry)  # what stands in the way is told in the term's own words
    total: sp.Expr = sp.S.Zero
    try:
        for monomial in monomials(form.entry.replace(_is_entry, _linear)):  # type: ignore[arg-type]
            total += _mean(monomial, input_mean)
    except TooManySums:
        raise NotPolynomial("its average sums over more than five populations at once") from None
    return sp.expand(total)


def _is_entry(expression: sp.Basic) -> bool:
    return isinstance(expression, Entry)


def _linear(atom: Entry) -> sp.Expr:
    """An entry in terms of y_pre, e_post, W and B."""
    name, indices = atom.quantity, atom.indices
    if name in ("y_post", "z_post"):
        k = fresh_index("pre")
        return make_sum(entry("W", indices[0], k) * entry("y_pre", k), k)
    if name == "e_pre":
        k = fresh_index("post")
        return make_sum(entry("B", indices[0], k) * entry("e_post", k), k)
    if name == "z_pre":
        return entry("y_pre", *indices)
    if name in ("y_pre", "e_post", "W", "B"):
        return atom
    raise NotPolynomial(f"nothing is assumed of `{name}`")


def _mean(monomial: Monomial, input_mean: bool) -> sp.Expr:
    """One product, averaged over y_pre and e_post: a sum over the ways to pair their factors, where those of
    an input with a mean may also stand alone."""
    fixed = [e for e in monomial.entries if e.quantity not in RANDOM]
    drawn = {name: [e.indices[0] for e in monomial.entries if e.quantity == name] for name in RANDOM}
    if any(len(cells) > MOST for cells in drawn.values()):
        raise NotPolynomial(f"more than {MOST} factors of one vector are multiplied")
    total: sp.Expr = sp.S.Zero
    for y_pairs, alone in pairings(drawn["y_pre"], input_mean):
        for e_pairs, _ in pairings(drawn["e_post"], False):
            deltas = [sp.KroneckerDelta(a, b) for a, b in (*y_pairs, *e_pairs)]
            moments = MU_Y**alone * SIGMA_Y ** (2 * len(y_pairs)) * SIGMA_E ** (2 * len(e_pairs))
            total += moments * contract(sp.Mul(monomial.coefficient, *fixed, *deltas), monomial.bound)
    return total


def pairings(
    cells: Sequence[sp.Symbol], with_singles: bool
) -> Iterator[tuple[list[tuple[sp.Symbol, sp.Symbol]], int]]:
    """All ways to pair some indices, with the number of those left alone: none, unless they may be."""
    if not cells:
        yield [], 0
        return
    first, *rest = cells
    if with_singles:
        for pairs, alone in pairings(rest, True):
            yield pairs, alone + 1
    for n, other in enumerate(rest):
        for pairs, alone in pairings([*rest[:n], *rest[n + 1 :]], with_singles):
            yield [(first, other), *pairs], alone
