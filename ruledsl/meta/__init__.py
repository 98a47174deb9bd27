"""Episodes to Θ: the meta-trainer, and naive networks under a fixed Θ."""

from ruledsl.meta.evaluate import LearningCurve, backend_for, learning_curve
from ruledsl.meta.trainer import MetaTrainer, coefficient_names

__all__ = ["LearningCurve", "MetaTrainer", "backend_for", "coefficient_names", "learning_curve"]
