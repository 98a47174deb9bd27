"""Lava: the learning rule of a Loihi synapse, a sum of products of traces with power-of-two scales.

A scale there is ± 2^k with k from −7 to 9. So each coefficient is written with a few signed powers of two,
and traces and weights have units that bring every power into that range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product as every
from math import ceil, floor, log2
from typing import Any

import numpy as np

from ruledsl.algebra import Product
from ruledsl.exports.code import commented, module
from ruledsl.exports.cost import accuracy_of, told_of
from ruledsl.exports.header import header
from ruledsl.exports.products import Language, as_rule, layer_products
from ruledsl.exports.proofs import run_file, told
from ruledsl.exports.refusal import NotExpressible, refuse_convolutions
from ruledsl.exports.subject import Subject

NAME = "lava"
DIGITS = 3
"""Signed powers of two of a coefficient: it is off by 3 % at most."""
LEAST, MOST = -7, 9
"""Exponents that a scale may have there."""
UNITS = range(-6, 7)
"""Powers of two that a trace's unit may be."""
TRACES = {"y_pre": "x1", "y_post": "y1", "e_post": "y2", "z_post": "y3", "third": "y3"}
ONE_POPULATION = (
    "x traces are driven by the presynaptic cell's spikes, so that there is one presynaptic quantity"
)
LOIHI = Language(
    NAME, {*TRACES, "W"}, {"e_pre": ONE_POPULATION, "z_pre": ONE_POPULATION, "age": "no trace counts samples"}
)


@dataclass(frozen=True)
class Scales:
    """Units of traces and weights as powers of two: a trace holds 2^k times its quantity."""

    units: Mapping[str, int]

    def exponent(self, power: int, product: Product) -> int:
        """2^power · Π quantities is a weight's change; the same of traces and a weight in their units."""
        return power + self.units["W"] - sum(self.units[f] for f in product.factors())


def signed_powers(value: float, digits: int = DIGITS) -> list[tuple[int, int]]:
    """(sign, k) of ± 2^k whose sum comes nearest to a value, one after the other.

    >>> signed_powers(0.75), signed_powers(-3.0), signed_powers(0.0)
    ([(1, -1), (1, -2)], [(-1, 1), (-1, 0)], [])
    """
    found: list[tuple[int, int]] = []
    while value and len(found) < digits:
        size = abs(value)
        k = min((floor(log2(size)), ceil(log2(size))), key=lambda n: abs(size - 2.0**n))
        found.append((1 if value > 0 else -1, k))
        value -= found[-1][0] * 2.0**k
        if abs(value) < 1e-12 * size:
            break
    return found


def quantised(product: Product) -> Product:
    """A product with the coefficient that can be said."""
    return replace(product, coefficient=sum(s * 2.0**k for s, k in signed_powers(product.coefficient)))


def lava_file(subject: Subject, proof: str) -> str:
    """The text of the file. Raises `NotExpressible` for what a synapse of Loihi cannot hold."""
    refuse_convolutions(NAME, subject.settings)
    layers = layer_products(subject, LOIHI)
    if not any(p.coefficient for products in layers for p in products):
        raise NotExpressible(NAME, "every coefficient is 0", "export a run, or give --theta NAME=VALUE,…")
    used = sorted({f for products in layers for p in products for f in p.factors()} | {"W"})
    if {"z_post", "third"} <= set(used):
        raise NotExpressible(NAME, "it reads z_post and third, and one trace is left for either")
    scales = _scales(layers, used)
    written = [_sum(products, scales) for products in layers]
    units = ", ".join(f'"{TRACES.get(q, "w")}": ("{q}", {2.0 ** scales.units[q]!r})' for q in used)
    return module(
        commented(header(subject, "Learning rule of Loihi's synapses", proof) + "\n" + _MEANING),
        f"UNITS = {{{units}}}\nDW = [\n" + "".join(f"    {text!r},\n" for text in written) + "]",
        _CODE,
    )


