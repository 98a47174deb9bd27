"""ruledsl: plasticity rules as text, meta-learned by exact differentiation through online learning.

>>> import ruledsl
>>> rule = ruledsl.load("pool")
>>> rule.names[0]
'pseudo_gradient'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ruledsl.ir.diagnostics import RuleError
    from ruledsl.network import MetaGradient, adapt, meta_gradient
    from ruledsl.pipeline import Rule, compile_rule, load

_HOMES = {
    "load": "ruledsl.pipeline",
    "compile_rule": "ruledsl.pipeline",
    "Rule": "ruledsl.pipeline",
    "RuleError": "ruledsl.ir.diagnostics",
    "adapt": "ruledsl.network",
    "meta_gradient": "ruledsl.network",
    "MetaGradient": "ruledsl.network",
}

__all__ = ["MetaGradient", "Rule", "RuleError", "__version__", "adapt", "compile_rule", "load", "meta_gradient"]


def __getattr__(name: str) -> Any:
    # Names load their module on first use: parsing and checking must not pay for importing torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'ruledsl' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
