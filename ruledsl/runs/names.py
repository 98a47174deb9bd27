"""The files of a run folder: the one place that knows their names."""

from ruledsl.rules import RECORDED

CONFIG = "config.toml"
RULE = RECORDED
METRICS = "metrics.csv"
CHECKPOINT = "checkpoint.json"
RESULT = "result.json"
FIGURE = "training.png"
DATA = "data.npz"
"""Arrays that a user handed in, kept so that the run can go on."""
LOCK = ".lock"
