"""Every shipped rule, pathway, activation, objective and option: time beside `bio`, and exactness."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import torch
from torch import Tensor

from benchmarks.page import write_page
from benchmarks.quiet import Watch
from benchmarks.timing import seconds
from ruledsl import CompiledRule, TrainSettings, compile_rule, load, meta_gradient
from ruledsl.engines import MetaGradient
from ruledsl.language import packaged_folders
from ruledsl.network import endings_of, programs_of, variants_of
from ruledsl.registry import names_of
from ruledsl.rules import apart
from ruledsl.tasks import Episode, ImageSource, draw_episodes, open_dataset

BATCH = 8
SMALL = {"sizes": (784, 12, 10, 8, 47), "shots": 6}
"""What autograd differentiates in a second: thirty samples."""
OPTIONS: dict[str, tuple[str, TrainSettings, str]] = {
    "biases": ("bio", TrainSettings.of(bias=True), "network"),
    "Dale": ("bio", TrainSettings.of(inhibitory=0.2), "network"),
    "Dale, a Θ per population": ("bio", TrainSettings.of(inhibitory=0.2), "population"),
    "a Θ per layer": ("bio", TrainSettings.of(), "layer"),
    "noise on the feedback": ("bio", TrainSettings.of(feedback_noise=0.1), "network"),
    "linear output": ("bio", TrainSettings.of(output="linear"), "network"),
}


@dataclass(frozen=True)
class Timed:
    """A case on a batch of streams, ready to be differentiated."""

    rule: CompiledRule
    settings: TrainSettings
    work: Episode
    theta: Tensor

    @classmethod
    def of(cls, name: str, settings: TrainSettings, per: str, source: ImageSource) -> Timed:
        settings = variants_of(settings)[0]
        rule = compile_rule(apart(load(name), per, len(settings.sizes) - 1))
        programs = programs_of(rule.program, settings)
        needs = programs.needs(settings.sizes)
        work = draw_episodes(needs, settings, source, [(seed, 0, 0) for seed in range(BATCH)])
        first = [c.startswith("pseudo_gradient") for c in programs.coefficient_names]
        theta = torch.tensor([1e-3 if f else 1e-6 for f in first], dtype=work.W[0].dtype)
        return cls(rule, settings, work, theta.expand(BATCH, -1))

    def differentiated(self, engine: str, backend: str) -> MetaGradient:
        network = programs_of(self.rule.program, self.settings).network
        return meta_gradient(
            self.rule, self.theta, self.work, network, engine=engine, backend=backend,  # type: ignore[arg-type]
            objectives=endings_of(self.settings),
        )  # fmt: skip

    def seconds(self) -> float:
        """Of the batch, once."""
        return seconds(lambda: self.differentiated("auto", "compiled"), 1)

    def errors(self) -> tuple[float, float]:
        """Largest relative errors of gradients, against autograd through the step in float64: of the compiled
        one, and of autograd's in the case's own precision."""
        true = replace(self, work=doubled(self.work), theta=self.theta.double()).by_autograd()
        ours = self.differentiated("auto", "compiled").grad
        return _apart(ours, true), _apart(self.by_autograd(), true)

    def by_autograd(self) -> Tensor:
        return self.differentiated("autograd", "eager").grad


def _apart(found: Tensor, true: Tensor) -> float:
    return float(((found - true).norm(dim=-1) / true.norm(dim=-1)).max())


def doubled(work: Episode) -> Episode:
    """The same numbers in float64."""

    def double(value: Tensor) -> Tensor:
        return value.double() if value.is_floating_point() else value

    x_query, y_query = work.queries
    return replace(
        work, W=[double(w) for w in work.W], B={n: double(b) for n, b in work.feedback.items()},
        x=double(work.x), y=double(work.y), x_query=double(x_query), y_query=double(y_query),
        signals={n: double(s) for n, s in work.signals.items()},
    )  # fmt: skip


def cases() -> Iterator[tuple[str, str, TrainSettings, str]]:
    """(label, rule, settings, Θ per …)."""
    for name in (path.stem for path in sorted(packaged_folders()[0].glob("*.rule"))):
        yield f"rule {name}", name, TrainSettings.of(bias=name == "biased"), "network"
    for name in names_of("feedback"):
        yield f"feedback {name}", "bio", TrainSettings.of(feedback=name), "network"
    for name in names_of("activation"):
        # tanh of ten times its argument makes streams chaotic: there no two ways of computing agree.
        beta = 1.0 if name == "tanh" else 10.0
        yield f"activation {name}", "bio", TrainSettings.of(activation=name, beta=beta), "network"
    for name in names_of("objective"):
        yield f"objective {name}", "bio", TrainSettings.of(objective=((name, 1.0),)), "network"
    for label, (name, settings, per) in OPTIONS.items():
        yield label, name, settings, per


@dataclass(frozen=True)
class Measured:
    """A case beside `bio`: seconds an episode of each, and largest relative errors of gradients."""

    label: str
    engine: str
    ours: float
    bio: float
    error64: float
    error32: float
    autograd32: float
    """That of autograd in float32: what rounding does to this case."""

    def text(self) -> str:
        times = f"{self.ours * 1e3:.0f} | {self.ours / self.bio:.2f}"
        errors = f"{self.error64:.0e} | {self.error32:.0e} | {self.autograd32:.0e}"
        return f"| {self.label} | {self.engine} | {times} | {errors} |"


def measured(source: ImageSource, only: str = "") -> Iterator[Measured]:
    """Every case whose label begins so."""
    bio = Timed.of("bio", TrainSettings.of(), "network", source)
    for case in cases():
        if case[0].startswith(only):
            yield _measured(*case, source, bio)


def _measured(
    label: str, name: str, settings: TrainSettings, per: str, source: ImageSource, bio: Timed
) -> Measured:
    case = Timed.of(name, settings, per, source)
    engine = case.differentiated("auto", "compiled").engine
    # By turns: the machine may be slower in one minute than in the next.
    turns = [(case.seconds(), bio.seconds()) for _ in range(3)]
    ours, base = (min(each) for each in zip(*turns, strict=True))
    exact, rounded = (
        Timed.of(name, settings.put(dtype=dtype, **SMALL), per, source).errors()
        for dtype in ("float64", "float32")
    )
    return Measured(label, engine, ours / BATCH, base / BATCH, exact[0], *rounded)


@click.command()
@click.option("--dataset", default="emnist-bymerge/test", show_default=True)
@click.option("--data-root", default="data", show_default=True)
@click.option("--only", default="", help="Rows whose label begins with this.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Also write the table here.")
def main(dataset: str, data_root: str, only: str, out: Path | None) -> None:
    """Measure every row and print one table."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    watch = Watch()
    watch.warn()
    source = open_dataset(dataset, Path(data_root))
    lines = [
        "# Every part of the language, compiled",
        "",
        f"An episode's loss and exact meta-gradient: 250 samples, {BATCH} streams at once, networks",
        "784-170-130-100-70-47, beside `bio`'s by turns in the same minute. Errors: the largest relative",
        "error of a gradient among the streams against autograd through the step in float64, 30 samples,",
        "fewer cells; in the last column that of autograd in float32.",
        "",
        "| case | engine | ms an episode | × bio | float64 | float32 | autograd, float32 |",
        "|---|---|---|---|---|---|---|",
    ]
    for found in measured(source, only):
        lines.append(found.text())
        click.echo(lines[-1], err=True)
    write_page("language", [*lines, "", watch.said()], out)


if __name__ == "__main__":
    main()
