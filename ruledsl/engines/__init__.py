"""Engines: an online-learning episode with its objective and exact meta-gradient, in ways that agree.

`autograd`    unrolls the stream with torch's own differentiation: the literal reference.
`rebuild`     keeps each step's small vectors, and rebuilds the weights backwards from W_T.
`checkpoint`  keeps the weights at segment borders, and recomputes a segment when backward enters it.
`forward`     carries derivatives along with the stream: memory does not grow with it.
`none`        computes the objective alone.
`retied`      computes the meta-gradient of backprop as the paper's released code does: wrong, to measure by
how much.
"""

from ruledsl.engines.api import Learner, MetaGradient, adapt, meta_gradient
from ruledsl.engines.autograd import Autograd
from ruledsl.engines.base import BACKENDS, Backend, Case, Engine, EngineResult
from ruledsl.engines.choice import CANDIDATES, ENGINES, EngineName, compute
from ruledsl.engines.ending import DEFAULT, Ending, EndView
from ruledsl.engines.kernels import build_step, forget_kernels, kernel_source
from ruledsl.engines.rebuild import lost_runs
from ruledsl.engines.replay import Replay, Replayed, ReplayedForward, ReplayKeeping, ReplayLoss
from ruledsl.engines.stepping import moved, run_stream

__all__ = [
    "BACKENDS",
    "CANDIDATES",
    "DEFAULT",
    "ENGINES",
    "Autograd",
    "Backend",
    "Case",
    "EndView",
    "Ending",
    "Engine",
    "EngineName",
    "EngineResult",
    "Learner",
    "MetaGradient",
    "Replay",
    "ReplayKeeping",
    "ReplayLoss",
    "Replayed",
    "ReplayedForward",
    "adapt",
    "build_step",
    "compute",
    "forget_kernels",
    "kernel_source",
    "lost_runs",
    "meta_gradient",
    "moved",
    "run_stream",
]  # fmt: skip
