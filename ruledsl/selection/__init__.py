"""Which terms a rule needs: from a trained pool to a sparse rule, with the evidence for every term."""

from __future__ import annotations

import lazy_loader

# Reading a selection must not load torch; only searching does.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
