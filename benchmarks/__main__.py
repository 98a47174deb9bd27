"""`python -m benchmarks`: every speed and memory claim, side by side in one run,
with its reference beside it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

import click
import torch

import ruledsl
from benchmarks import bandwidth, cuda, language, literal, memory
from benchmarks.quiet import Watch
from benchmarks.timing import seconds
from benchmarks.work import PAPER, WIDE, draw_work, small_theta
from ruledsl import CompiledRule, Episode, Network, TrainSettings
from ruledsl.engines import kernel_source
from ruledsl.meta import MetaTrainer
from ruledsl.network import programs_for
from ruledsl.settings import RunSpec
from ruledsl.tasks import open_dataset

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Row:
    figure: str
    ours: str
    reference: str
    value: float
    limit: str
    holds: bool | None


def rule(name: str) -> CompiledRule:
    return ruledsl.compile_rule(ruledsl.load(name))


def ours(name: str, work: Episode, repeats: int = 5) -> float:
    """Seconds per episode of the fast engine on a batch."""
    F, batch = rule(name), work.x.shape[0]
    theta = small_theta(len(F.names), batch)

    def run() -> None:
        result = ruledsl.meta_gradient(F, theta, work, engine="rebuild", backend="compiled")
        assert result.engine == "rebuild"

    run()
    return seconds(run, repeats) / batch


def literal_seconds(name: str) -> float:
    """Seconds per episode of the literal implementation: one network, all it can do."""
    F, work = rule(name), draw_work(1)
    theta = small_theta(len(F.names), 1)[0]
    expected = literal.meta_gradient(F.names, theta, work)[1]
    found = ruledsl.meta_gradient(F, theta[None], work, backend="compiled").grad[0]
    error = float((found - expected).norm() / expected.norm())
    assert error < 1e-3, f"the two do not compute the same gradient: {error}"
    return seconds(lambda: literal.meta_gradient(F.names, theta, work), 2)


def jax_seconds(batch: int) -> float | None:
    """Seconds per episode of the JAX reference, or None when JAX is not installed."""
    try:
        import jax  # pyright: ignore[reportMissingImports]

        from benchmarks import jax_reference
    except ImportError:
        return None
    work = draw_work(batch)
    theta = small_theta(10, batch)
    run = jax_reference.build(len(PAPER) - 1)
    given = jax_reference.arguments(work, theta)
    _, gradient = jax.block_until_ready(run(*given))
    found = ruledsl.meta_gradient(rule("pool"), theta, work, backend="compiled").grad
    expected = torch.tensor(gradient.tolist())
    error = float((found - expected).norm() / expected.norm())
    assert error < 1e-3, f"the two do not compute the same gradient: {error}"
    return seconds(lambda: jax.block_until_ready(run(*given)), 3) / batch


def roofline(sizes: tuple[int, ...], threads: int) -> float:
    """Seconds per episode if only bytes cost time: 6 reads and 3 read-and-writes of W, B or Λ a sample,
    at the bandwidth of the level that holds one run's W, B and Λ."""
    weights = 4 * sum(a * b for a, b in pairwise(sizes))
    read, write = bandwidth.measure(3 * weights / 1e6, threads)
    return 250 * (6 * weights / read + 3 * 2 * weights / write)


def _measured_by(script: str, environment: dict[str, str]) -> float:
    command = [sys.executable, "-c", script]
    return float(
        subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT).stdout
    )


def first_use() -> tuple[float, float]:
    """Seconds from nothing to the first gradient, and the same in a second process with the cache filled."""
    script = (
        "import time; t = time.perf_counter()\n"
        "import torch, ruledsl\n"
        "from benchmarks.work import draw_work, small_theta\n"
        "F = ruledsl.compile_rule(ruledsl.load('pool')); work = draw_work(1, 2); theta = small_theta(10, 1)\n"
        "t = time.perf_counter()\n"
        "ruledsl.meta_gradient(F, theta, work, backend='compiled')\n"
        "print(time.perf_counter() - t)"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "RULEDSL_CACHE": cache}
        times = [_measured_by(script, environment) for _ in range(2)]
    return times[0], times[1]


