"""One online learning step of the whole network as one program (Eqs. 1–3 and 6, Algorithm 1).

Layer sizes are the symbolic dimensions n0 … nL. All errors of a sample come from the weights
before its update: updates are written at the end of the step, after everything that reads W. Values of a
layer are vectors of all its cells, also in a convolution, whose synapses see them as a grid of positions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ruledsl.compiler import RuleProgram, Shared, lower_shared
from ruledsl.errors import PluginError
from ruledsl.ir import Builder, Kind, Program, Slot, Update, Value, places_of, slope_of, verify
from ruledsl.network.shared import (
    convolution_into,
    dim,
    grid_of,
    patches_of,
    synapse_dims,
    synapses,
    weights_into,
)
from ruledsl.registry import find
from ruledsl.settings import Network


@dataclass(frozen=True)
class Activity:
    """Pre-activations and activities of layers 0 … L; z_0 = y_0 = x."""

    z: list[Value]
    y: list[Value]


def forward_layers(b: Builder, depth: int, network: Network) -> Activity:
    """z_ℓ = W y_{ℓ−1} (1), y_ℓ = σ(z_ℓ) (2, 11), softmax or identity at the output; z_0 = y_0 = x."""
    x = Value(b, b.input(Kind.input, (dim(0),)))
    z, y = [x], [x]
    hidden = find("activation", network.activation).item
    for layer in range(1, depth + 1):
        total = weights_into(b, layer, network) @ y[-1]
        if network.bias:
            total = total + _biases(b, layer, network)
        z.append(total)
        if layer < depth:
            y.append(hidden(total, network.beta))
        else:
            y.append(total.apply("softmax") if network.output == "softmax" else total)
    return Activity(z, y)


def _biases(b: Builder, layer: int, network: Network) -> Value:
    """One for each cell; in a convolution one for each channel, at every position."""
    own = b.input(Slot(Kind.bias, layer), synapse_dims(network, layer)[:1])
    if convolution_into(network, layer) is None:
        return Value(b, own)
    return Value(b, b.flat(b.columns(own, places_of(layer)), dim(layer)))


@dataclass(frozen=True)
class Coefficient:
    """A number that a feedback pathway adds to Θ:
    where it starts, its bounds, and how large its steps are."""

    name: str
    start: float
    low: float
    high: float
    step: float


@dataclass
class Pathway:
    """What a feedback plugin sees, and where it leaves the errors it carries.

    `net.error(L)` is given: e_L = y_L − target (Eq. 3's start). For every layer below, down to the synthetic
    e_0, the plugin calls `net.carry(layer, signal)` with a vector of that layer's size: e_ℓ = signal ⊙
    σ'(z_ℓ).
    """

    depth: int
    activity: Activity
    builder: Builder
    network: Network
    rule_terms: int
    errors: dict[int, Value] = field(default_factory=dict)
    coefficients: list[Coefficient] = field(default_factory=list)

    def __post_init__(self) -> None:
        target = Value(self.builder, self.builder.input(Kind.target, (dim(self.depth),)))
        self.errors[self.depth] = self.activity.y[self.depth] - target

    @property
    def hidden(self) -> range:
        """Layers L−1 … 0, in the order in which errors travel."""
        return range(self.depth - 1, -1, -1)

    def error(self, layer: int) -> Value:
        """e of a layer that is known already."""
        return self.errors[layer]

    def weights(self, layer: int) -> Value:
        """W from `layer` to `layer + 1`, (n_{ℓ+1}, n_ℓ), as it is before this sample's update.

        In a convolution (channels, patch size); products with the layers' cells are those of all positions.
        """
        return weights_into(self.builder, layer + 1, self.network)

    def back(self, layer: int, source: int | None = None, family: str = Kind.feedback) -> Value:
        """A random matrix (n_layer, n_source) drawn once per episode; `source` is the layer above unless
        given.

        Rules for `B` train the family B. Another family is drawn independently.
        """
        slot = Slot(family, layer)
        if source in (None, layer + 1):
            return synapses(self.builder, slot, layer + 1, self.network, back=True)
        return Value(self.builder, self.builder.input(slot, (dim(layer), dim(source))))

    def spread(self, layer: int) -> Value:
        """The standard deviation of Xavier's draw of W from `layer` to `layer + 1`, √(2/(n_in + n_out))."""
        shared = convolution_into(self.network, layer + 1)
        if shared is None:
            cells = self.activity.y[layer].size() + self.activity.y[layer + 1].size()
            return (0.5 * cells) ** -0.5
        return Value(self.builder, self.builder.const((2.0 / shared.fans) ** 0.5))

    def random(self, layer: int, what: str = Kind.gain) -> Value:
        """A standard normal vector of a layer's size, drawn anew for every sample."""
        return Value(self.builder, self.builder.input(Slot(what, layer), (dim(layer),)))

    def coefficient(
        self,
        name: str,
        start: float,
        low: float = float("-inf"),
        high: float = float("inf"),
        step: float = 1.0,
    ) -> Value:
        """One more coefficient of Θ, meta-learned with those of the rule.

        `step` is how far it may move where θ_0 moves by 1: learning rates are made for θ_0, which is about
        0.02.
        """
        self.coefficients.append(Coefficient(name, start, low, high, step))
        return Value(self.builder, self.builder.theta(self.rule_terms + len(self.coefficients) - 1))

    def carry(self, layer: int, signal: Value) -> None:
        """e_layer = signal ⊙ σ'(z_layer), plus the noise of the feedback where the network has some."""
        if self.network.feedback_noise:
            # Noise as large as a fraction of the signal's own root mean square, at every cell.
            spread = (signal * signal).mean() ** 0.5 * self.network.feedback_noise
            signal = signal + self.random(layer, Kind.unrest) * spread
        self.errors[layer] = signal * self.slope(layer)

    def slope(self, layer: int) -> Value:
        """σ'; at the input, which no cell computes, as if x were the activity of such cells (paper,
        below Eq. 3)."""
        plugin = find("activation", self.network.activation)
        z, y = self.activity.z[layer], self.activity.y[layer]
        if "slope" in plugin.options:
            return plugin.options["slope"](y, self.network.beta)
        value = plugin.item(z, self.network.beta) if layer == 0 else y
        return slope_of(lambda v: plugin.item(v, self.network.beta), z, value)


def backward_errors(b: Builder, activity: Activity, network: Network, rule_terms: int = 0) -> Pathway:
    """e_L = y_L − target; every e_ℓ below as the feedback pathway carries it (3, 4).

    Raises `PluginError` when a pathway leaves a layer without an error.
    """
    net = Pathway(len(activity.y) - 1, activity, b, network, rule_terms)
    find("feedback", network.feedback).item(net)
    for layer in net.hidden:
        if layer not in net.errors:
            raise PluginError(f"feedback `{network.feedback}` carries no error to layer {layer}")
        if net.errors[layer].dims != (dim(layer),):
            raise PluginError(f"feedback `{network.feedback}` carries to layer {layer} what has not its size")
    return net


@dataclass(frozen=True)
class SampleView:
    """What an objective with `when="sample"` sees of one sample:
    values of the step, before its update is made."""

    depth: int
    z: list[Value]
    y: list[Value]
    e: list[Value]
    loss: Value
    """Cross-entropy of the sample (squared error for a linear output), before its update."""
    changes: list[list[tuple[Value, Value]]]
    """For each synapse layer the pairs (u, v) of ΔW = κ W + Σ u vᵀ + rest. Those of a convolution are grids,
    summed over positions."""
    rests: list[Value | None]
    """For each synapse layer the rest, a matrix, if there is one; under Dale's law it is all of ΔW."""
    weights: list[Value]


def step_program(rule: RuleProgram, depth: int, network: Network) -> Program:
    """W_t → W_{t+1} for one sample; inputs x, target, W0 …, B0 …, and θ."""
    b = Builder()
    activity = forward_layers(b, depth, network)
    errors = backward_errors(b, activity, network, len(rule.names)).errors
    target = Value(b, b.input(Kind.target, (dim(depth),)))
    loss = sample_loss(activity, target, network)
    heard = _broadcast(network, activity, target, loss)
    updates: list[Update] = []
    for layer in range(1, depth + 1):
        found = _layer_updates(b, layer, rule, network, activity, errors, heard)
        updates += [
            _sign_kept(b, u, layer, network) if network.inhibitory and u.target.kind == Kind.weights else u
            for u in found
        ]
    costs = _cost(b, depth, network, activity, errors, loss, updates)
    # Whatever is carried along stays an input, also where nothing reads it: engines need its shape and place.
    weights = {Slot(Kind.weights, n): weights_into(b, n + 1, network).number for n in range(depth)}
    loaded = {i.slot: number for number, i in enumerate(b.instructions) if i.op == "input"}
    carried = {update.target: loaded[update.target] for update in updates}
    labels = {Slot(Kind.potential, n): v.number for n, v in enumerate(activity.z) if n}
    labels |= {Slot(Kind.activity, n): v.number for n, v in enumerate(activity.y) if n}
    labels |= {Slot(Kind.error, n): v.number for n, v in errors.items()}
    program = b.finish(weights | carried | costs, updates, labels)
    verify(program)
    return program


def _layer_updates(
    b: Builder,
    layer: int,
    rule: RuleProgram,
    network: Network,
    activity: Activity,
    errors: dict[int, Value],
    heard: dict[str, int],
) -> list[Update]:
    """What the rule moves in one layer, from the cells at both of its ends and what every synapse hears."""
    sides = {"pre": layer - 1, "post": layer}
    kinds = {"y": activity.y, "z": activity.z, "e": errors}
    cells = {f"{q}_{side}": values[n] for q, values in kinds.items() for side, n in sides.items()}
    weights = weights_into(b, layer, network).number
    shared = convolution_into(network, layer)
    if shared is None:
        inputs = {name: value.number for name, value in cells.items()} | {"W": weights}
        return rule.lower_into(
            b, layer, inputs | heard | _populations(b, layer, network), network.bias, with_gains=True
        )
    noise = Slot(Kind.noise, layer - 1)
    cells[noise] = Value(b, b.input(noise, (dim(layer - 1),)))
    grids = {
        name: (grid_of(b, v, layer) if name.endswith("_post") else patches_of(b, v, layer, shared)).number
        for name, v in cells.items()
    }
    dims = dict(zip((dim(layer), dim(layer - 1)), synapse_dims(network, layer), strict=True))
    return lower_shared(rule, b, Shared(layer, dims, grids | heard), network.bias)


def sample_loss(activity: Activity, target: Value, network: Network) -> Value:
    """−log y_target of a softmax, ½ ‖y − target‖² of a linear output."""
    if network.output == "softmax":
        return -activity.y[-1].dot(target).apply("log")
    difference = activity.y[-1] - target
    return 0.5 * difference.dot(difference)


def _broadcast(network: Network, activity: Activity, target: Value, loss: Value) -> dict[str, int]:
    """`third`, the scalar that every synapse hears: from the task, or from the sample's own outcome."""
    if network.third == "surprise":
        return {Kind.third: loss.number}
    if network.third == "reward":
        return {Kind.third: activity.y[-1].dot(target).number}
    return {}


def _populations(b: Builder, layer: int, network: Network) -> dict[str, int]:
    """Which cells are excitatory and which inhibitory, as vectors of 1 and 0."""
    found: dict[str, int] = {}
    for side, own in (("pre", layer - 1), ("post", layer)):
        if network.inhibitory:
            signs = Value(b, b.input(Slot(Kind.signs, own), (dim(own),)))
            found |= {f"exc_{side}": (0.5 + 0.5 * signs).number, f"inh_{side}": (0.5 - 0.5 * signs).number}
        else:
            one, zero = b.const(1.0), b.const(0.0)
            found |= {f"exc_{side}": b.fill(one, (dim(own),)), f"inh_{side}": b.fill(zero, (dim(own),))}
    return found


def _sign_kept(b: Builder, update: Update, layer: int, network: Network) -> Update:
    """The update cut off where a weight would leave the sign of its presynaptic cell (Dale's law).

    Cutting loses what was cut: such weights cannot be rebuilt, so the change is a dense one.
    """
    weights = weights_into(b, layer, network)
    after = weights
    if update.kappa is not None:
        after = after + Value(b, update.kappa) * weights
    for u, v in update.pairs:
        after = after + Value(b, u).outer(Value(b, v))
    for p, q in update.gains:
        after = after + Value(b, p).outer(Value(b, q)) * weights
    if update.dense is not None:
        after = after + Value(b, update.dense)
    signs = Value(b, b.input(Slot(Kind.signs, layer - 1), (dim(layer - 1),))).over_rows(dim(layer))
    kept = signs * (signs * after).apply("relu")
    return Update(update.target, None, (), (kept - weights).number)


def _cost(
    b: Builder,
    depth: int,
    network: Network,
    activity: Activity,
    errors: dict[int, Value],
    loss: Value,
    updates: list[Update],
) -> dict[str, int]:
    """The objectives that are paid at every sample, weighted and added up."""
    if not network.costs:
        return {}
    layers = range(1, depth + 1)
    moved = {u.target: u for u in updates}
    own = [moved.get(Slot(Kind.weights, n - 1)) for n in layers]
    weights = [weights_into(b, n, network) for n in layers]
    view = SampleView(
        depth,
        activity.z,
        activity.y,
        [errors[n] for n in range(depth + 1)],
        loss,
        [[(Value(b, p), Value(b, q)) for p, q in u.pairs] if u else [] for u in own],
        [u and _rest(b, u, w) for u, w in zip(own, weights, strict=True)],
        weights,
    )
    total = Value(b, b.const(0.0))
    for name, weight in network.costs:
        cost = find("objective", name).item(view)
        if not isinstance(cost, Value) or cost.dims:
            raise PluginError(f"objective `{name}` must give a scalar of the step")
        total = total + weight * cost
    return {Kind.cost: total.number}


def _rest(b: Builder, update: Update, weights: Value) -> Value | None:
    """What an update adds to a matrix beside κ W and outer products."""
    parts = [Value(b, p).outer(Value(b, q)) * weights for p, q in update.gains]
    parts += [] if update.dense is None else [Value(b, update.dense)]
    return sum(parts[1:], start=parts[0]) if parts else None


def prediction_program(depth: int, network: Network) -> Program:
    """Pre-activation of the output for an input: what the query loss is computed from."""
    b = Builder()
    return b.finish({Kind.logits: forward_layers(b, depth, network).z[-1].number})


def probe_program(depth: int, network: Network, rule_terms: int) -> Program:
    """Every z, y and e of the network, for measurements: outputs z1 …, y0 …, e0 …."""
    b = Builder()
    activity = forward_layers(b, depth, network)
    errors = backward_errors(b, activity, network, rule_terms).errors
    outputs: dict[str, int] = {Slot(Kind.activity, n): v.number for n, v in enumerate(activity.y)}
    outputs |= {Slot(Kind.potential, n): v.number for n, v in enumerate(activity.z)}
    outputs |= {Slot(Kind.error, n): v.number for n, v in errors.items()}
    target = Value(b, b.input(Kind.target, (dim(depth),)))
    heard = _broadcast(network, activity, target, sample_loss(activity, target, network))
    return b.finish(outputs | heard)


def pathway_coefficients(depth: int, network: Network, rule_terms: int) -> list[Coefficient]:
    """What the feedback pathway adds to Θ."""
    b = Builder()
    return backward_errors(b, forward_layers(b, depth, network), network, rule_terms).coefficients
