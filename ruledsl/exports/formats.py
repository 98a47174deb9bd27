"""`export`: a rule in another language, in a file of its own, with proof that its numbers are the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ruledsl.errors import SettingsError
from ruledsl.exports.brian import brian_file
from ruledsl.exports.cost import cost_of
from ruledsl.exports.documents import latex_file, markdown_file
from ruledsl.exports.episodes import JAX, NUMPY, episode_file
from ruledsl.exports.header import UNVERIFIED
from ruledsl.exports.lava import lava_file, measure_lava, prove_lava
from ruledsl.exports.nestml import nestml_file, prove_nestml
from ruledsl.exports.optimisers import optimiser_file
from ruledsl.exports.proofs import prove_brian, prove_jax, prove_numpy, prove_torch
from ruledsl.exports.refusal import NotExpressible
from ruledsl.exports.subject import Subject, subject_of
from ruledsl.language import closest
from ruledsl.registry import find, names_of
from ruledsl.rules import Rule
from ruledsl.runs import Run
from ruledsl.settings import MEASURED
from ruledsl.storage import write_text

Writer = Callable[[Subject, str], str]


@dataclass(frozen=True)
class Format:
    """A language to export to: how a file is written, and how it is held against ruledsl."""

    write: Writer
    """(subject, what was verified) → the text of the file."""
    prove: Writer | None = None
    """(subject, text) → what was verified, in a sentence. None for what computes nothing."""
    measure: Callable[[Subject, Mapping[str, Any]], str] | None = None
    """(subject, data) → what the file's numbers cost, where they are not ruledsl's."""


FORMATS: Mapping[str, Format] = {
    "numpy": Format(partial(episode_file, NUMPY), prove_numpy),
    "jax": Format(partial(episode_file, JAX), prove_jax),
    "torch": Format(optimiser_file, prove_torch),
    "brian2": Format(brian_file, prove_brian),
    "nestml": Format(nestml_file, prove_nestml),
    "lava": Format(lava_file, prove_lava, measure_lava),
    "latex": Format(latex_file),
    "markdown": Format(markdown_file),
}


def export(
    what: str | Path | Rule | Run,
    to: str,
    *,
    out: str | Path | None = None,
    theta: Mapping[str, float] | str | None = None,
    verify: bool = True,
    measure: bool = False,
    **given: Any,
) -> str:
    """A rule as a file of another language that needs nothing of ruledsl.

    Args:
        what: a rule, a name or file of one, or a run folder, whose Θ and network are then the default.
        to: `numpy`, `jax`, `torch`, `brian2`, `nestml`, `lava`, `latex`, `markdown`, or a target plugin.
        out: where the file is written as well.
        theta: coefficients by name, or as text `NAME=VALUE,…`.
        verify: run the file on random networks and compare, before it is given; its header says what was
            found. Without, the header says that nobody did.
        measure: where a term is refused, say what it costs to leave it out, and where coefficients are
            rounded, what that does: accuracy with and without, on the `dataset` (and `data_root`) given.
        **given: `sizes`, and settings of the network, as keywords of `ruledsl.train`.

    Returns:
        The text.

    Raises:
        NotExpressible: the language has no way to say it; the message names the factor.
        RuleError, RunError, SettingsError, MissingExtra: the rule cannot be used, or nothing to verify it by
            is installed.

    >>> import ruledsl
    >>> text = ruledsl.export("bio", "numpy", sizes="49-10-5")
    >>> [line for line in text.splitlines() if "Verified" in line][0]
    '# Verified against ruledsl.adapt:'
    """
    form = _format(to)
    data = {name: given.pop(name) for name in MEASURED if measure and name in given}
    subject = subject_of(what, theta, **given)
    try:
        text = form.write(subject, UNVERIFIED)
    except NotExpressible as refusal:
        if not measure:
            raise
        raise refusal.costing(cost_of(subject, lambda s: form.write(s, UNVERIFIED), data)) from None
    said = [form.prove(subject, text)] if verify and form.prove is not None else []
    said += [form.measure(subject, data)] if measure and form.measure is not None else []
    text = form.write(subject, "\n".join(said)) if said else text
    if out is not None:
        write_text(Path(out), text)
    return text


def _format(name: str) -> Format:
    """A built-in language, or that of a plugin. Raises `SettingsError` when there is none of this name."""
    if name in FORMATS:
        return FORMATS[name]
    known = [*FORMATS, *names_of("target")]
    if name not in known:
        close = closest(name, known)
        hint = f"did you mean `{close}`?" if close else f"choose one of {', '.join(known)}"
        raise SettingsError(f"there is no export to `{name}`; {hint}")
    plugin = find("target", name)
    return Format(lambda subject, _: plugin.item(subject))
