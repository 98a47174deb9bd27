"""How the layers of a network stand in its programs: symbolic sizes, and matrices that act at every position
of a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ruledsl.ir import Builder, Kind, Slot, Value, is_grid, places_of
from ruledsl.settings import Convolution, Network


def dim(layer: int) -> str:
    """The symbolic number of cells of a layer."""
    return f"n{layer}"


def convolution_into(network: Network, layer: int) -> Convolution | None:
    """What the synapses share that enter postsynaptic layer `layer` (from 1); None where each is its own."""
    return network.convolutions[layer - 1] if network.convolutions else None


def synapse_dims(network: Network, layer: int) -> tuple[str, str]:
    """The shape of W into a layer: its cells by those below, or channels by the cells of a patch."""
    if convolution_into(network, layer) is None:
        return dim(layer), dim(layer - 1)
    return f"c{layer}", f"k{layer}"


def sizes_by_name(cells: Sequence[int], network: Network) -> dict[str, int]:
    """Every symbolic size of a network with these numbers of cells."""
    found = {dim(n): int(count) for n, count in enumerate(cells)}
    for layer, shared in enumerate(network.convolutions, start=1):
        if shared is not None:
            channels, size = synapse_dims(network, layer)
            found |= {channels: shared.channels, size: shared.patches.size}
            found[places_of(layer)] = shared.patches.positions
    return found


@dataclass(frozen=True, eq=False)
class SharedMatrix(Value):
    """A matrix of shared synapses: `M @ v` of a layer's cells acts at every position.

    Channels by patch cells takes the cells below to those of the layer; the transposed shape takes the
    layer's back, and adds up what returns to a cell from all patches that it belongs to.
    """

    layer: int
    shared: Convolution

    def _new(self, number: int) -> Value:
        dims = self.builder.shape(number)
        if len(dims) == 2 and not is_grid(dims):
            return SharedMatrix(self.builder, number, self.layer, self.shared)
        return Value(self.builder, number)

    def __matmul__(self, vector: Value) -> Value:
        b, layer = self.builder, self.layer
        upwards = self.dims[0] == f"c{layer}"
        if vector.dims != (dim(layer - 1 if upwards else layer),):
            raise TypeError(f"shared synapses of layer {layer} cannot be applied to {vector.dims}")
        if upwards:
            grid = patches_of(b, vector, layer, self.shared)
            return Value(b, b.flat(super().__matmul__(grid).number, dim(layer)))
        grid = grid_of(b, vector, layer)
        found = super().__matmul__(grid)
        return Value(b, b.overlap(found.number, self.shared.patches, dim(layer - 1)))


def patches_of(b: Builder, cells: Value, layer: int, shared: Convolution) -> Value:
    """The patches of the layer below, at every position of a convolution's layer."""
    return Value(b, b.patches(cells.number, shared.patches, (places_of(layer), f"k{layer}")))


def grid_of(b: Builder, cells: Value, layer: int) -> Value:
    """A convolution's layer with its channels at every position."""
    return Value(b, b.grid(cells.number, (places_of(layer), f"c{layer}")))


def synapses(b: Builder, slot: Slot, layer: int, network: Network, back: bool = False) -> Value:
    """A matrix of the synapses into a layer, or of synapses `back` from it to the layer below."""
    rows, columns = synapse_dims(network, layer)
    number = b.input(slot, (columns, rows) if back else (rows, columns))
    shared = convolution_into(network, layer)
    return Value(b, number) if shared is None else SharedMatrix(b, number, layer, shared)


def weights_into(b: Builder, layer: int, network: Network) -> Value:
    """W of the synapses that enter postsynaptic layer `layer` (from 1)."""
    return synapses(b, Slot(Kind.weights, layer - 1), layer, network)
