"""A term as a sum of products of what its own two cells and their synapse hold, where it is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sympy as sp

from ruledsl.algebra.entries import (
    POST_CELL,
    PRE_CELL,
    SIZE,
    Contract,
    Entry,
    factors_of,
    renamed,
    side_of,
    summands_of,
)
from ruledsl.algebra.index_form import IndexForm
from ruledsl.algebra.printing import index_text
from ruledsl.ir import Side


@dataclass(frozen=True)
class Product:
    """coefficient · Π quantity^power, of one synapse."""

    coefficient: float
    powers: tuple[tuple[str, int], ...]

    def factors(self) -> Iterator[str]:
        """Each as often as it stands in the product."""
        for quantity, power in self.powers:
            yield from [quantity] * power

    def value(self, held: Mapping[str, float]) -> float:
        """What it comes to, of what a synapse holds."""
        total = self.coefficient
        for factor in self.factors():
            total *= held[factor]
        return total


@dataclass(frozen=True)
class NoProduct:
    """A factor that is no whole power of a quantity: as text, with the quantities that it reads."""

    text: str
    reading: frozenset[str]
    is_sum: bool


def products_of(form: IndexForm, sizes: Mapping[Side, int] | None = None) -> list[Product] | NoProduct:
    """The summands of one entry of ΔW, or the first factor that makes it no sum of products.

    `sizes` are the numbers of cells on either side; without them whatever depends on them is no product.

    >>> import ruledsl
    >>> products_of(ruledsl.load("feedback_alignment").pieces[0].form)
    [Product(coefficient=-1.0, powers=(('e_post', 1), ('y_pre', 1)))]
    """
    known = {SIZE[side]: sp.Integer(size) for side, size in (sizes or {}).items()}
    found: list[Product] = []
    for summand in summands_of(sp.expand(form.entry)):
        number, powers = 1.0, dict[str, int]()
        for factor in factors_of(summand):
            base, power = factor.as_base_exp()
            value = factor.xreplace(dict(known))
            if isinstance(base, Entry) and power.is_Integer and power > 0:
                powers[base.quantity] = powers.get(base.quantity, 0) + int(power)
            elif value.is_number:
                number *= float(sp.N(value))
            else:
                return NoProduct(
                    index_text(base if isinstance(base, Contract) else factor),
                    frozenset(e.quantity for e in base.atoms(Entry) if isinstance(e, Entry)),
                    isinstance(base, Contract),
                )
        found.append(Product(number, tuple(sorted(powers.items()))))
    return found


def own_part(form: IndexForm) -> IndexForm:
    """Of each sum over cells what the synapse's own cells add to it.

    >>> import ruledsl
    >>> index_text(own_part(ruledsl.load("oja").pieces[-1].form).entry)
    'y_post[j]^2·W[j,i] - y_post[j]·y_pre[i]'
    """
    own = {"post": POST_CELL, "pre": PRE_CELL}

    def kept(total: Contract) -> sp.Expr:
        return renamed(total.body, {k: own[side_of(k)] for k in total.bound})

    return IndexForm(sp.expand(form.entry.replace(lambda e: isinstance(e, Contract), kept)))
