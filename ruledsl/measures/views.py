"""What diagnostic plugins are shown."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ruledsl.engines import EndView
from ruledsl.ir import Kind, Slot
from ruledsl.measures.probe import exact_of, probe_values


@dataclass
class AdaptedView(EndView):
    """What a diagnostic sees: as an objective's view, and the errors that travel in the adapted networks.

    Attributes:
        theta: (N, R), read by pathways that have coefficients of their own.
    """

    theta: Tensor | None = None

    def errors(self, exact: bool = False) -> list[Tensor]:
        """e_0 … e_L of every query, (N, Q, n_ℓ) each, as the pathway carries them; `exact`: as Wᵀ would."""
        programs = exact_of(self.programs) if exact else self.programs
        theta = self.x.new_zeros(len(self.x), 1) if self.theta is None else self.theta
        values = probe_values(programs, self.state, theta, self.x, self.y)
        return [values[Slot(Kind.error, n)] for n in range(self.programs.depth + 1)]
