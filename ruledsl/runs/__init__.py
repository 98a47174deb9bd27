"""Run folders: what a training leaves on disk, and how it continues.
Reading one loads neither torch nor matplotlib."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
