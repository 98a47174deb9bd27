"""The method written as plain loops over Python floats, independent of everything under `ruledsl/`.

Equation numbers are those of Shervani-Tabar & Rosenbaum (2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Vector = list[float]
Matrix = list[list[float]]


@dataclass
class Synapses:
    """The quantities of one synapse layer."""

    y_pre: Vector
    y_post: Vector
    z_pre: Vector
    z_post: Vector
    e_pre: Vector
    e_post: Vector
    W: Matrix


def _entries(s: Synapses, entry: Callable[[int, int], float]) -> Matrix:
    return [[entry(j, i) for i in range(len(s.y_pre))] for j in range(len(s.y_post))]


def _forward(s: Synapses, j: int, x: Vector) -> float:
    return sum(s.W[j][k] * x[k] for k in range(len(x)))


def _backward(s: Synapses, i: int, x: Vector) -> float:
    return sum(s.W[k][i] * x[k] for k in range(len(x)))


def _bilinear(s: Synapses, post: Vector, pre: Vector) -> float:
    return sum(post[k] * s.W[k][m] * pre[m] for k in range(len(post)) for m in range(len(pre)))


def _mean(x: Vector) -> float:
    return sum(x) / len(x)


TERMS: dict[str, Callable[[Synapses], Matrix]] = {
    "pseudo_gradient": lambda s: _entries(s, lambda j, i: -s.e_post[j] * s.y_pre[i]),
    "activity_error": lambda s: _entries(s, lambda j, i: -s.y_post[j] * s.e_pre[i]),
    "error_hebb": lambda s: _entries(s, lambda j, i: -s.e_post[j] * s.e_pre[i]),
    "weight_decay": lambda s: _entries(s, lambda j, i: -s.W[j][i]),
    "presynaptic_error": lambda s: _entries(s, lambda j, i: -s.e_pre[i]),
    "population_gradient": lambda s: _entries(s, lambda j, i: -s.e_post[j] * sum(s.y_post) * s.y_pre[i]),
    "projected_error_hebb": lambda s: _entries(
        s, lambda j, i: -s.y_post[j] * _bilinear(s, s.y_post, s.e_pre) * s.e_pre[i]
    ),
    "projected_gradient": lambda s: _entries(
        s, lambda j, i: -s.e_post[j] * _bilinear(s, s.y_post, s.e_pre) * s.y_pre[i]
    ),
    "aligned_error": lambda s: _entries(
        s, lambda j, i: -s.y_post[j] * _bilinear(s, s.e_post, s.y_pre) * s.e_pre[i]
    ),
    "oja_subspace": lambda s: _entries(
        s, lambda j, i: -(s.y_post[j] * s.y_pre[i] - s.y_post[j] * _backward(s, i, s.y_post))
    ),
    "oja_single": lambda s: _entries(s, lambda j, i: s.y_post[j] * s.y_pre[i] - s.y_post[j] ** 2 * s.W[j][i]),
    "bcm_term": lambda s: _entries(s, lambda j, i: s.y_post[j] * (s.y_post[j] - 0.1) * s.y_pre[i]),
    "krotov_hopfield": lambda s: _entries(
        s, lambda j, i: (s.y_post[j] - _mean(s.y_post)) * (s.y_pre[i] - s.z_post[j] * s.W[j][i])
    ),
    "anti_hebb": lambda s: _entries(s, lambda j, i: -s.y_post[j] * s.y_pre[i]),
    "soft_potentiation": lambda s: _entries(s, lambda j, i: (1.0 - s.W[j][i]) * s.y_post[j] * s.y_pre[i]),
    "soft_depression": lambda s: _entries(s, lambda j, i: -(1.0 + s.W[j][i]) * s.y_post[j] * s.y_pre[i]),
    "covariance_term": lambda s: _entries(
        s, lambda j, i: (s.y_post[j] - _mean(s.y_post)) * (s.y_pre[i] - _mean(s.y_pre))
    ),
    "hebb": lambda s: _entries(s, lambda j, i: s.y_post[j] * s.y_pre[i]),
    "growth": lambda s: _entries(s, lambda j, i: s.W[j][i]),
    "post_error": lambda s: _entries(s, lambda j, i: s.e_post[j]),
    "post_activity": lambda s: _entries(s, lambda j, i: s.y_post[j]),
    "pre_activity": lambda s: _entries(s, lambda j, i: s.y_pre[i]),
    "pre_error": lambda s: _entries(s, lambda j, i: s.e_pre[i]),
    "constant": lambda s: _entries(s, lambda j, i: 1.0),
    "squared_post": lambda s: _entries(s, lambda j, i: s.y_post[j] ** 2 * s.y_pre[i]),
    "squared_pre": lambda s: _entries(s, lambda j, i: s.y_post[j] * s.y_pre[i] ** 2),
    "squared_both": lambda s: _entries(s, lambda j, i: s.y_post[j] ** 2 * s.y_pre[i] ** 2),
    "squared_error": lambda s: _entries(s, lambda j, i: s.e_post[j] ** 2 * s.y_pre[i]),
    "error_squared_pre": lambda s: _entries(s, lambda j, i: s.e_post[j] * s.y_pre[i] ** 2),
    "error_squared_pre_error": lambda s: _entries(s, lambda j, i: s.e_post[j] * s.e_pre[i] ** 2),
    "covariance_pre": lambda s: _entries(s, lambda j, i: s.y_post[j] * (s.y_pre[i] - _mean(s.y_pre))),
    "covariance_post": lambda s: _entries(s, lambda j, i: (s.y_post[j] - _mean(s.y_post)) * s.y_pre[i]),
    "reconstruction": lambda s: _entries(s, lambda j, i: s.y_post[j] * _backward(s, i, s.y_post)),
    "outgoing": lambda s: _entries(s, lambda j, i: s.y_post[j] * _backward(s, i, [1.0] * len(s.y_post))),
    "returned": lambda s: _entries(s, lambda j, i: _backward(s, i, s.y_post)),
    "error_reconstruction": lambda s: _entries(s, lambda j, i: s.e_post[j] * _backward(s, i, s.y_post)),
    "error_returned": lambda s: _entries(s, lambda j, i: s.e_post[j] * _backward(s, i, s.e_post)),
    "incoming_hebb": lambda s: _entries(s, lambda j, i: _forward(s, j, s.y_pre) * s.y_pre[i]),
    "incoming_error": lambda s: _entries(s, lambda j, i: _forward(s, j, s.e_pre) * s.e_pre[i]),
    "incoming_error_hebb": lambda s: _entries(s, lambda j, i: _forward(s, j, s.e_pre) * s.y_pre[i]),
    "incoming": lambda s: _entries(s, lambda j, i: _forward(s, j, [1.0] * len(s.y_pre)) * s.y_pre[i]),
    "incoming_activity_error": lambda s: _entries(s, lambda j, i: _forward(s, j, s.y_pre) * s.e_pre[i]),
}
"""Every shipped term, entry by entry."""


@dataclass
class Network:
    """Weights and feedback of one run as nested lists; `symmetric` carries errors by Wᵀ."""

    W: list[Matrix]
    B: list[Matrix]
    beta: float
    symmetric: bool

    def activities(self, x: Vector) -> tuple[list[Vector], list[Vector]]:
        """z and y of every layer (1, 2, 11)."""
        z, y = [x], [x]
        for number, weights in enumerate(self.W):
            z.append([sum(w * v for w, v in zip(row, y[-1], strict=True)) for row in weights])
            y.append(
                _softmax(z[-1]) if number == len(self.W) - 1 else [_softplus(v, self.beta) for v in z[-1]]
            )
        return z, y

    def errors(self, y: list[Vector], label: int) -> list[Vector]:
        """e of every layer (3, 4), from the weights as they are now."""
        errors = [[v - (n == label) for n, v in enumerate(y[-1])]]
        for layer in range(len(self.W) - 1, -1, -1):
            above = errors[0]
            carried = [
                sum(
                    (self.W[layer][k][n] if self.symmetric else self.B[layer][n][k]) * above[k]
                    for k in range(len(above))
                )
                for n in range(len(y[layer]))
            ]
            errors.insert(
                0, [c * (1 - math.exp(-self.beta * v)) for c, v in zip(carried, y[layer], strict=True)]
            )
        return errors

    def learn(self, terms: Sequence[str], theta: Sequence[float], x: Vector, label: int) -> None:
        """One online step: all errors first, then every layer's update (6)."""
        z, y = self.activities(x)
        e = self.errors(y, label)
        updated = []
        for n, weights in enumerate(self.W):
            synapses = Synapses(y[n], y[n + 1], z[n], z[n + 1], e[n], e[n + 1], weights)
            changes = [TERMS[name](synapses) for name in terms]
            updated.append(
                [
                    [
                        w + sum(t * c[j][i] for t, c in zip(theta, changes, strict=True))
                        for i, w in enumerate(row)
                    ]
                    for j, row in enumerate(weights)
                ]
            )
        self.W = updated

    def query_loss(self, xs: list[Vector], labels: list[int]) -> float:
        """Mean cross-entropy."""
        return sum(
            -math.log(self.activities(x)[1][-1][label]) for x, label in zip(xs, labels, strict=True)
        ) / len(xs)


def _softplus(z: float, beta: float) -> float:
    return (max(beta * z, 0.0) + math.log1p(math.exp(-abs(beta * z)))) / beta


def _softmax(z: Vector) -> Vector:
    top = max(z)
    values = [math.exp(v - top) for v in z]
    return [v / sum(values) for v in values]
