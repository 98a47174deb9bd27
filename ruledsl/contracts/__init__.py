"""What every plugin of a kind must keep: shapes, batches, determinism, gradients, restored states,
and progress."""

from ruledsl.contracts.scene import toy_scene
from ruledsl.contracts.toy import SETTINGS, Check, batch_of, guarded, theta_of, toy_rule, toy_source
from ruledsl.registry import Registered


def run_contract(plugin: Registered) -> list[Check]:
    """The checks of a plugin's kind, in order; one that raises is a check that failed."""
    from ruledsl.contracts import analyses, exporting, networks, places, proposing, searches

    modules = (networks, searches, places, exporting, analyses, proposing)
    contracts = {kind: checks for module in modules for kind, checks in module.CONTRACTS.items()}
    return [guarded(what, check, plugin) for what, check in contracts[plugin.kind].items()]


__all__ = ["SETTINGS", "Check", "batch_of", "run_contract", "theta_of", "toy_rule", "toy_scene", "toy_source"]
