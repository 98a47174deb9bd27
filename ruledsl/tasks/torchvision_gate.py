"""The one door to torchvision.

On CPU-only builds of torch, torchvision's C++ ops can be missing, and importing torchvision then
fails with «operator torchvision::nms does not exist» because it registers shape functions for
them. Declaring the two schemas is enough for the import; nothing here ever calls them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

_declared: list[Any] = []


def torchvision_datasets() -> Any:
    """The module `torchvision.datasets`, imported on first use."""
    try:
        return import_module("torchvision.datasets")
    except RuntimeError as error:
        if "does not exist" not in str(error):
            raise
    library = torch.library.Library("torchvision", "DEF")
    for op in ("nms", "qnms"):
        library.define(f"{op}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)  # A schema lives as long as its Library object.
    return import_module("torchvision.datasets")
