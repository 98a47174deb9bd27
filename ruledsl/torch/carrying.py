"""The layers' own forward pass, and a backward pass in which feedback carries errors, not Wᵀ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ruledsl.errors import ModelError
from ruledsl.torch.tape import Visit

Sender = Callable[[Visit], Tensor]
"""What a call of a layer sends back to its input, once its error is known."""


class Carry(torch.autograd.Function):
    """z = W x + b forwards. Backwards the error is kept for the rule, and x is given what feedback carries.

    W has no gradient: a rule moves it. A bias has its usual one, for whoever moves it.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, visit: Visit, send: Sender
    ) -> Tensor:
        ctx.visit, ctx.send = visit, send
        return visit.synapses.geometry.forward(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        visit: Visit = ctx.visit
        if visit.tape.closed:
            raise ModelError(
                f"`{visit.synapses.name}`: the model was called again before this backward pass, and a rule "
                "takes one forward pass at a time. Give all samples to the model at once (torch.cat)"
            )
        if visit.error is not None:
            raise ModelError(
                f"`{visit.synapses.name}`: a second backward pass went through one forward pass; a rule is "
                "told one error of each sample. Add the losses up, or call the model again"
            )
        visit.error = cotangents[0]
        if ctx.needs_input_grad[0]:
            visit.signal = ctx.send(visit)
        bias = visit.synapses.geometry.post(cotangents[0]).sum(0) if ctx.needs_input_grad[2] else None
        return visit.signal, None, bias, None, None


def carry(x: Tensor, visit: Visit, send: Sender) -> Tensor:
    """What the layer of a call gives for x."""
    synapses = visit.synapses
    found: Tensor = Carry.apply(x, synapses.weight, synapses.bias, visit, send)  # type: ignore[assignment]
    return found
