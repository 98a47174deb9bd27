"""Pages and comparisons made from run folders alone. Never loads torch or a trainer."""

from ruledsl.pages.comparison import Difference, diff
from ruledsl.pages.evidence import Evidence
from ruledsl.pages.page import render, report

__all__ = ["Difference", "Evidence", "diff", "render", "report"]
