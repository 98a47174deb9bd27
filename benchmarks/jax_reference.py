"""Reference implementation in JAX: jit, scan and vmap of the factored ten-term step,
reverse mode through the scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ruledsl import Episode

BETA = 10.0


def build(depth: int) -> Callable[..., Any]:
    """A compiled function (theta (N, 10), W, B, x, target, x_query, y_query) → (losses, gradients)."""
    import jax  # pyright: ignore[reportMissingImports]
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]

    def softplus(z: Any) -> Any:
        return jnp.logaddexp(BETA * z, 0.0) / BETA

    def forward(W: Any, x: Any) -> tuple[Any, Any]:
        z, y = [], [x]
        for number in range(depth):
            z.append(W[number] @ y[-1])
            y.append(jax.nn.softmax(z[-1]) if number == depth - 1 else softplus(z[-1]))
        return z, y

    def step(theta: Any, B: Any, W: Any, sample: Any) -> tuple[Any, None]:
        x, target = sample
        z, y = forward(W, x)
        e = [y[-1] - target]
        for number in range(depth - 1, -1, -1):
            e.insert(0, B[number] @ e[0] * (1 - jnp.exp(-BETA * y[number])))
        updated = []
        for k in range(depth):
            v = y[k + 1] @ W[k]
            s5, s67, s8 = y[k + 1].sum(), v @ e[k], z[k] @ e[k + 1]
            U = jnp.stack([
                -(theta[0] + theta[5] * s5 + theta[7] * s67) * e[k + 1] - theta[9] * y[k + 1],
                -(theta[1] + theta[6] * s67 + theta[8] * s8) * y[k + 1] - theta[2] * e[k + 1] - theta[4],
                theta[9] * y[k + 1],
            ])  # fmt: skip
            updated.append((1 - theta[3]) * W[k] + U.T @ jnp.stack([y[k], e[k], v]))
        return updated, None

    def loss(theta: Any, W: Any, B: Any, x: Any, target: Any, x_query: Any, y_query: Any) -> Any:
        W, _ = jax.lax.scan(lambda w, sample: step(theta, B, w, sample), W, (x, target))
        y = x_query
        for number in range(depth):
            y = y @ W[number].T
            y = y if number == depth - 1 else softplus(y)
        return -jnp.take_along_axis(jax.nn.log_softmax(y), y_query[:, None], 1).mean()

    return jax.jit(jax.vmap(jax.value_and_grad(loss)))


def arguments(work: Episode, theta: Any) -> tuple[Any, ...]:
    """The same work as numpy arrays, targets one-hot."""
    outputs = work.W[-1].shape[1]
    target = np.eye(outputs, dtype=np.float32)[work.y.numpy()]
    arrays = [w.numpy() for w in work.W], [b.numpy() for b in work.feedback.values()]
    x_query, y_query = (part.numpy() for part in work.queries)
    return (theta.numpy(), *arrays, work.x.numpy(), target, x_query, y_query)
