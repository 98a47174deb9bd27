"""What each term of a rule would change by itself, layer by layer, at given samples: for measurements."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ruledsl.backend import EagerProgram, change_of, patches_at
from ruledsl.compiler import RuleProgram
from ruledsl.ir import Kind, Slot
from ruledsl.network import convolution_into
from ruledsl.settings import Network


def layer_quantities(
    values: Mapping[str, Tensor], layer: int, sample: int, network: Network
) -> dict[str, Tensor]:
    """`y_pre`, `e_post` … (N, n) of the weights that enter `layer` (from 1), out of `probe_values`; (N P, n)
    for the P positions of a convolution, one network's after the other's."""
    kinds = (Kind.activity, Kind.potential, Kind.error)
    pre = {f"{q}_pre": values[Slot(q, layer - 1)][:, sample] for q in kinds}
    post = {f"{q}_post": values[Slot(q, layer)][:, sample] for q in kinds}
    x = values[Slot(Kind.activity, 0)]
    third = values[Kind.third][:, sample] if Kind.third in values else x.new_ones(x.shape[0])
    heard = {Kind.third.value: third, Kind.age.value: x.new_full(x.shape[:1], sample + 1)}
    shared = convolution_into(network, layer)
    if shared is not None:
        pre = {q: patches_at(v, shared.patches).flatten(0, 1) for q, v in pre.items()}
        post = {q: v.reshape(-1, shared.channels) for q, v in post.items()}
        heard = {q: v.repeat_interleave(shared.patches.positions) for q, v in heard.items()}
    return pre | post | heard


def signs_of(named: Mapping[str, Tensor], layer: int) -> dict[str, Tensor]:
    """`exc_pre`, `inh_post` … (N, n) of the weights that enter `layer`: 1 for cells of that kind, else 0."""
    found = {}
    for side, own in (("pre", layer - 1), ("post", layer)):
        if (slot := Slot(Kind.signs, own)) in named:
            signs = named[slot]
            found |= {f"exc_{side}": (1.0 + signs) / 2.0, f"inh_{side}": (1.0 - signs) / 2.0}
    return found


def _all_excitatory(matrix: Tensor) -> dict[str, Tensor]:
    """What networks without inhibitory cells are."""
    sides = {
        "post": matrix.new_ones(matrix.shape[:2]),
        "pre": matrix.new_ones(matrix.shape[0], matrix.shape[2]),
    }
    return {f"exc_{side}": one for side, one in sides.items()} | {
        f"inh_{side}": torch.zeros_like(one) for side, one in sides.items()
    }


@torch.no_grad()
def term_change(rule: RuleProgram, term: int, quantities: Mapping[str, Tensor], matrix: Tensor) -> Tensor:
    """F^r for weights (N, n_post, n_pre): the change for a coefficient of 1, of the same shape; summed over
    positions where the quantities are those of several."""
    program = rule.single_program(term)
    sizes = {"post": matrix.shape[1], "pre": matrix.shape[2]}
    places = len(quantities["y_post"]) // len(matrix)
    each = matrix.repeat_interleave(places, 0) if places > 1 else matrix
    given = {**_all_excitatory(each), **quantities, Kind.weights: each}
    run = EagerProgram(program, sizes).run(given, matrix.new_ones(1))
    change = change_of(program.updates[0], run, each).expand_as(each)
    return change.unflatten(0, (-1, places)).sum(1) if places > 1 else change
