"""Evaluates a syntax tree literally in torch, node by node, with no algebra in between."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ruledsl.ir import Binary, Call, Expression, Name, Negate, Number, Power, Transpose

_FUNCTIONS = {
    "exp": torch.exp,
    "log": torch.log,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "sign": torch.sign,
    "abs": torch.abs,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "sum": lambda x: x.sum().reshape(1, 1),
    "mean": lambda x: x.mean().reshape(1, 1),
    "norm": lambda x: x.square().sum().sqrt().reshape(1, 1),
    "diag": lambda x: torch.diag(x[:, 0]),
}


def evaluate(node: Expression, values: Mapping[str, Tensor]) -> Tensor:
    """The value as a two-dimensional tensor; vectors are columns, scalars 1 × 1."""
    n_post, n_pre = values["W"].shape
    match node:
        case Number(value):
            return torch.tensor([[float(value)]], dtype=torch.float64)
        case Name("1_pre"):
            return torch.ones(n_pre, 1, dtype=torch.float64)
        case Name("1_post"):
            return torch.ones(n_post, 1, dtype=torch.float64)
        case Name("n_pre" | "n_post" as name):
            return torch.tensor([[float(n_pre if name == "n_pre" else n_post)]], dtype=torch.float64)
        case Name(name):
            return values[name] if values[name].dim() == 2 else values[name].unsqueeze(1)
        case Negate(operand):
            return -evaluate(operand, values)
        case Transpose(operand):
            return evaluate(operand, values).T
        case Binary("+", left, right):
            return evaluate(left, values) + evaluate(right, values)
        case Binary("-", left, right):
            return evaluate(left, values) - evaluate(right, values)
        case Binary("/", left, right):
            return evaluate(left, values) / evaluate(right, values)
        case Binary(operator, left, right):
            first, second = evaluate(left, values), evaluate(right, values)
            scalar = (first.numel() == 1 and first.shape == (1, 1)) or second.shape == (1, 1)
            return first * second if operator == ".*" or scalar else first @ second
        case Power(base, exponent):
            return evaluate(base, values) ** evaluate(exponent, values).item()
        case Call("outer", (left, right)):
            return evaluate(left, values) @ evaluate(right, values).T
        case Call(function, (argument,)):
            return _FUNCTIONS[function](evaluate(argument, values))
    raise AssertionError(f"no case for {node}")
