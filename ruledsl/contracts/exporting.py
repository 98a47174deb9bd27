"""The contract of targets: a text, always the same, that says which rule it is, and Θ."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ruledsl.contracts.toy import hold
from ruledsl.exports import Subject, subject_of
from ruledsl.registry import Registered


def _subject() -> Subject:
    return subject_of("bio", {"error_hebb": 0.0625}, sizes="9-5-3")


def writes_text(plugin: Registered) -> None:
    """Text, and the same text twice."""
    found = [plugin.item(_subject()) for _ in range(2)]
    hold(isinstance(found[0], str) and bool(found[0].strip()), f"it gives {type(found[0]).__name__}, no text")
    hold(found[0] == found[1], "the same rule is written differently the second time")


def names_everything(plugin: Registered) -> None:
    """Whoever reads the file learns the rule's name, its coefficients and their values."""
    text = plugin.item(_subject())
    for name in ("bio", *_subject().names, "0.0625"):
        hold(name in text, f"the text does not say `{name}`")


CONTRACTS: dict[str, Mapping[str, Callable[[Registered], None]]] = {
    "target": {
        "it gives the same text every time": writes_text,
        "it names the rule, its coefficients and their values": names_everything,
    },
}
