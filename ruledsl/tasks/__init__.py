"""Data sets and the tasks drawn from them."""

from ruledsl.tasks.datasets import DATASETS, open_dataset
from ruledsl.tasks.sampler import (
    FEEDBACK,
    STREAM,
    TEACHER,
    WEIGHTS,
    Task,
    check_task,
    draw_task,
    draw_weights,
    fit_pixels,
    generator,
)
from ruledsl.tasks.source import DataError, ImageSource

__all__ = [
    "DATASETS",
    "FEEDBACK",
    "STREAM",
    "TEACHER",
    "WEIGHTS",
    "DataError",
    "ImageSource",
    "Task",
    "check_task",
    "draw_task",
    "draw_weights",
    "fit_pixels",
    "generator",
    "open_dataset",
]
