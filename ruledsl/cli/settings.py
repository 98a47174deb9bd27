"""Options to settings, with messages for values that cannot be."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch

from ruledsl.compiler import check_layers
from ruledsl.ir.kinds import LOCALITY_NAMES
from ruledsl.language import closest, split_spec
from ruledsl.pipeline import Rule, load
from ruledsl.registry import find


class SettingsError(Exception):
    """Options that do not fit together."""


def read_sizes(text: str) -> tuple[int, ...]:
    """`784-170-47` as numbers; at least an input and an output layer."""
    parts = text.replace(",", "-").split("-")
    if len(parts) < 2 or not all(p.isascii() and p.isdigit() and int(p) > 0 for p in parts):
        raise SettingsError(f"--sizes needs at least two positive numbers such as 784-170-47, not `{text}`")
    return tuple(int(p) for p in parts)


def read_numbers(text: str, option: str) -> tuple[float, ...]:
    """`0,0.1,1` as numbers ≥ 0."""
    try:
        values = tuple(float(p) for p in text.split(","))
    except ValueError:
        raise SettingsError(f"{option} needs numbers such as 0,0.1,1, not `{text}`") from None
    if any(not 0 <= v < float("inf") for v in values):
        raise SettingsError(f"{option} needs finite numbers ≥ 0, not `{text}`")
    return values


def read_positive(value: float, option: str) -> float:
    """A finite number above 0."""
    if not 0 < value < float("inf"):
        raise SettingsError(f"{option} needs a positive number, not {value}")
    return value


def read_feedback(given: str | None, rule: Rule) -> str:
    """The pathway of the command line, else the rule's own, else `fixed`."""
    name = given or rule.definition.feedback or "fixed"
    find("feedback", name)
    return name


def read_objective(text: str) -> tuple[tuple[str, float], ...]:
    """`query + 0.1*activity` as names and weights."""
    found: dict[str, float] = {}
    for part in text.replace("-", "+-").split("+"):
        if not part.strip() and not found:
            continue
        weight, _, name = part.strip().rpartition("*")
        sign, name = (-1.0, name.strip()[1:]) if name.strip().startswith("-") else (1.0, name.strip())
        find("objective", name.strip())
        try:
            found[name.strip()] = sign * (float(weight) if weight else 1.0)
        except ValueError:
            raise SettingsError(f"--objective: `{weight}` is not a number; write `query + 0.1*activity`") from None
    if not found or not all(math.isfinite(w) for w in found.values()):
        raise SettingsError("--objective needs objectives with finite weights, such as `query + 0.1*activity`")
    return tuple(found.items())


NETWORK_OPTIONS = ("beta", "activation", "output", "bias", "third", "inhibitory", "feedback_noise", "init")
"""What `train` and `evaluate` let one choose of a network besides its sizes and its feedback."""


def network_settings(options: dict[str, Any]) -> dict[str, Any]:
    """The options that say how a network is wired, as settings."""
    find("activation", options["activation"])
    for option in ("inhibitory", "feedback_noise"):
        if not 0 <= options[option] < (1 if option == "inhibitory" else math.inf):
            raise SettingsError(f"--{option.replace('_', '-')} needs a number from 0, not {options[option]}")
    return {name: options[name] for name in NETWORK_OPTIONS} | {"beta": read_positive(options["beta"], "--beta")}


def read_device(name: str) -> str:
    """A device torch can use here."""
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(f"device `{name}` cannot be used: {str(error).splitlines()[0]}") from None
    return name


def read_coefficients(
    rule: Rule, text: str | None, option: str, names: tuple[str, ...] | None = None
) -> dict[str, float]:
    """`NAME=VALUE,…` as numbers; `names` are those of the rule unless given."""
    known = rule.names if names is None else names
    named: dict[str, float] = {}
    for part in text.split(",") if text else []:
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in known:
            near = closest(name, known)
            hint = f"; did you mean `{near}`?" if near else ""
            raise SettingsError(f"{option}: `{name}` is not a term of {rule.name}{hint}")
        try:
            named[name] = float(value)
        except ValueError:
            raise SettingsError(f"{option}: `{value}` is not a number") from None
        if not math.isfinite(named[name]):
            raise SettingsError(f"{option}: `{name}` needs a finite number, not {value}")
    return named


def read_rule(files: tuple[str, ...], name: str | None, allow: str, depth: int) -> Rule:
    """The rule that files and `--rule` mean, checked, with its layers inside the network."""
    specs = [f if name is None or split_spec(f)[1] else f"{f}:{name}" for f in files]
    rule = load(*specs, allow=LOCALITY_NAMES[allow])
    problems = check_layers(rule.program, depth)
    if problems:
        raise SettingsError("; ".join(problems))
    return rule


def default_folder(name: str, suffix: str | None = None) -> Path:
    """runs/NAME-DATE, never one that exists."""
    stem = f"{name.replace('+', '-')}-{suffix or time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = Path("runs") / stem, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{stem}-{number}"
    return folder
