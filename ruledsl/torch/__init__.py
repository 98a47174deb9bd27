"""Rules on a user's own torch model: `attach` makes an optimiser of a rule, or of what a run found.

>>> import torch, ruledsl
>>> opt = ruledsl.torch.attach(torch.nn.Linear(4, 3), "bio")
>>> isinstance(opt, torch.optim.Optimizer)
True
"""

from ruledsl.torch.attach import attach
from ruledsl.torch.optimizer import RuleOptimizer
from ruledsl.torch.update import CELLS

__all__ = ["CELLS", "RuleOptimizer", "attach"]
