"""Episodes to Θ: the meta-trainer, what moves Θ, and naive networks under a fixed Θ."""

from ruledsl.meta.evaluate import LearningCurve, backend_for, learning_curve, measuring_points
from ruledsl.meta.optimisers import Adam, Coefficients, Optimiser, Recipe, TorchOptimiser, vector
from ruledsl.meta.room import Room, reach
from ruledsl.meta.streams import Computer, Crew, Lived, Portion, Streams
from ruledsl.meta.trainer import Fresh, MetaTrainer, coefficient_names, naive_networks, worst_loss

__all__ = [
    "Adam",
    "Coefficients",
    "Computer",
    "Crew",
    "Fresh",
    "LearningCurve",
    "Lived",
    "MetaTrainer",
    "Optimiser",
    "Portion",
    "Recipe",
    "Room",
    "Streams",
    "TorchOptimiser",
    "backend_for",
    "coefficient_names",
    "learning_curve",
    "measuring_points",
    "naive_networks",
    "reach",
    "vector",
    "worst_loss",
]
