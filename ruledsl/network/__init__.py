"""Layers, feedback, and one online-learning episode under a compiled rule, with its exact meta-gradient."""

from ruledsl.network.api import ENGINES, Engine, MetaGradient, adapt, meta_gradient
from ruledsl.network.engines import programs_for, query_scores
from ruledsl.network.step import FEEDBACKS, probe_program

__all__ = ["ENGINES", "FEEDBACKS", "Engine", "MetaGradient", "adapt", "meta_gradient", "probe_program", "programs_for", "query_scores"]
