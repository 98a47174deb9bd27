"""Training through the command line at toy size: folders, figures, resuming, bad input."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from ruledsl.errors import RunError
from ruledsl.runs import read_config, read_metrics
from ruledsl.storage import read_json
from tests import ROOT
from tests.commands import TOY, run, train


@pytest.mark.figures
def test_a_run_folder_holds_what_the_readme_promises(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = train(out, "--seeds", 2)
    assert result.exit_code == 0, result.output
    names = {p.name for p in out.iterdir()} - {".lock"}
    assert names == {
        "config.toml",
        "rule.rule",
        "metrics.csv",
        "checkpoint.json",
        "result.json",
        "training.png",
        "training.pdf",
    }
    with (out / "metrics.csv").open() as file:
        rows = list(csv.reader(file))
    terms = ["pseudo_gradient", "error_hebb", "oja_subspace"]
    assert rows[0] == [
        "run", "seed", "l1", "group", "episode", "meta_loss", "meta_accuracy", "diverged",
        *(f"theta[{t}]" for t in terms),
        "alpha_0", "alpha_1", "alpha_2", "alpha_3", "ortho_1", "ortho_2",
    ]  # fmt: skip
    assert [[r[0], r[1], r[4]] for r in rows[1:5]] == [
        ["0", "0", "0"],
        ["1", "1", "0"],
        ["0", "0", "1"],
        ["1", "1", "1"],
    ]
    assert len(rows) == 1 + 12
    assert float(rows[1][8]) == 1e-3
    with Image.open(out / "training.png") as picture:
        assert picture.size[0] > 1000
    document = read_json(out / "result.json")
    assert document["finished"] is True
    assert set(document["groups"][0]["theta"]) == set(terms)
    config = read_config(out)
    assert (config.settings.sizes, config.runs[1].seed) == ((196, 12, 8, 47), 1)
    assert "rule bio" in (out / "rule.rule").read_text()


def test_one_seed_reproduces_a_run_bit_for_bit(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert train(tmp_path / name).exit_code == 0
    assert (tmp_path / "a" / "metrics.csv").read_bytes() == (tmp_path / "b" / "metrics.csv").read_bytes()
    assert train(tmp_path / "c", "--seed", 1).exit_code == 0
    assert (tmp_path / "a" / "metrics.csv").read_bytes() != (tmp_path / "c" / "metrics.csv").read_bytes()


def test_a_run_in_a_batch_gives_the_numbers_it_gives_alone(tmp_path: Path) -> None:
    """Same draws; sums in another order, so each float32 episode may differ by a few hundred ε."""
    train(tmp_path / "batch", "--seeds", 3, "--l1", "0,0.5")
    train(tmp_path / "alone", "--seed", 2, "--l1", "0.5")
    batch, alone = read_metrics(tmp_path / "batch"), read_metrics(tmp_path / "alone")
    config = read_config(tmp_path / "batch")
    (number,) = [s.run for s in config.runs if (s.seed, s.l1) == (2, 0.5)]
    for column in ("meta_loss", "theta[oja_subspace]", "alpha_1", "ortho_1"):
        assert batch.column(number, column) == pytest.approx(alone.column(0, column), rel=2e-4, abs=1e-7)


def test_a_penalty_shrinks_the_coefficients(tmp_path: Path) -> None:
    train(tmp_path / "run", "--l1", "0,50", episodes=30)
    first, second = read_json(tmp_path / "run" / "result.json")["runs"]
    assert sum(map(abs, second["theta"].values())) < 0.5 * sum(map(abs, first["theta"].values()))


def test_resuming_continues_bit_for_bit(tmp_path: Path) -> None:
    # The paper's recipe: the robust one plans its steps for the episodes it was given.
    train(tmp_path / "whole", "--seeds", 2, "--recipe", "paper", episodes=9)
    train(tmp_path / "parts", "--seeds", 2, "--recipe", "paper", episodes=4)
    # As if it had been killed after more episodes were recorded than the checkpoint knows.
    with (tmp_path / "parts" / "metrics.csv").open("a") as file:
        file.write("0,0,4,1.0,torn")
    assert run("resume", tmp_path / "parts", "--episodes", 9).exit_code == 0
    assert (tmp_path / "whole" / "metrics.csv").read_bytes() == (
        tmp_path / "parts" / "metrics.csv"
    ).read_bytes()
    whole, parts = (read_json(tmp_path / n / "result.json") for n in ("whole", "parts"))
    assert whole["runs"] == parts["runs"]


def test_an_interrupted_training_leaves_a_usable_folder_and_resumes(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "cli.py", "train", "bio", *TOY, "--episodes", "100000", "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (
        out.is_dir()
        and (out / "metrics.csv").exists()
        and len((out / "metrics.csv").read_text().splitlines()) > 5
    ):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "continue with: ruledsl resume" in output
    assert "Traceback" not in errors
    done = len(read_metrics(out).column(0, "episode"))
    assert read_json(out / "checkpoint.json")["episodes_done"] == done
    assert (out / "training.png").exists()
    assert run("resume", out, "--episodes", done + 2).exit_code == 0
    assert read_metrics(out).column(0, "episode") == [float(n) for n in range(done + 2)]


def test_a_non_finite_episode_never_moves_theta(tmp_path: Path) -> None:
    (tmp_path / "wild.rule").write_text(
        "term wild = exp(exp(exp(100 * y_post))) * y_pre^T [init = 1]", encoding="utf-8"
    )
    result = train(tmp_path / "run", rule=str(tmp_path / "wild.rule"), episodes=3)
    assert result.exit_code == 1, result.output
    metrics = read_metrics(tmp_path / "run")
    assert metrics.column(0, "diverged") == [1.0, 1.0, 1.0]
    assert metrics.column(0, "theta[wild]") == [1.0, 1.0, 1.0]
    assert read_json(tmp_path / "run" / "result.json")["runs"][0]["theta"]["wild"] == 1.0
    assert "3 of 3 episodes diverged or were not finite; their gradients did not move Θ" in result.output


def test_fixed_and_bounded_coefficients_stay_where_they_must(tmp_path: Path) -> None:
    text = "rule held = pseudo_gradient[max = 0.0015] + 0.01 * error_hebb + oja_subspace[sign = positive]"
    (tmp_path / "held.rule").write_text(text, encoding="utf-8")
    train(tmp_path / "run", rule=str(tmp_path / "held.rule"), episodes=12)
    metrics = read_metrics(tmp_path / "run")
    assert set(metrics.column(0, "theta[error_hebb]")) == {0.01}
    assert max(metrics.column(0, "theta[pseudo_gradient]")) <= 0.0015
    assert min(metrics.column(0, "theta[oja_subspace]")) >= 0.0


def test_several_files_train_the_union_of_their_terms(tmp_path: Path) -> None:
    assert run("train", "ehebb", "oja", *TOY, "--episodes", 1, "--out", tmp_path / "run").exit_code == 0
    assert read_metrics(tmp_path / "run").terms == ("pseudo_gradient", "error_hebb", "oja_subspace")


def test_rules_trained_separately_share_a_batch_but_not_their_terms(tmp_path: Path) -> None:
    arguments = ["ehebb", "oja", "--separately", *TOY, "--episodes", 5, "--seeds", 2]
    result = run("train", *arguments, "--out", tmp_path / "both")
    assert result.exit_code == 0, result.output
    train(tmp_path / "alone", "--seed", 1, rule="oja", episodes=5)
    both, alone = read_metrics(tmp_path / "both"), read_metrics(tmp_path / "alone")
    assert set(both.column(3, "theta[error_hebb]")) == {0.0}
    assert set(both.column(0, "theta[oja_subspace]")) == {0.0}
    for column in ("meta_loss", "theta[oja_subspace]", "theta[pseudo_gradient]"):
        assert both.column(3, column) == pytest.approx(alone.column(0, column), rel=1e-4, abs=1e-8)
    assert "pseudo_gradient + oja_subspace: meta-accuracy" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "emnits-mnist"], "did you mean `emnist-mnist`?"),
        (["--dataset", "mnist", "--data-root", "nowhere"], "Add `--download`"),
        (["--sizes", "784"], "--sizes needs at least two layer sizes, such as 784-170-47"),
        (["--l1", "-1"], "--l1 needs finite numbers from 0"),
        (["--lr", "0"], "--lr needs a number above 0"),
        (["--device", "cuda:7"], "device `cuda:7` cannot be used"),
        (["--labels", "60"], "has 47 classes; a task of 60 cannot be drawn"),
        (["--feedback", "sideways"], "there is no feedback `sideways`"),
        (["--allow", "synapse"], "beyond the limit `synapse`"),
        (["--rule", "bioo"], "did you mean `bio`?"),
        (["--sizes", "196-12-47", "--rule", "nothing"], "defines no rule or term `nothing`"),
    ],
)
def test_bad_options_get_one_message_and_exit_code_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = run(
        "train", ROOT / "rules" / "bio.rule", *TOY, "--episodes", 1, "--out", tmp_path / "run", *arguments
    )
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()


def test_layers_beyond_the_network_are_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.rule").write_text("rule deep = pseudo_gradient[layers = 2..7]", encoding="utf-8")
    result = train(tmp_path / "run", rule=str(tmp_path / "deep.rule"))
    assert result.exit_code == 2
    assert "acts in layers 2 to 7, but this network's weights lead to layers 1 to 3" in result.output


def test_a_term_in_some_layers_has_a_name_that_tables_can_hold(tmp_path: Path) -> None:
    text = "rule deep = pseudo_gradient + error_hebb[layers = 1 3, init = 0.01] + error_hebb[layers = 2]"
    (tmp_path / "deep.rule").write_text(text, encoding="utf-8")
    result = train(tmp_path / "run", rule=str(tmp_path / "deep.rule"), episodes=2)
    assert result.exit_code == 0, result.output
    names = ("pseudo_gradient", "error_hebb[1+3]", "error_hebb[2]")
    assert read_metrics(tmp_path / "run").terms == names
    again = run("resume", tmp_path / "run", "--episodes", 3)
    assert again.exit_code == 0, again.output
    asked = [tmp_path / "run", "--theta", "error_hebb[1+3]=0.5"]
    assert run("evaluate", *asked, "--out", tmp_path / "at").exit_code == 0


def test_nothing_computed_is_overwritten_or_lost(tmp_path: Path) -> None:
    train(tmp_path / "run")
    before = (tmp_path / "run" / "metrics.csv").read_bytes()
    result = train(tmp_path / "run")
    assert result.exit_code == 2
    assert "already holds a run; continue it with `resume" in result.output
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == before


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    from filelock import FileLock

    train(tmp_path / "run")
    with FileLock(tmp_path / "run" / ".lock"):
        result = run("resume", tmp_path / "run", "--episodes", 8)
    assert result.exit_code == 2
    assert "is in use by another process" in result.output


@pytest.mark.figures
def test_figures_can_be_drawn_again_without_torch(tmp_path: Path) -> None:
    train(tmp_path / "run")
    (tmp_path / "run" / "training.png").unlink()
    code = (
        "import sys; from ruledsl.cli import main\n"
        f"main(['plot', {str(tmp_path / 'run')!r}], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    assert (tmp_path / "run" / "training.png").exists()


def test_the_same_penalty_twice_is_one_run(tmp_path: Path) -> None:
    train(tmp_path / "run", "--l1", "0,0")
    assert len(read_config(tmp_path / "run").runs) == 1


def test_reading_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run folder: it has no config.toml"):
        read_config(tmp_path)
    assert os.listdir(tmp_path) == []
