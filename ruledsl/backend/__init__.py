"""Runs programs, and writes them in other languages:
plain numpy to believe, eager torch to use anywhere, C++ for speed."""

from __future__ import annotations

import lazy_loader

# `show` writes programs as text and must answer at once: torch loads with the first tensor.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
