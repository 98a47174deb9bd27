"""What is shown: figures drawn from run folders. Never loads torch or a trainer."""

from ruledsl.report.figures import AVERAGE, draw_learning_curve, draw_training
from ruledsl.report.page import write_page
from ruledsl.report.panels import Curve, Mark, Panel, draw_panels

__all__ = ["AVERAGE", "Curve", "Mark", "Panel", "draw_learning_curve", "draw_panels", "draw_training", "write_page"]
