"""Weights kept at the borders of segments."""

from __future__ import annotations

from math import isqrt

import torch

from ruledsl.engines.base import Case, Engine, EngineResult
from ruledsl.engines.ending import Ending
from ruledsl.engines.stepping import Backward, forward_saving, plus
from ruledsl.network import State


class Checkpoint(Engine):
    """Weights kept every √T samples; a segment is run again, with its weights, when backward enters it."""

    name = "checkpoint"

    @torch.no_grad()
    def run(self, case: Case, ending: Ending) -> EngineResult:
        programs, stream, theta = case.programs, case.stream, case.theta
        length = stream.length
        stride = max(1, isqrt(length))
        borders: list[State] = []
        state = dict(stream.state)
        for start in range(0, length, stride):
            borders.append(state)
            times = range(start, min(start + stride, length))
            state, _, _ = forward_saving(programs, stream, theta, state, times, False, ending)
        loss, accuracy = ending.total(state)
        backward = Backward(programs, stream, theta)
        cotangents = ending.cotangents(length, state)
        matrices = {u.target for u in backward.own}
        for number in range(len(borders) - 1, -1, -1):
            times = range(number * stride, min((number + 1) * stride, length))
            _, saved, history = forward_saving(programs, stream, theta, borders[number], times, True, None)
            for offset in range(len(times) - 1, -1, -1):
                before = {name: value for name, value in history[offset].items() if name in matrices}
                cotangents, _ = backward.step(times[offset], saved[offset], cotangents, None, before)
                if times[offset] in ending.gradients:
                    cotangents = plus(cotangents, ending.cotangents(times[offset], stream.state))
        return EngineResult(loss, accuracy, backward.gradient / ending.scale, state, "checkpoint")
