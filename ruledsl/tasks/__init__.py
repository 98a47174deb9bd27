"""Data sets, the tasks drawn from them, and all else that an episode is given."""

from ruledsl.tasks.arrays import DataWarning, array_source, write_arrays
from ruledsl.tasks.datasets import DATASETS, open_dataset
from ruledsl.tasks.episode import (
    Drawn,
    Episode,
    Needs,
    StreamKey,
    cell_signs,
    draw_episodes,
    draw_initial,
    draw_networks,
    stacked,
)
from ruledsl.tasks.glyphs import CHARACTERS, draw_glyphs
from ruledsl.tasks.sampler import (
    FEEDBACK,
    KEYS,
    STREAM,
    TEACHER,
    WEIGHTS,
    MatrixShape,
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
from ruledsl.tasks.source import ImageSource
from ruledsl.tasks.split import split_name
from ruledsl.tasks.torchvision_gate import torchvision_datasets

__all__ = [
    "CHARACTERS",
    "DATASETS",
    "FEEDBACK",
    "KEYS",
    "STREAM",
    "TEACHER",
    "WEIGHTS",
    "DataWarning",
    "Drawn",
    "Episode",
    "ImageSource",
    "MatrixShape",
    "Needs",
    "StreamKey",
    "Task",
    "TaskRequest",
    "array_source",
    "cell_signs",
    "check_task",
    "draw_episodes",
    "draw_feedback",
    "draw_glyphs",
    "draw_initial",
    "draw_networks",
    "draw_signals",
    "draw_task",
    "draw_weights",
    "fit_pixels",
    "generator",
    "open_dataset",
    "split_name",
    "stacked",
    "torchvision_datasets",
    "write_arrays",
]
