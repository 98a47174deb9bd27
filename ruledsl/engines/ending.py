"""What an episode is judged by: objectives at its end, at points along it, and costs paid at every sample.

Total = Σ_k w_k ⟨O_k(W_p)⟩ over the points p of objective k + (1/T) Σ_t cost_t. The default is the query loss
after the last sample (Algorithm 1). Objectives are plugins; their gradients with respect to the weights come
from autograd, those of costs from the step's own adjoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ruledsl.errors import PluginError
from ruledsl.ir import Slot
from ruledsl.network import StepPrograms, query_outputs, scores, weights_of
from ruledsl.registry import find

DEFAULT = (("query", 1.0),)


@dataclass
class EndView:
    """What an objective or a diagnostic sees of adapted networks. Everything has the runs' axis N in front.

    Attributes:
        state: W0 … (N, n_{l+1}, n_l), and b1 … where cells have biases.
        x: (N, Q, n_0) query inputs. y: (N, Q) labels, or (N, Q, n_L) targets.
    """

    programs: StepPrograms
    state: Mapping[str, Tensor]
    x: Tensor
    y: Tensor
    keys: Sequence[int] = ()
    answered: tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor] | None = field(
        default=None, init=False, repr=False
    )
    """What `query_loss` saw last of its own networks, and their accuracy (N,)."""

    def accuracy(self) -> Tensor:
        """(N,) on the query set; not computed again where `query_loss` was asked for it."""
        if self.answered is not None:
            *asked, accuracy = self.answered
            if all(a is b for a, b in zip(asked, (self.state, self.x, self.y), strict=True)):
                return accuracy
        return scores(self.outputs(), self.y, self.programs.network.output)[1]

    @property
    def weights(self) -> list[Tensor]:
        return weights_of(self.state)

    def outputs(self, state: Mapping[str, Tensor] | None = None) -> Tensor:
        """(N, Q, n_L) pre-activations of the output, also of networks with another state."""
        return query_outputs(self.programs, self.state if state is None else state, self.x)

    def query_loss(self, state: Mapping[str, Tensor] | None = None) -> Tensor:
        """(N,) mean loss on the query set."""
        loss, accuracy = scores(self.outputs(state), self.y, self.programs.network.output)
        if state is None:
            self.answered = self.state, self.x, self.y, accuracy.detach()
        return loss

    def normal(self, like: Tensor, number: int = 0) -> Tensor:
        """Standard normal numbers shaped like a tensor:
        each run's own, the same at every call with a `number` and in every precision."""
        keys = self.keys or [0] * like.shape[0]
        rows = []
        for key in keys:
            source = torch.Generator().manual_seed((key * 1_000_003 + number) % 2**63)
            rows.append(torch.randn(like.shape[1:], generator=source, dtype=torch.float32))
        return torch.stack(rows).to(like.device, like.dtype)


@dataclass
class Ending:
    """Collects an episode's objectives: engines tell it of every state at a point, and of every cost."""

    programs: StepPrograms
    x: Tensor
    y: Tensor
    length: int
    objectives: tuple[tuple[str, float], ...] = DEFAULT
    keys: Sequence[int] = ()
    differentiable: bool = False
    """Keep the graph: the engine differentiates through everything itself."""
    gradients: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    """∂total/∂state at each point, for engines that go backwards by themselves."""
    _total: Tensor | None = None
    _costs: Tensor | None = None
    _seen: tuple[Mapping[str, Tensor], EndView] | None = None
    """The state that was judged last, at the end of an episode what it leaves; and what objectives saw."""

    def __post_init__(self) -> None:
        self.points: dict[int, list[tuple[str, float]]] = {self.length: []}
        for name, weight in self.objectives:
            plugin = find("objective", name)
            if plugin.options.get("when", "end") == "sample":
                raise PluginError(
                    f"objective `{name}` is paid at every sample; it belongs to the network's costs"
                )
            count = max(1, min(int(plugin.options.get("points", 1)), self.length))
            for k in range(1, count + 1):
                self.points.setdefault(round(k * self.length / count), []).append((name, weight / count))

    def rows(self, rows: Tensor) -> Ending:
        """The same objectives for some of the runs."""
        keys = [self.keys[int(r)] for r in rows] if self.keys else ()
        return Ending(self.programs, self.x[rows], self.y[rows], self.length, self.objectives, keys)

    def see(self, time: int, state: Mapping[str, Tensor], cost: object = None) -> None:
        """The state after `time` samples, and the cost of the last of them."""
        if cost is not None:
            self.pay(cost if isinstance(cost, Tensor) else self.x.new_full((self.x.shape[0],), float(cost)))  # type: ignore[arg-type]
        if time in self.points:
            self._judge(time, state)

    def pay(self, cost: Tensor) -> None:
        """Add the cost (N,) of one sample, or of several together."""
        self._costs = cost if self._costs is None else self._costs + cost

    def _judge(self, time: int, state: Mapping[str, Tensor]) -> None:
        named = {n: v for n, v in state.items() if Slot.read(n).is_cell_state}
        if self.differentiable:
            self._add(self._value(time, self._view(named)))
            return
        leaves = {name: value.detach().requires_grad_() for name, value in named.items()}
        view = self._view(leaves)
        with torch.enable_grad():
            value = self._value(time, view)
            if value.requires_grad:
                found = torch.autograd.grad(value.sum(), list(leaves.values()), allow_unused=True)
            else:
                found = [None] * len(leaves)
        self._add(value.detach())
        self.gradients[time] = {
            name: torch.zeros_like(leaf) if g is None else g
            for (name, leaf), g in zip(leaves.items(), found, strict=True)
        }

    def _view(self, state: Mapping[str, Tensor]) -> EndView:
        view = EndView(self.programs, state, self.x, self.y, self.keys)
        self._seen = state, view
        return view

    def _value(self, time: int, view: EndView) -> Tensor:
        total = self.x.new_zeros(self.x.shape[0])
        for name, weight in self.points[time]:
            value = find("objective", name).item(view)
            if not isinstance(value, Tensor) or value.shape != total.shape:
                raise PluginError(f"objective `{name}` must give one number per run, a tensor of shape (N,)")
            total = total + weight * value
        return total

    def _add(self, value: Tensor) -> None:
        self._total = value if self._total is None else self._total + value

    @property
    def scale(self) -> float:
        """Costs enter backward passes with weight 1 per sample:
        everything else is scaled by T, then all by 1/T."""
        return float(max(1, self.length)) if self.programs.cost is not None else 1.0

    def cotangents(self, time: int, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a point adds to the cotangents of the state; zeros for what no objective depends on."""
        known = self.gradients.get(time, {})
        scaled = {n: g if self.scale == 1.0 else g * self.scale for n, g in known.items()}
        return {n: scaled[n] if n in scaled else torch.zeros_like(v) for n, v in state.items()}

    def total(self, state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Objective and query accuracy, (N,) each, once the stream is over."""
        if not self.length and self._total is None:
            self.see(0, state)
        assert self._total is not None
        total = self._total if self._costs is None else self._total + self._costs / max(1, self.length)
        assert self._seen is not None
        shown, view = self._seen
        # Objectives may have put something else in the place of what they were shown.
        found = EndView(self.programs, shown, self.x, self.y)
        found.answered = view.answered
        with torch.no_grad():
            return total, found.accuracy()
