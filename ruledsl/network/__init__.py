"""Layers, feedback, and one online-learning episode under a compiled rule, with its exact meta-gradient."""

from ruledsl.network.api import BACKENDS, ENGINES, Backend, Engine, MetaGradient, adapt, meta_gradient
from ruledsl.network.engines import programs_for, query_outputs, query_scores
from ruledsl.network.forensics import Norms, StreamReport, inspect_stream
from ruledsl.network.measure import Measurements, measure
from ruledsl.network.scales import gradient_content
from ruledsl.network.step import FEEDBACKS

__all__ = [
    "BACKENDS",
    "ENGINES",
    "FEEDBACKS",
    "Backend",
    "Engine",
    "Measurements",
    "MetaGradient",
    "Norms",
    "StreamReport",
    "adapt",
    "gradient_content",
    "inspect_stream",
    "measure",
    "meta_gradient",
    "programs_for",
    "query_outputs",
    "query_scores",
]
