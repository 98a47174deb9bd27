"""Plasticity rules as text, meta-learned by exact differentiation through online learning.

A rule is text. Read it, look at it, train it, and see what was found:

>>> import ruledsl
>>> rule = ruledsl.rule('''
... term hebb "activity times activity" = y_post * y_pre^T
... rule mine = pseudo_gradient + hebb
... ''')
>>> rule.names, str(rule.locality["hebb"])
(('pseudo_gradient', 'hebb'), 'synapse')

From text                       `load`, `rule`, and the `Rule` they give; `diff` compares two
Meta-learning                   `train` gives a `Run`; `open_run` opens an old one; `Study` trains many
What was found                  `Run.theta`, `Run.metrics`, `Run.plot`, `evaluate`, `select`, `report`
An episode by itself            `compile_rule`, `Episode`, `Network`, `adapt`, `meta_gradient`
What can be wrong with input    `UserError` and, below it, `RuleError` for rules

Everything that the command line does is one of these calls; `python -m pydoc ruledsl.train` lists every
setting.
"""

from __future__ import annotations

import lazy_loader

__version__ = "0.1.0"

# Names load their module on first use: parsing and checking must not pay for importing torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
