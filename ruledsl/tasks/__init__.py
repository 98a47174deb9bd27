"""Data sets and the tasks drawn from them."""

from ruledsl.tasks.datasets import DATASETS, open_dataset
from ruledsl.tasks.sampler import (
    FEEDBACK,
    INITS,
    KEYS,
    STREAM,
    TEACHER,
    WEIGHTS,
    Task,
    TaskRequest,
    check_task,
    draw_feedback,
    draw_signals,
    draw_task,
    draw_weights,
    fit_pixels,
    generator,
)
from ruledsl.tasks.source import DataError, ImageSource

__all__ = [
    "DATASETS",
    "FEEDBACK",
    "INITS",
    "KEYS",
    "STREAM",
    "TEACHER",
    "WEIGHTS",
    "DataError",
    "ImageSource",
    "Task",
    "TaskRequest",
    "check_task",
    "draw_feedback",
    "draw_signals",
    "draw_task",
    "draw_weights",
    "fit_pixels",
    "generator",
    "open_dataset",
]
