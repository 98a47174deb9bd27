"""The contract of proposers: rules that are new, as text that parses, the same when asked the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ruledsl.contracts.scene import toy_scene
from ruledsl.contracts.toy import hold
from ruledsl.discovery import WAYS, Idea
from ruledsl.ir import Locality
from ruledsl.registry import Registered
from ruledsl.rules import rule


def _ideas(plugin: Registered, seed: int = 0) -> list[Idea]:
    return list(plugin.item(toy_scene(seed)))


def proposes_rules(plugin: Registered) -> None:
    """Text that parses, of terms that are allowed, and settings that exist."""
    ideas = _ideas(plugin)
    hold(bool(ideas), "it proposes nothing")
    for idea in ideas:
        hold(isinstance(idea, Idea), f"it gives {type(idea).__name__}, no `Idea`")
        rule(idea.text, Locality.axon)
        unknown = set(idea.ways) - set(WAYS)
        hold(not unknown, f"it changes {', '.join(sorted(unknown))}; only {' and '.join(WAYS)} may change")


def proposes_others(plugin: Registered) -> None:
    """None is a rule that it was given."""
    scene = toy_scene()
    known = {rule(p.idea(p.terms, "").text).identity for p in scene.parents}
    for idea in plugin.item(scene):
        same = rule(idea.text).identity in known and not idea.ways
        hold(not same, f"it proposes a rule that it was given: {idea.text}")


def repeats_itself(plugin: Registered) -> None:
    hold(_ideas(plugin) == _ideas(plugin), "the same scene gives other ideas a second time")


CONTRACTS: dict[str, Mapping[str, Callable[[Registered], None]]] = {
    "proposer": {
        "it proposes rules that are allowed": proposes_rules,
        "it proposes none that it was given": proposes_others,
        "it proposes the same when asked the same": repeats_itself,
    },
}
