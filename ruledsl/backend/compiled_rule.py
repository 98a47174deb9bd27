"""A rule as a function on tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ruledsl.backend.eager import EagerProgram, change_of
from ruledsl.compiler import RuleProgram
from ruledsl.language import readable_by, shape_of_quantity
from ruledsl.rules import Rule


def compile_rule(rule: Rule) -> CompiledRule:
    """A rule as a function on tensors; see `CompiledRule.update`.

    >>> import ruledsl
    >>> F = ruledsl.compile_rule(ruledsl.load("pool"))
    >>> F.reads
    ('e_post', 'e_pre', 'y_post', 'y_pre')
    """
    return CompiledRule(rule.program)


class CompiledRule:
    """What `compile_rule` returns: the update of one layer, and the program an episode is built from.

    >>> import ruledsl, torch
    >>> F = ruledsl.compile_rule(ruledsl.load("feedback_alignment"))
    >>> F.update(torch.ones(1), W=torch.zeros(2, 3), y_pre=torch.ones(3), e_post=torch.ones(2)).shape
    torch.Size([2, 3])
    """

    def __init__(self, program: RuleProgram) -> None:
        self.program = program
        self.names = program.names

    def __repr__(self) -> str:
        return f"CompiledRule({' + '.join(self.names)})"

    @property
    def reads(self) -> tuple[str, ...]:
        """The quantities `update` needs as keyword arguments (besides `W`, whose shape it always needs)."""
        return tuple(sorted(set(self.program.update_program.inputs()) - {"W"}))

    def update(self, theta: Tensor, **quantities: Tensor) -> Tensor:
        """ΔW = Σ_r θ_r F^r of one layer (Eq. 6).

        Args:
            theta: (…, R), in the order of `names`.
            **quantities: `W` of shape (…, n_post, n_pre) and every quantity the rule reads:
                y_pre, z_pre, e_pre, exc_pre, inh_pre (…, n_pre); the same of the post side (…, n_post); third
                (…), one number. More are allowed. A trace is taken to have settled on what it follows.

        Returns:
            (…, n_post, n_pre).

        Raises:
            TypeError: a quantity the rule reads is missing, or a name is not a quantity.
            ValueError: sizes or batch axes do not agree.
        """
        weights = quantities.get("W")
        missing = [q for q in (*self.reads, "W") if quantities.get(q) is None]
        if missing or weights is None:
            raise TypeError(f"update() needs {', '.join(f'`{m}`' for m in missing)} for this rule")
        n_post, n_pre = weights.shape[-2:]
        theta = torch.as_tensor(theta, dtype=weights.dtype, device=weights.device)
        _check_quantities(quantities, theta, len(self.names), n_post, n_pre)
        runner = EagerProgram(self.program.update_program, {"post": n_post, "pre": n_pre})
        values = runner.run(quantities, theta)
        return change_of(self.program.update_program.updates[0], values, weights)


def _check_quantities(
    quantities: Mapping[str, Tensor], theta: Tensor, terms: int, n_post: int, n_pre: int
) -> None:
    if theta.shape[-1:] != (terms,):
        raise ValueError(
            f"theta has shape {tuple(theta.shape)}; its last axis must hold the {terms} coefficients"
        )
    batch, size, known = theta.shape[:-1], {"pre": n_pre, "post": n_post}, readable_by("W")
    for name, value in quantities.items():
        if name not in known:
            raise TypeError(f"`{name}` is not a quantity of a synapse layer")
        shape = shape_of_quantity(name)
        expected = (*batch, *(size[side] for side in (shape.rows, shape.columns) if side is not None))
        if tuple(value.shape) != expected:
            raise ValueError(f"`{name}` has shape {tuple(value.shape)}, expected {expected}")
