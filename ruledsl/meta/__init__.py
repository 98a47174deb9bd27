"""Episodes to Θ: the meta-trainer, what moves Θ, and naive networks under a fixed Θ."""

from ruledsl.meta.asking import Again, Answer, Asking, Told, concluded, together
from ruledsl.meta.evaluate import LearningCurve, backend_for, learning_curve, measuring_points
from ruledsl.meta.guilt import Guilt, guilt_of
from ruledsl.meta.optimisers import Adam, Coefficients, Optimiser, Recipe, TorchOptimiser, vector
from ruledsl.meta.reliving import Reliver, Reliving
from ruledsl.meta.room import Room, reach
from ruledsl.meta.streams import Computer, Crew, Lived, Portion, Streams
from ruledsl.meta.trainer import (
    Fresh,
    MetaTrainer,
    coefficient_names,
    naive_networks,
    silent_theta,
    starting_theta,
    worst_loss,
)

__all__ = [
    "Adam",
    "Again",
    "Answer",
    "Asking",
    "Coefficients",
    "Computer",
    "Crew",
    "Fresh",
    "Guilt",
    "LearningCurve",
    "Lived",
    "MetaTrainer",
    "Optimiser",
    "Portion",
    "Recipe",
    "Reliver",
    "Reliving",
    "Room",
    "Streams",
    "Told",
    "TorchOptimiser",
    "backend_for",
    "coefficient_names",
    "concluded",
    "guilt_of",
    "learning_curve",
    "measuring_points",
    "naive_networks",
    "reach",
    "silent_theta",
    "starting_theta",
    "together",
    "vector",
    "worst_loss",
]
