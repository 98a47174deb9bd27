"""`train`: one call from a rule to a run folder."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ruledsl.progress import TrainingProgress
from ruledsl.rules import Rule
from ruledsl.runs import Run, Spec, refuse_used
from ruledsl.settings import OPTIONS
from ruledsl.studies.crews import crews, portioned
from ruledsl.studies.places import HERE
from ruledsl.studies.specify import check_writable, default_folder, specify


class RuleWarning(UserWarning):
    """Something about a rule that does not keep it from being trained."""


def keywords(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function that passes `**given` to `specify` the signature and the documentation of the table."""
    own = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
    more = [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=s.default) for n, s in OPTIONS.items()
    ]
    function.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
    rows = [f"        {n}: {s.help} {s.check.expected[0].upper()}{s.check.expected[1:]}. Default: "
            f"{s.shown_default or repr(s.default)}." for n, s in OPTIONS.items()]  # fmt: skip
    function.__doc__ = (function.__doc__ or "").replace(
        "        **given:", "\n".join([*rows, "        **given:"])
    )
    return function


@keywords
def train(
    rule: str | Path | Rule | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    progress: bool = True,
    executor: str = HERE,
    started: Callable[[Run, Spec], None] | None = None,
    **given: Any,
) -> Run:
    """Meta-learn the coefficients Θ of a rule (Algorithm 1) in a run folder.

    Args:
        rule: a `Rule`, `FILE`, `FILE:NAME`, a name on the search path, or several of them (the union of their
            terms).
        out: the run folder; by default `runs/RULE-DATE`.
        progress: show a line of progress, in a terminal, a notebook or a log.
        executor: where the streams of a meta-step are computed, `processes:4` say, `at_once` of them at a
            time; see docs/cluster.md. Not even the last bit depends on how many workers there are.
        started: told of the run, and of what it is made from, before its first episode.
        **given: as above.

    Returns:
        The run, finished, or stopped by Ctrl-C: then `Run.state` is `started`, and `Run.resume` goes on.

    Raises:
        UserError: the rule, the data, a setting or the folder cannot be used. Nothing was made then.

    >>> import ruledsl, tempfile
    >>> small = dict(sizes="49-10-47", labels=3, shots=4, queries=3, episodes=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = ruledsl.train("bio", out=f"{folder}/run", progress=False, **small)
    ...     list(run.theta)
    ['pseudo_gradient', 'error_hebb', 'oja_subspace']
    """
    if out is not None:
        check_writable(Path(out))
        refuse_used(Path(out))
    given["at_once"] = portioned(executor, given.get("at_once", 0))
    spec = specify(rule, Path(out) if out is not None else None, **given)
    run = Run(Path(out) if out is not None else default_folder(spec.rule.name))
    check_writable(run.folder)
    for warning in spec.rule.warnings:
        warnings.warn(warning.render(), RuleWarning, stacklevel=2)

    def begun() -> None:
        if started is not None:
            started(Run(run.folder), spec)

    episodes = spec.config.settings.episodes
    with crews(executor) as hired, TrainingProgress(spec.config.terms, episodes, not progress) as listen:
        run.start(spec, listen, begun=begun, crews=hired)
    return Run(run.folder)
