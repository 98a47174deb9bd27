"""Episodes to Θ: the meta-trainer, and naive networks under a fixed Θ."""

from ruledsl.meta.evaluate import LearningCurve, learning_curve
from ruledsl.meta.settings import PAPER_SIZES, RunSpec, TrainSettings
from ruledsl.meta.trainer import EpisodeRecord, MetaTrainer

__all__ = ["PAPER_SIZES", "EpisodeRecord", "LearningCurve", "MetaTrainer", "RunSpec", "TrainSettings", "learning_curve"]
