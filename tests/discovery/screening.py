"""The meta-gradient of an absent term, as the trainer gives it and as a difference of losses."""

from __future__ import annotations

from ruledsl import TrainSettings, compile_rule, load
from ruledsl.contracts import SETTINGS, toy_source
from ruledsl.meta import MetaTrainer
from ruledsl.settings import RunSpec

STEP = 1e-6


def slopes() -> tuple[list[float], list[float]]:
    """∂loss/∂θ at θ = (θ_0, 0, 0) of `bio`, where only the first term takes part."""
    settings: TrainSettings = SETTINGS.having(dtype="float64", meta_batch=2, backend="eager")
    rule, source = compile_rule(load("bio")), toy_source()

    def trainer(theta: tuple[float, ...], terms: tuple[str, ...]) -> MetaTrainer:
        return MetaTrainer(rule, settings, [RunSpec(0, 3, 0.0, terms, theta)], source)

    exact = trainer((0.01, 0.0, 0.0), rule.names[:1]).gradients(5)[0].tolist()
    measured = []
    for n in range(3):
        losses = []
        for sign in (1, -1):
            theta = [0.01, 0.0, 0.0]
            theta[n] += sign * STEP
            losses.append(trainer(tuple(theta), ()).step(5)[0].meta_loss)
        measured.append((losses[0] - losses[1]) / (2 * STEP))
    return exact, measured
