"""Rules that nobody wrote: a library enumerated, searched by racing, judged on classes never searched."""

from __future__ import annotations

import lazy_loader

# Reading a selection must not load torch; only searching does.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