def _scales(layers: Sequence[Sequence[Product]], used: Sequence[str]) -> Scales:
    """The smallest units with which every scale is in range. Raises `NotExpressible` when none are."""
    parts = {(p.powers, k) for products in layers for p in products for _, k in signed_powers(p.coefficient)}
    for units in sorted(every(UNITS, repeat=len(used)), key=lambda units: sum(map(abs, units))):
        scales = Scales(dict(zip(used, units, strict=True)))
        if all(LEAST <= scales.exponent(k, Product(1.0, powers)) <= MOST for powers, k in parts):
            return scales
    raise NotExpressible(NAME, "its coefficients are too far apart for scales from 2^-7 to 2^9")


def _sum(products: Sequence[Product], scales: Scales) -> str:
    """`2^-3*u0*x1*y2 - 2^5*u0*y1*y1*w`: every product happens once an epoch, u0."""
    text = ""
    for one in products:
        factors = "*".join(["u0", *(TRACES.get(f, "w") for f in one.factors())])
        for sign, power in signed_powers(one.coefficient):
            joint = ("" if sign > 0 else "-1*") if not text else (" + " if sign > 0 else " - ")
            text += f"{joint}2^{scales.exponent(power, one)}*{factors}"
    return text


def prove_lava(subject: Subject, text: str) -> str:
    """The file's sums, parsed back and evaluated, against the rule with rounded coefficients; and how far
    those are from Θ. Raises `InternalError` when they part."""
    change, worst = run_file(text)["change"], 0.0
    random = np.random.default_rng(0)
    exact = layer_products(subject, LOIHI)
    for layer, products in enumerate(exact, start=1):
        for _ in range(20):
            held = {quantity: float(random.standard_normal()) for quantity in (*TRACES, "W")}
            wanted = sum(quantised(p).value(held) for p in products)
            size = sum(abs(p.value(held)) for p in products)
            worst = max(worst, abs(change(layer, **held) - wanted) / max(size, 1e-300))
    errors = [
        abs(quantised(p).coefficient / p.coefficient - 1.0) for ps in exact for p in ps if p.coefficient
    ]
    return (
        told(worst, "the rule with rounded coefficients, its sums parsed back", "", 1e-12)
        + f"\nIn {DIGITS} signed powers of two a coefficient is off by {max(errors, default=0):.1%} at most."
    )


def measure_lava(subject: Subject, data: Mapping[str, Any]) -> str:
    """Accuracy by Θ, and by the coefficients that the file has."""
    rounded = [[quantised(p) for p in products] for products in layer_products(subject, LOIHI)]
    rule = as_rule(rounded, "rounded")
    other = replace(subject, rule=rule, theta=rule.program.initial)
    before, after = (accuracy_of(s, data).text(".3f") for s in (subject, other))
    return f"Accuracy by Θ {before}, by the rounded coefficients {after} ({told_of(data)})."


_MEANING = """\
A cell's quantities stand in its traces, in units of Lava's floating-point models: x1 is driven by the
presynaptic cell, y1 to y3 by the postsynaptic one (Loihi3FLearningRule). A sample is a learning epoch, u0."""

_CODE = '''\
def learning_rule(layer):
    """Lava's learning rule of the weights into a layer (from 1)."""
    from lava.magma.core.learning.learning_rule import Loihi3FLearningRule

    impulse = UNITS.get("x1", ("", 1.0))[1]
    return Loihi3FLearningRule(dw=DW[layer - 1], x1_impulse=impulse, x1_tau=1, t_epoch=1)


def change(layer, **quantities):
    """ΔW of one synapse into a layer (from 1), of quantities in their own units: y_pre, y_post, …, and W."""
    held = {trace: unit * quantities[name] for trace, (name, unit) in UNITS.items()}
    total = 0.0
    for part in DW[layer - 1].replace(" - ", " + -1*").split(" + ") if DW[layer - 1] else []:
        value = 1.0
        for factor in part.split("*"):
            base, _, power = factor.partition("^")
            known = {**held, "u0": 1.0}
            value *= known[factor] if factor in known else float(base) ** float(power or 1)
        total += value
    return total / UNITS["w"][1]


def demo():
    """The rule of every layer, and what one synapse would do."""
    for layer, text in enumerate(DW, start=1):
        print(f"dw into layer {layer} = {text}")
    held = {name: 0.5 for name, _ in UNITS.values()}
    print("change with all quantities at 0.5:", change(1, **held))


if __name__ == "__main__":
    demo()'''
