"""What a network answers, and how right it is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ruledsl.backend import EagerProgram
from ruledsl.network.programs import StepPrograms
from ruledsl.network.stream import sizes_of, weights_of


def query_outputs(programs: StepPrograms, state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Pre-activations of the output, (N, Q, n_L), for x (N, Q, n_0)."""
    sizes = sizes_of(weights_of(state), programs.network)
    # Biases get an axis for the samples; matrices act on all samples as they are.
    inputs = {name: value if value.dim() == 3 else value.unsqueeze(1) for name, value in state.items()}
    values = EagerProgram(programs.prediction, sizes).run(inputs | {"x": x}, x.new_zeros(()))
    logits = values[programs.prediction.outputs[0][1]]
    assert isinstance(logits, Tensor)
    return logits


def as_targets(y: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
    """Labels (…, S) as one-hot vectors (…, S, n_L); vectors are left as they are."""
    if y.is_floating_point():
        return y.to(dtype)
    return torch.nn.functional.one_hot(y.long(), outputs).to(dtype)


def query_scores(
    programs: StepPrograms, state: Mapping[str, Tensor], x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean loss and accuracy per run; x (N, Q, n_0), y labels (N, Q) or targets (N, Q, n_L)."""
    return scores(query_outputs(programs, state, x), y, programs.network.output)


def scores(logits: Tensor, y: Tensor, output: str) -> tuple[Tensor, Tensor]:
    """Cross-entropy and accuracy of a softmax; half the squared error of a linear output, and for vectors as
    targets the explained fraction of their variance in place of accuracy."""
    if y.is_floating_point():
        residual = (logits - y).square().sum(-1)
        spread = (y - y.mean(1, keepdim=True)).square().sum(-1).mean(1).clamp_min(1e-30)
        loss = 0.5 * residual if output == "linear" else -(y * logits.log_softmax(-1)).sum(-1)
        return loss.mean(-1), 1.0 - residual.mean(-1) / spread
    correct = (logits.argmax(-1) == y).to(logits.dtype).mean(-1)
    if output == "linear":
        residual = logits - as_targets(y, logits.shape[-1], logits.dtype)
        return 0.5 * residual.square().sum(-1).mean(-1), correct
    chosen = logits.log_softmax(-1).gather(-1, y.unsqueeze(-1)).squeeze(-1)
    return -chosen.mean(-1), correct
