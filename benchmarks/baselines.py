"""The paper's five rules, meta-trained side by side: `python -m benchmarks.baselines --help`.

Writes one table with the mean accuracy of the last episodes, its 95 % interval over seeds, the
learned Θ, the time, the command and the machine.
"""

from __future__ import annotations

import time
from pathlib import Path

import click

import ruledsl
from benchmarks.page import write_page
from ruledsl import Interval

RULES = ("feedback_alignment", "backprop", "ehebb", "oja", "bio")
RELEASED_CODE = {
    "feedback_alignment": "0.24",
    "backprop": "0.70",
    "ehebb": "0.56",
    "oja": "0.6+",
    "bio": "0.70",
}
"""What the paper's released program measures on EMNIST by-merge (see shared/paper.md)."""


@click.command()
@click.option("--dataset", default="glyphs", show_default=True)
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option("--episodes", default=300, show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--recipe", type=click.Choice(["robust", "paper"]), default="robust", show_default=True)
@click.option(
    "--runs-folder", type=click.Path(path_type=Path), default=Path("runs/baselines"), show_default=True
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Markdown file for the table.")
def main(
    dataset: str, data_root: Path, episodes: int, seeds: int, recipe: str, runs_folder: Path, out: Path
) -> None:
    """Train every rule and write the table."""
    rows = [_row(name, dataset, data_root, episodes, seeds, recipe, runs_folder) for name in RULES]
    is_paper_data = dataset.startswith("emnist-bymerge")
    head = (
        "| rule | accuracy | by seed | "
        + ("released code | " if is_paper_data else "")
        + "Θ | s per episode and run |"
    )
    if not is_paper_data:
        rows = ["|".join(cell for n, cell in enumerate(row.split("|")) if n != 4) for row in rows]
    lines = [
        f"# The paper's rules on {dataset}, recipe `{recipe}`",
        "",
        f"Mean query accuracy of the last fifth (at most 100) of {episodes} episodes, seeds 0 … {seeds - 1}, "
        f"± half-width of the 95 %",
        "Student-t interval over seeds. Paper's settings: 784-170-130-100-70-47, 5 labels, 50 + 10 images, "
        "Adam 10⁻³.",
        "",
        head,
        "|" + "---|" * (head.count("|") - 1),
        *rows,
    ]
    write_page("baselines", lines, out)


def _row(
    name: str, dataset: str, data_root: Path, episodes: int, seeds: int, recipe: str, runs_folder: Path
) -> str:
    folder = runs_folder / dataset.replace("/", "-") / name
    started = time.monotonic()
    ran = ruledsl.train(
        name, out=folder, progress=False, dataset=dataset, data_root=data_root, episodes=episodes,
        seeds=seeds,
        recipe=recipe,
    )  # fmt: skip
    seconds = (time.monotonic() - started) / (episodes * seeds)
    by_seed = ran.accuracy_by_seed(list(ran.seeds.values()))
    accuracy = Interval.of(by_seed.values()).text(".3f")
    each = ", ".join(f"{a:.3f}" for a in by_seed.values())
    theta = ", ".join(f"{n} {v.mean * 1e3:+.1f}e-3" for n, v in ran.theta.items())
    click.echo(f"{name}: {accuracy}", err=True)
    return f"| {name} | {accuracy} | {each} | {RELEASED_CODE[name]} | {theta} | {seconds:.3f} |"


if __name__ == "__main__":
    main()
