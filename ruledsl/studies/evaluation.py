"""`evaluate`: Fig. 1 for any rule and any Θ."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruledsl.backend import compile_rule
from ruledsl.figures import Colour, Curve, Guide, Panel, draw_panels
from ruledsl.meta import LearningCurve, learning_curve
from ruledsl.progress import Line
from ruledsl.rules import Rule
from ruledsl.runs import Run, use_threads
from ruledsl.statistics import Interval, intervals
from ruledsl.storage import make_folder, write_text
from ruledsl.studies.found import coefficients_of, run_of, settings_of
from ruledsl.studies.specify import specify
from ruledsl.wording import counted

SEEDS = 3


@dataclass(frozen=True)
class Evaluation:
    """How naive networks learn by a rule with a fixed Θ: accuracy against samples seen, by seed.

    >>> import ruledsl
    >>> small = dict(sizes="49-10-47", samples=5, test_images=47, seeds=2, progress=False)
    >>> [len(row) for row in ruledsl.evaluate("oja", **small).curve.accuracy]
    [5, 5]
    """

    title: str
    theta: dict[str, float]
    seeds: range
    curve: LearningCurve
    chance: float

    @property
    def accuracy(self) -> list[Interval]:
        """At each of `curve.samples`, over seeds."""
        return intervals(self.curve.accuracy)

    def panel(self) -> Panel:
        """Accuracy from the first point on, a logarithmic axis of samples as in Fig. 1."""
        rows = [list(row) for row in self.curve.accuracy]
        curve = Curve.of("accuracy", rows, Colour(), self.curve.samples)
        end = self.accuracy[-1].text(".3f")
        return Panel(
            "", "samples seen, one at a time", "accuracy on held-out images (fraction)", (curve,),
            limits=(0.0, 1.0),
            log_x=True, guides=(Guide(self.chance, f"chance, {self.chance:.3g}"),), summary=f"Accuracy at "
                f"the end: {end}.",
        )  # fmt: skip

    def plot(self, folder: str | Path) -> list[Path]:
        """Draw the curve into a folder, PNG and PDF; the paths."""
        return draw_panels(make_folder(Path(folder)) / "learning_curve.png", self.title, [self.panel()])

    def save(self, folder: str | Path) -> Path:
        """Write the numbers as CSV into a folder; the path."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["seed", "samples", "accuracy"])
        for seed, row in zip(self.seeds, self.curve.accuracy, strict=True):
            writer.writerows([seed, n, repr(value)] for n, value in zip(self.curve.samples, row, strict=True))
        path = make_folder(Path(folder)) / "learning_curve.csv"
        write_text(path, text.getvalue())
        return path


def evaluate(
    rule: str | Path | Rule | Run,
    *,
    theta: Mapping[str, float] | str | None = None,
    samples: int = 8000,
    classes: int = 0,
    test_images: int = 1000,
    seeds: int = SEEDS,
    progress: bool = True,
    **given: Any,
) -> Evaluation:
    """Train naive networks online with a fixed Θ: accuracy against samples seen, over seeds.

    Args:
        rule: a rule, or a run (or its folder), whose Θ, network and data are taken unless others are given.
        theta: coefficients by name, or as text `NAME=VALUE,…`; by default the rule's own, or those the run
            learned.
        samples: length of the stream. classes: how many to learn, 0 for all. test_images: held out, over all
            classes.
        seeds: how many networks, each with its own classes, weights and images.
        progress: show a line of progress.
        **given: keywords of `train` that concern the network and the data.

    Raises:
        UserError: the rule, the data, a coefficient or a setting cannot be used.

    >>> import ruledsl
    >>> small = dict(sizes="49-10-47", samples=20, test_images=47, seeds=1, progress=False)
    >>> ruledsl.evaluate("backprop", theta={"pseudo_gradient": 0.01}, **small).curve.samples[-1]
    20
    """
    run = run_of(rule)
    if run is not None:
        given = {**settings_of(run), **given}
    given = {name: value for name, value in given.items() if value is not None}
    # A task is not drawn here: the smallest there is must fit whatever data there are.
    spec = specify(run.rule if run else rule, labels=1, shots=1, queries=1, **given)  # type: ignore[arg-type]
    settings, source = spec.config.settings, spec.source
    coefficients = coefficients_of(spec.rule, settings, run, theta)
    use_threads(settings.threads)
    numbers = range(given.get("seed", 0), given.get("seed", 0) + seeds)
    with Line("sample", samples, not progress) as line:
        curve = learning_curve(
            compile_rule(spec.rule), list(coefficients.values()), settings, source, numbers, samples,
            classes, test_images,
            lambda seen: line.tell(seen, "learning"),
        )  # fmt: skip
    title = (
        f"{spec.rule.name} on {spec.config.dataset}, feedback {settings.network.feedback}, "
        f"{counted(seeds, 'seed')}"
    )
    return Evaluation(title, coefficients, numbers, curve, 1 / (classes or source.classes))
