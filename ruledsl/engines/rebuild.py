"""Weights rebuilt backwards from W_T, so that none are stored."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ruledsl.engines.base import Backend, Case, Engine, EngineResult
from ruledsl.engines.ending import Ending
from ruledsl.engines.stepping import Backward, forward_saving, plus


class Rebuild(Engine):
    """Weights rebuilt backwards: W_t = (W_{t+1} − Σ u vᵀ)/(1 + κ + Σ p qᵀ); `lost` names runs where that lost
    precision.

    The rebuilt W_0 is compared with the true one; beyond `rebuild_tolerance` a run's gradient is not to be
    used.
    """

    name = "rebuild"

    def can_run(self, case: Case, backend: Backend) -> bool:
        return not case.programs.has_dense_rest

    @torch.no_grad()
    def run(self, case: Case, ending: Ending) -> EngineResult:
        programs, stream, theta = case.programs, case.stream, case.theta
        final, saved, _ = forward_saving(
            programs, stream, theta, dict(stream.state), range(stream.length), False, ending
        )
        loss, accuracy = ending.total(final)
        backward = Backward(programs, stream, theta)
        cotangents, state = ending.cotangents(stream.length, final), final
        for time in range(stream.length - 1, -1, -1):
            cotangents, state = backward.step(time, saved[time], cotangents, state, None)
            if time in ending.gradients:
                cotangents = plus(cotangents, ending.cotangents(time, stream.state))
        lost = lost_runs(state, stream.state, final) if stream.length else None
        return EngineResult(loss, accuracy, backward.gradient / ending.scale, final, "rebuild", lost)


def rebuild_tolerance(dtype: torch.dtype) -> float:
    """Largest accepted relative error of the rebuilt W_0: 30 ε^¾, which is 2e-4 in float32 and 5e-11 in
    float64.

    A healthy stream stays far below it (about 1e-7 in float32 after 250 samples); one that forgets its
    weights is far above. It bounds the weights' error; that of the gradient is measured in
    tests/test_adjoint.py.
    """
    return 30.0 * torch.finfo(dtype).eps ** 0.75


def lost_runs(
    rebuilt: Mapping[str, Tensor], true: Mapping[str, Tensor], final: Mapping[str, Tensor]
) -> Tensor:
    """(N,) runs for which rebuilding did not come back to the start.
    A run that diverged has no gradient to protect."""
    first = next(iter(true.values()))
    lost = torch.zeros(first.shape[0], dtype=torch.bool, device=first.device)
    for name, matrix in rebuilt.items():
        start, end = true[name], _norm(final[name])
        size = _norm(start)
        # Traces start from zero: their error is measured by what they grew to.
        size = torch.maximum(size, torch.where(size == 0, end, 0.0))
        error = _norm(matrix - start) / size.clamp_min(1e-30)
        lost |= _finite(final[name], end) & ((error > rebuild_tolerance(start.dtype)) | ~error.isfinite())
    return lost


def _finite(matrix: Tensor, norm: Tensor) -> Tensor:
    """(N,) whether every entry is. A norm that is finite says so; of one that is not, its square may be too
    large alone, and entries are looked at."""
    finite = norm.isfinite()
    return finite if bool(finite.all()) else matrix.flatten(1).isfinite().all(1)


def _norm(matrix: Tensor) -> Tensor:
    """(N,) of (N, …)."""
    return torch.linalg.vector_norm(matrix, dim=tuple(range(1, matrix.dim())))
