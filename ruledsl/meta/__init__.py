"""Episodes to Θ: the meta-trainer, and naive networks under a fixed Θ."""

from ruledsl.meta.evaluate import LearningCurve, learning_curve
from ruledsl.meta.trainer import MetaTrainer, coefficient_names

__all__ = ["LearningCurve", "MetaTrainer", "coefficient_names", "learning_curve"]
