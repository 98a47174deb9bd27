"""A paper as a list of claims that can be run:
what is printed, what is measured here, and whether they agree."""

from __future__ import annotations

import lazy_loader

# Reading files of claims must not load torch; only running them does.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
