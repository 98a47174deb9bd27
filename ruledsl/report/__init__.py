"""What is shown: figures drawn from run folders. Never loads torch or a trainer."""

from ruledsl.report.figures import draw_learning_curve, draw_training
from ruledsl.report.page import write_page

__all__ = ["draw_learning_curve", "draw_training", "write_page"]
