"""Index form to program: normal form κ W + Σ u vᵀ + rest, straight-line instructions, and their adjoint."""

from ruledsl.compiler.adjoint import StepAdjoint, forward_costs, step_adjoint
from ruledsl.compiler.cover import minimum_cover
from ruledsl.compiler.factor import NormalForm, normal_form
from ruledsl.compiler.positions import Shared, lower_shared
from ruledsl.compiler.presence import Condition, Presence, presence
from ruledsl.compiler.rule_program import OtherForm, RuleProgram, check_layers

__all__ = [
    "Condition",
    "NormalForm",
    "OtherForm",
    "Presence",
    "RuleProgram",
    "Shared",
    "StepAdjoint",
    "check_layers",
    "forward_costs",
    "lower_shared",
    "minimum_cover",
    "normal_form",
    "presence",
    "step_adjoint",
]
