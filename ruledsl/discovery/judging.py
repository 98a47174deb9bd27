"""What was found, on classes that the search never saw, beside rules that people wrote, trained as long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ruledsl.backend import compile_rule
from ruledsl.discovery.search import REFIT_SEED, Candidate, Hunt
from ruledsl.evidence import refuse_edited_document, write_sealed
from ruledsl.meta import MetaTrainer
from ruledsl.runs import Run, Spec
from ruledsl.selection import Stage, Support, train_groups
from ruledsl.statistics import Interval
from ruledsl.storage import read_json
from ruledsl.studies import specify
from ruledsl.tasks import ImageSource
from ruledsl.wording import counted

BASELINES = {
    "backprop": ("pseudo_gradient", {"feedback": "symmetric"}),
    "feedback alignment": ("pseudo_gradient", {"feedback": "fixed"}),
    "bio": ("bio", {"feedback": "fixed"}),
}
"""Rules that people wrote; backprop carries errors by the transposed weights, which no brain can."""


@dataclass(frozen=True)
class Judged:
    """A rule with Θ from several seeds, and its accuracy by seed on each part of the classes."""

    name: str
    terms: Support
    theta: Mapping[str, Interval]
    accuracy: Mapping[str, dict[int, float]]
    round: int = -1

    def mean(self, part: str) -> Interval:
        return Interval.of(self.accuracy[part].values())

    def beside(self, other: Judged, part: str) -> Interval:
        """The difference in accuracy on the same tasks, seed by seed."""
        return Interval.minus(self.accuracy[part], other.accuracy[part], paired=True)


def refitted(hunt: Hunt, chosen: Sequence[Candidate], parts: Mapping[str, ImageSource]) -> list[Judged]:
    """Finalists trained on from what the search found, without penalty, with seeds of their own; judged."""
    groups = [c.terms for c in chosen]
    warm, episodes = [c.theta for c in chosen], hunt.plan.refit_episodes
    found = _judged(hunt, "refits", hunt.base, groups, warm, episodes, parts)
    return [
        replace(judged, name=f"rule-{n}", round=c.round)
        for n, (judged, c) in enumerate(zip(found, chosen, strict=True), start=1)
    ]


def baselines(hunt: Hunt, parts: Mapping[str, ImageSource]) -> list[Judged]:
    """What people wrote, trained from its start for as many episodes as lie behind any found rule; judged."""
    found = []
    for name, (rule, own) in BASELINES.items():
        base = specify(rule, **{**hunt.given, **own})
        stage = f"baseline-{name.replace(' ', '-')}"
        judged = _judged(hunt, stage, base, [base.rule.names], [{}], hunt.plan.longest, parts)
        found.append(replace(judged[0], name=name))
    return found


def _judged(
    hunt: Hunt,
    name: str,
    base: Spec,
    groups: Sequence[Support],
    warm: Sequence[Mapping[str, float]],
    episodes: int,
    parts: Mapping[str, ImageSource],
) -> list[Judged]:
    plan = hunt.plan
    first = hunt.first_seed + REFIT_SEED
    seeds = range(first, first + plan.refit_seeds)
    stage = Stage(name, f"{counted(len(groups), 'rule')}, to be judged", episodes)
    trained = train_groups(
        Run(hunt.out / name), base, groups, warm, seeds, stage.episodes, lambda r: hunt.listen(stage, r),
        hunt.crews,
    )  # fmt: skip
    run = trained[0][0]
    learned = {r["run"]: r["theta"] for r in run.result["runs"]}
    found = _accuracy(hunt.out / f"{name}.json", run, learned, parts, plan.judged_tasks).items()
    return [
        Judged(
            "",
            terms,
            {t: Interval.of([float(learned[n][t] or 0.0) for n in own]) for t in terms},
            {part: {s: by_run[str(n)] for s, n in zip(seeds, own, strict=True)} for part, by_run in found},
        )
        for terms, (_, own) in zip(groups, trained, strict=True)
    ]


def _accuracy(
    path: Path,
    run: Run,
    learned: Mapping[int, Mapping[str, float]],
    parts: Mapping[str, ImageSource],
    tasks: int,
) -> dict[str, dict[str, float]]:
    """By part and run: mean accuracy on tasks that no training saw. Kept, so that it is computed once."""
    if not path.is_file():
        names, settings = run.config.terms, run.config.settings
        runs = [
            replace(spec, initial=tuple(float(learned[spec.run][name] or 0.0) for name in names))
            for spec in run.config.runs
        ]
        rule = compile_rule(run.trained_rule())
        found: dict[str, dict[str, float]] = {}
        for part, source in parts.items():
            judged = MetaTrainer(rule, settings, runs, source).judge_fresh(tasks)
            found[part] = {str(n): value for n, value in judged.items()}
        write_sealed(path, {"accuracy": found})
    refuse_edited_document(path)
    return read_json(path)["accuracy"]