def training_seconds(engine: str, episodes: int, seeds: int) -> float:
    """Wall seconds per run and episode of `train pool` with everything around the gradient included."""
    settings = TrainSettings.of(episodes=500, engine=engine, meta_batch=1)
    source = open_dataset("glyphs", Path("data"))
    trainer = MetaTrainer(rule("pool"), settings, [RunSpec(n, n) for n in range(seeds)], source)
    trainer.step(0)
    started = time.perf_counter()
    for episode in range(1, episodes + 1):
        trainer.step(episode)
    return (time.perf_counter() - started) / (episodes * seeds)


def _ms(time: float) -> str:
    return f"{time * 1e3:.1f} ms"


def at_least(figure: str, mine: float, theirs: float, limit: float) -> Row:
    ratio = theirs / mine
    return Row(figure, f"{mine * 1e3:.1f} ms", f"{theirs * 1e3:.1f} ms", ratio, f"≥ {limit}×", ratio >= limit)


def at_most(figure: str, mine: str, theirs: str, value: float, limit: float) -> Row:
    return Row(figure, mine, theirs, value, f"≤ {limit}", value <= limit)


def reported(figure: str, mine: str, theirs: str, value: float) -> Row:
    return Row(figure, mine, theirs, value, "reported", None)


def gradients(threads: int) -> Iterator[Row]:
    """Time of a meta-gradient: against the references, the length of the stream, the width,
    and the machine."""
    eight = draw_work(8)
    pool8, bio8, one8 = (ours(n, eight) for n in ("pool", "bio", "feedback_alignment"))
    pool1 = ours("pool", draw_work(1))
    yield at_least("bio, batch of 8, per episode, against literal", bio8, literal_seconds("bio"), 60)
    yield at_least("pool, batch of 8, per episode, against literal", pool8, literal_seconds("pool"), 150)
    jax_times = {n: t for n in (1, 4, 8, 16) if (t := jax_seconds(n)) is not None}
    if jax_times:
        best = min(jax_times, key=lambda n: jax_times[n])
        yield at_least(f"pool, batch of 8, against jax at its best batch ({best})", pool8, jax_times[best], 5)
        yield at_least("pool, single episode, against jax single", pool1, jax_times[1], 1.2)
    alone = "pool against pseudo_gradient alone, batch of 8, which touches no weight of a pixel that is 0"
    yield reported(alone, f"{pool8 * 1e3:.1f} ms", f"{one8 * 1e3:.1f} ms", pool8 / one8)
    full = draw_work(8, zeros=0.0)
    for name, mine in (
        ("feedback_alignment", one8),
        ("error_hebb", ours("error_hebb", eight)),
        ("bio", bio8),
    ):
        other = ours(name, full)
        figure, a, b = f"{name}, batch of 8, against images without a pixel that is 0", _ms(mine), _ms(other)
        if name == "bio":
            yield reported(figure, a, b, mine / other)
        else:
            yield at_most(figure, a, b, mine / other, 0.5)
    long = ours("pool", draw_work(1, 2500), 2)
    longer = "2 500 samples against 250, time"
    yield at_most(longer, f"{long * 1e3:.0f} ms", f"{pool1 * 1e3:.1f} ms", long / pool1, 10.5)
    for figure, sizes, mine in (
        ("time over roofline, batch of 8", PAPER, pool8),
        ("width × 4, time over roofline, batch of 8", WIDE, ours("pool", draw_work(8, sizes=WIDE), 2)),
    ):
        bound = roofline(sizes, threads)
        yield at_most(figure, f"{mine * 1e3:.1f} ms", f"{bound * 1e3:.1f} ms", mine / bound, 1.3)


def memories(_: int) -> Iterator[Row]:
    """What an episode keeps, and the peak of the process."""
    programs = programs_for(rule("pool").program, 5, Network())
    source = kernel_source(programs, tuple(eight_sizes().items()), "float")
    trace = source.trace_length * 4 * 250 / 1e6
    yield at_most("saved activity, MB per 250 samples and run", f"{trace:.1f} MB", "–", trace, 25)
    peak, literal_peak = memory.peak_megabytes("compiled"), memory.peak_megabytes("literal")
    figure = "peak memory of one run above the idle process"
    yield at_most(figure, f"{peak:.0f} MiB", f"{literal_peak:.0f} MiB", peak / literal_peak, 0.333)
    peak_long = memory.peak_megabytes("compiled", 2500)
    yield reported("… with 2 500 samples", f"{peak_long:.0f} MiB", f"{peak:.0f} MiB", peak_long / peak)


