"""Index form to program: normal form κ W + Σ u vᵀ + rest, straight-line instructions, and their adjoint."""

from ruledsl.compiler.adjoint import StepAdjoint, forward_costs, step_adjoint
from ruledsl.compiler.cover import minimum_cover
from ruledsl.compiler.factor import NormalForm, normal_form
from ruledsl.compiler.rule_program import OtherForm, RuleProgram, check_layers
from ruledsl.compiler.silence import INPUT, silent_matrices

__all__ = [
    "INPUT",
    "NormalForm",
    "OtherForm",
    "RuleProgram",
    "StepAdjoint",
    "check_layers",
    "forward_costs",
    "minimum_cover",
    "normal_form",
    "silent_matrices",
    "step_adjoint",
]
