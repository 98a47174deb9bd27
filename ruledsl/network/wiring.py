"""Settings to programs: the network they describe, and which objectives are paid when."""

from __future__ import annotations

from dataclasses import replace

from ruledsl.compiler import RuleProgram
from ruledsl.errors import PluginError, SettingsError
from ruledsl.ir import Kind, Slot
from ruledsl.network.programs import StepPrograms, programs_for
from ruledsl.network.shared import synapse_dims
from ruledsl.registry import find
from ruledsl.settings import Network, TrainSettings

Objectives = tuple[tuple[str, float], ...]


def endings_of(settings: TrainSettings) -> Objectives:
    """The objectives that look at adapted networks."""
    return tuple((name, weight) for name, weight in settings.objective if not paid_at_samples(name))


def variants_of(settings: TrainSettings) -> list[TrainSettings]:
    """Settings apart by the networks that their objectives judge: those that learn as the settings say come
    first.

    An objective declared with `network={…}` judges networks that learned under these changes. Each variant
    has the objectives that belong to it.
    """
    grouped: dict[tuple[tuple[str, float], ...], list[tuple[str, float]]] = {}
    for name, weight in settings.objective:
        changes = find("objective", name).options.get("network", {})
        if changes and paid_at_samples(name):
            raise PluginError(
                f"objective `{name}` is paid at every sample; it cannot ask for a network of its own"
            )
        grouped.setdefault(tuple(sorted(changes.items())), []).append((name, weight))
    try:
        return [
            settings.having(objective=tuple(grouped[changes]), **dict(changes))
            for changes in sorted(grouped, key=len)
        ]
    except SettingsError as error:
        raise PluginError(f"an objective asks for a network that cannot be: {error}") from None


def network_of(settings: TrainSettings) -> Network:
    """The wiring, with the objectives that are paid at every sample and what synapses share.

    Raises `PluginError` for shared synapses of cells that are excitatory or inhibitory: a weight keeps its
    cell's sign, and a shared one would have several.
    """
    costs = tuple((name, weight) for name, weight in settings.objective if paid_at_samples(name))
    if settings.convolutions and settings.network.inhibitory:
        raise PluginError("cells of a convolution are not excitatory or inhibitory; leave out --inhibitory")
    return replace(settings.network, costs=costs, convolutions=settings.convolutions)


def paid_at_samples(objective: str) -> bool:
    return find("objective", objective).options.get("when", "end") == "sample"


def programs_of(rule: RuleProgram, settings: TrainSettings) -> StepPrograms:
    """The programs of a rule in the network that settings describe.

    Raises `PluginError` when the rule trains what the network has not.
    """
    network, depth = network_of(settings), settings.depth
    if rule.trains("bias") and not network.bias:
        raise PluginError("the rule has terms for `bias`; give the network biases with --bias")
    if rule.trains("B"):
        reading = programs_for(without_feedback_terms(rule), depth, replace(network, costs=())).matrices
        layered = {Slot(Kind.feedback, n): synapse_dims(network, n + 1)[::-1] for n in range(depth)}
        if any(reading.get(name) != dims for name, dims in layered.items()):
            raise PluginError(
                f"the rule has terms for `B`, the feedback weights from layer to layer, which "
                f"`--feedback {network.feedback}` does not read; `fixed` does"
            )
    return programs_for(rule, depth, network)


def without_feedback_terms(rule: RuleProgram) -> RuleProgram:
    """The rule as it moves W and the biases."""
    return replace(rule, others=tuple(o for o in rule.others if o.target != "B"))