def whole_trainings(_: int) -> Iterator[Row]:
    """Everything around the gradient, and the first use on a fresh machine."""
    before, now = training_seconds("autograd", 1, 8), training_seconds("auto", 20, 8)
    figure = "train pool --seeds 8, wall time per run and episode, against the autograd engine"
    yield at_least(figure, now, before, 10)
    cold, warm = first_use()
    figure = "first gradient: compiling, and from the cache in a second process"
    yield reported(figure, f"{cold:.1f} s", f"{warm:.2f} s", cold / warm)


def whole_language(_: int) -> Iterator[Row]:
    """Each shipped rule, pathway, activation, objective and option beside `bio`, and whether it is exact."""
    for found in language.measured(open_dataset("glyphs", Path("data"))):
        limit = 2.5 if found.engine == "rebuild" else 4.0
        figure, ratio = f"{found.label}, {found.engine}, against bio", found.ours / found.bio
        yield at_most(figure, _ms(found.ours), _ms(found.bio), ratio, limit)
        errors = (
            ("float64", found.error64, 1e-9, "–"),
            ("float32", found.error32, 1e-5, f"{found.autograd32:.0e}"),
        )
        for dtype, error, allowed, rounding in errors:
            figure = f"{found.label}: error of the gradient in {dtype}, in units of {allowed:.0e}"
            yield at_most(figure, f"{error:.0e}", rounding, error / allowed, 1.0)


def captured_episodes(_: int) -> Iterator[Row]:
    """CUDA graphs beside eager launches, where there is a device."""
    for t in cuda.timings():
        device = torch.cuda.get_device_name()
        figure = f"{device}, pool, batch of {t.batch}: captured episode against eager launches"
        yield reported(figure, f"{t.captured * 1e3:.2f} ms", f"{t.eager * 1e3:.2f} ms", t.eager / t.captured)


@click.command()
@click.option("--threads", default=0, help="CPU threads for every implementation (0: all).")
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Also write the table to this Markdown file."
)
def main(threads: int, out: Path | None) -> None:
    """Measure everything and print one table."""
    threads = threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    rows: list[Row] = []
    watch = Watch()
    watch.warn()
    for measurement in (gradients, memories, whole_trainings, whole_language, captured_episodes):
        for row in measurement(threads):
            rows.append(row)
            click.echo(
                f"{row.figure}: {row.ours} / {row.reference} → {row.value:.2f} ({row.limit})", err=True
            )
    table = report(rows, threads, watch.said())
    click.echo(table)
    if out:
        out.write_text(table, encoding="utf-8")


def eight_sizes() -> dict[str, int]:
    return {f"n{n}": size for n, size in enumerate(PAPER)}


def report(rows: list[Row], threads: int, quiet: str) -> str:
    """The table as Markdown, with the machine, whether it was `quiet`, and the command."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in cpu if line.startswith("model name")), "unknown")
    lines = [
        "# Speed and memory",
        "",
        "One run of `python -m benchmarks`; every row side by side in it. Work: 784-170-130-100-70-47, 250 "
        "samples,",
        "50 queries, float32, meta-gradient included, times per episode. `literal` is Algorithm 1 with "
        "autograd,",
        "each term its own full matrix (one network); `jax` is jit + scan + vmap of the factored ten-term "
        "step.",
        "Both gave our gradient before they were timed. Errors are against autograd in float64; beside",
        "one in float32 stands that of autograd in float32.",
        "",
        "| figure | ours | reference | ratio | asked | holds |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        holds = "" if row.holds is None else "yes" if row.holds else "**no**"
        lines.append(
            f"| {row.figure} | {row.ours} | {row.reference} | {row.value:.2f} | {row.limit} | {holds} |"
        )
    lines += [
        "",
        quiet,
        "",
        f"{date.today().isoformat()}; {model}, {threads} threads, {platform.system()}; torch "
        f"{torch.__version__}.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
