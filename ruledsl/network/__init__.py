"""Layers, feedback, and one online-learning episode under a compiled rule, with its exact meta-gradient."""

from ruledsl.network.api import BACKENDS, ENGINES, Backend, Engine, Learner, MetaGradient, adapt, meta_gradient
from ruledsl.network.engines import StepPrograms, programs_for
from ruledsl.network.forensics import Norms, StreamReport, inspect_stream
from ruledsl.network.measure import AdaptedView, Measurements, measure
from ruledsl.network.objectives import DEFAULT, EndView, query_outputs, query_scores
from ruledsl.network.scales import gradient_content
from ruledsl.network.streams import cell_signs
from ruledsl.network.wiring import endings_of, network_of, programs_of, variants_of

__all__ = [
    "BACKENDS",
    "DEFAULT",
    "ENGINES",
    "AdaptedView",
    "Backend",
    "EndView",
    "Engine",
    "Learner",
    "Measurements",
    "MetaGradient",
    "Norms",
    "StepPrograms",
    "StreamReport",
    "adapt",
    "cell_signs",
    "endings_of",
    "gradient_content",
    "inspect_stream",
    "measure",
    "meta_gradient",
    "network_of",
    "programs_for",
    "programs_of",
    "query_outputs",
    "query_scores",
    "variants_of",
]
