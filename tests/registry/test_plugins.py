"""Plugins: found without being executed, refused with a place,
tested by contracts that nothing idle can pass."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ruledsl import registry
from ruledsl.cli import main
from ruledsl.contracts import run_contract
from ruledsl.errors import PluginError
from ruledsl.registry import KINDS, declared, find
from tests import ROOT
from tests.cluster import stand_in_for_slurm

TOY = [
    "--sizes",
    "100-10-8-5",
    "--labels",
    "3",
    "--shots",
    "5",
    "--queries",
    "4",
    "--threads",
    "1",
    "--quiet",
]

SHORT = [
    "--sizes",
    "64-8-6-4",
    "--labels",
    "2",
    "--shots",
    "2",
    "--queries",
    "3",
    "--threads",
    "1",
    "--quiet",
]

IDLE = {
    "executor": "from ruledsl.plugin import Here\n@executor('idle')\ndef idle(address):\n"
    "    place = Here()\n    place.work = lambda: lambda cell: ''\n    return place\n",
    "feedback": "@feedback('idle')\ndef idle(net):\n    for n in net.hidden:\n"
    "        net.carry(n, 0.0 * net.activity.y[n])\n",
    "activation": "@activation('idle')\ndef idle(z, beta):\n    return 0.0 * z\n",
    "function": "@function('idle')\ndef idle(x):\n    return x\n",
    "task": "@task('idle')\ndef idle(request):\n    x = torch.zeros(6, request.sizes[0])\n"
    "    y = torch.zeros(6, dtype=torch.long)\n    return Task(x, y, x, y)\n",
    "objective": "@objective('idle')\ndef idle(view):\n    return 0.0 * view.query_loss() + 1.0\n",
    "optimiser": "@optimiser('idle')\nclass Idle(Optimiser):\n    def ask(self):\n        return "
    "self.theta[None]\n"
    "    def tell(self, losses, gradients):\n        return bool(losses.isfinite().all())\n"
    "    def state(self):\n        return {}\n    def restore(self, state):\n        pass\n",
    "recipe": "@recipe('idle')\nclass Idle(Recipe):\n    def step(self, losses, gradients):\n"
    "        return bool(losses.isfinite().all())\n    def state(self):\n        return {}\n"
    "    def restore(self, state):\n        pass\n",
    "analysis": "@analysis('idle')\ndef idle(subject):\n    return [Finding('a rule')]\n",
    "proposer": "@proposer('idle')\ndef idle(scene):\n    return [p.idea(p.terms, 'again') for p in "
    "scene.parents]\n",
    "target": "@target('idle')\ndef idle(subject):\n    return 'a rule'\n",
    "diagnostic": "@diagnostic('idle')\ndef idle(view):\n    return torch.zeros(len(view.x), "
    "dtype=view.x.dtype)\n",
}  # fmt: skip
IMPORTS = "import torch\nfrom ruledsl.plugin import *\nfrom ruledsl.plugin import Optimiser, Recipe, Task\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of plugins that the user named."""
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv("RULEDSL_PLUGINS", str(folder))
    return folder


def test_a_file_is_tested_without_its_folder_being_named(tmp_path: Path) -> None:
    text = "from ruledsl.plugin import *\n@activation('gentle')\n"
    text += "def gentle(z, beta):\n    return tanh(2 * z)\n"
    result = run("plugin-test", write(tmp_path, "gentle.py", text))
    assert result.exit_code == 0, result.output


SHIPPED = sorted(declared().found.values(), key=lambda d: (d.kind, d.name))


@pytest.mark.parametrize("declaration", SHIPPED, ids=lambda d: f"{d.kind}-{d.name}")
def test_every_plugin_of_the_product_keeps_its_contract(
    declaration: registry.Declaration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if declaration.name == "slurm":
        stand_in_for_slurm(tmp_path, monkeypatch)
    if declaration.name in ("cma", "genetic"):
        pytest.importorskip("cma" if declaration.name == "cma" else "optuna")
    checks = run_contract(find(declaration.kind, declaration.name))
    assert checks
    assert [f"{c.what}: {c.found}" for c in checks if not c.passed] == []


@pytest.mark.parametrize("kind", IDLE)
def test_a_plugin_that_does_nothing_fails_its_contract(kind: str, named: Path) -> None:
    result = run("plugin-test", write(named, "idle.py", IMPORTS + IDLE[kind]))
    assert result.exit_code == 1, result.output
    assert "FAIL" in result.output


def test_every_kind_is_shipped_and_documented() -> None:
    assert {d.kind for d in SHIPPED} == set(KINDS)
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    for declaration in SHIPPED:
        assert declaration.summary, declaration.place
    for kind in KINDS:
        assert f"| {kind} |" in page
    listed = run("list", "plugins")
    assert listed.exit_code == 0
    assert all(f"  {d.name} " in listed.output for d in SHIPPED)


def test_only_named_folders_are_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`./plugins` of a folder one happens to stand in is nobody's choice."""
    (tmp_path / "plugins").mkdir()
    write(
        tmp_path / "plugins", "bad.py", "raise SystemExit('executed')\n@feedback('stray')\ndef f(net): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    assert ("feedback", "stray") not in declared().found
    with pytest.raises(PluginError, match="there is no feedback `stray`"):
        find("feedback", "stray")


def test_listing_executes_nothing(named: Path) -> None:
    write(
        named,
        "loud.py",
        f"open({str(named / 'ran')!r}, 'w')\n@feedback('loud')\ndef loud(net):\n    'Loud.'\n",
    )
    listed = run("list", "plugins")
    assert "loud" in listed.output
    assert not (named / "ran").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def broken(:\n", "bad.py:1: this is not Python"),
        ("NAME = 'x'\n@feedback(NAME)\ndef f(net): ...\n", "bad.py:2: write the name as a text"),
        ("@feedback('fixed')\ndef f(net): ...\n", "bad.py:1: feedback `fixed` exists already, at"),
    ],
)
def test_a_faulty_file_is_named_with_its_line_and_the_rest_works(
    named: Path, text: str, expected: str
) -> None:
    write(named, "bad.py", text)
    listed = run("list", "plugins")
    assert listed.exit_code == 2
    assert expected in listed.output
    assert find("feedback", "fixed").item.__name__ == "fixed_random"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import nothing_of_this_name\n", "bad.py:2: ModuleNotFoundError"),
        ("1 / 0\n", "bad.py:2: ZeroDivisionError"),
        ("", "bad.py:2: feedback `mine` takes (network); a feedback takes (net)"),
        ("from ruledsl.plugin import feedbak\n", "bad.py:2: ImportError: cannot import name 'feedbak'"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused_with_one_message(
    named: Path, text: str, expected: str
) -> None:
    form = "network" if not text else "net"
    path = write(
        named,
        "bad.py",
        f"from ruledsl.plugin import feedback\n{text}@feedback('mine')\ndef f({form}):\n    ...\n",
    )
    result = run("train", "bio", *TOY, "--episodes", 1, "--feedback", "mine", "--out", named / "run")
    assert result.exit_code == 2, result.output
    assert str(path.parent) in result.output
    assert expected in result.output
    assert "Traceback" not in result.output
    assert run("train", "bio", *TOY, "--episodes", 1, "--out", named / "other").exit_code == 0


def test_an_unknown_name_gets_a_suggestion() -> None:
    result = run("train", "bio", *TOY, "--feedback", "direkt")
    assert result.exit_code == 2
    assert "did you mean `direct`?" in result.output


def test_a_users_plugin_has_the_rights_of_a_shipped_one(named: Path, tmp_path: Path) -> None:
    """The shipped file under other names, from a folder of the user's, trains to the same numbers."""
    text = (ROOT / "plugins" / "feedback.py").read_text(encoding="utf-8")
    for kind in ("direct", "mixture"):
        text = text.replace(f'@feedback("{kind}")', f'@feedback("my_{kind}")')
    for kind in ("fixed", "symmetric", "sign_uniform", "sign_fixed", "sign_redrawn"):
        text = text.replace(f'@feedback("{kind}")', f'@feedback("other_{kind}")')
    write(named, "mine.py", text)
    for name in ("direct", "my_direct", "mixture", "my_mixture"):
        done = run("train", "bio", *TOY, "--episodes", 3, "--feedback", name, "--out", tmp_path / name)
        assert done.exit_code == 0, done.output
    for name in ("direct", "mixture"):
        own, shipped = ((tmp_path / n / "metrics.csv").read_bytes() for n in (f"my_{name}", name))
        assert own == shipped


def test_a_run_names_the_plugin_it_misses_and_the_one_that_changed(
    named: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        (ROOT / "plugins" / "diagnostics.py").read_text(encoding="utf-8").replace('"confidence"', '"trust"')
    )
    path = write(named, "mine.py", text.replace('"weight_norm"', '"length"'))
    assert (
        run(
            "train", "bio", *SHORT, "--episodes", 2, "--diagnostic", "trust", "--out", tmp_path / "run"
        ).exit_code
        == 0
    )
    later = tmp_path / "later"
    later.mkdir()
    write(later, "mine.py", path.read_text(encoding="utf-8") + "\n# changed\n")
    monkeypatch.setenv("RULEDSL_PLUGINS", str(later))
    changed = run("resume", tmp_path / "run", "--episodes", 3, "--quiet")
    assert changed.exit_code == 0, changed.output
    assert "the diagnostic `trust` in" in changed.output
    monkeypatch.delenv("RULEDSL_PLUGINS")
    missing = run("resume", tmp_path / "run", "--episodes", 4, "--quiet")
    assert missing.exit_code == 2
    assert f"--plugins {named}" in missing.output


def test_an_installed_package_adds_plugins_by_its_entry_point(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "acme_rules-1.0.dist-info").mkdir(parents=True)
    write(
        site,
        "acme_rules.py",
        "from ruledsl.plugin import feedback\n@feedback('acme')\ndef acme(net):\n    'Acme.'\n",
    )
    write(
        site / "acme_rules-1.0.dist-info",
        "METADATA",
        "Metadata-Version: 2.1\nName: acme-rules\nVersion: 1.0\n",
    )
    write(site / "acme_rules-1.0.dist-info", "entry_points.txt", "[ruledsl.plugins]\nacme = acme_rules\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    command = [sys.executable, str(ROOT / "cli.py"), "list", "plugins"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "acme  " in done.stdout
    assert "acme-rules" in done.stdout


EXAMPLES = {
    "feedback": ("bio", ["--feedback", "direct"]),
    "activation": ("bio", ["--activation", "swish", "--beta", "2"]),
    "function": ("three_factor", []),
    "task": ("bio", ["--task", "permuted"]),
    "objective": ("bio", ["--objective", "0.5*area + 0.5*weight_noise + 0.01*activity"]),
    "networks of an objective": ("bio", ["--objective", "query + 0.5*feedback_noise"]),
    "tasks of the released code": (
        "bio",
        ["--task", "first_images_with_replacement", "--recipe", "paper_proximal"],
    ),
    "angles of single queries": ("bio", ["--activation", "identity", "--diagnostic", "vector_angle"]),
    "optimiser": ("bio", ["--optimiser", "adamw"]),
    "recipe": ("bio", ["--recipe", "paper"]),
    "diagnostic": ("bio", ["--diagnostic", "weight_norm", "--diagnostic", "confidence"]),
    "rules for B": ("kolen_pollack", []),
    "populations": ("bio", ["--inhibitory", "0.2", "--theta-per", "population"]),
    "layers": ("bio", ["--theta-per", "layer"]),
    "biases": ("biased", ["--bias", "--init", "orthogonal"]),
    "third factor of the task": ("three_factor", ["--task", "cued", "--third", "task"]),
    "regression": ("pseudo_gradient", ["--task", "teacher_network", "--output", "linear"]),
}


@pytest.mark.parametrize("what", EXAMPLES)
def test_fifty_episodes_train_and_resume_bit_for_bit(what: str, tmp_path: Path) -> None:
    rule, options = EXAMPLES[what]
    first, second = tmp_path / "first", tmp_path / "second"
    command = ["train", rule, *SHORT, "--meta-batch", 1, "--backend", "eager", *options, "--episodes", 50]
    done = run(*command, "--out", first)
    assert done.exit_code == 0, done.output
    shutil.copytree(first, second)
    for folder in (first, second):
        assert run("resume", folder, "--episodes", 52, "--quiet").exit_code == 0
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()
    rows = (first / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 53
    assert "nan" not in rows[-1]


@pytest.mark.parametrize("name", ["cma", "genetic"])
def test_populations_train_networks_with_kinks_and_rerun_bit_for_bit(name: str, tmp_path: Path) -> None:
    pytest.importorskip("cma" if name == "cma" else "optuna")
    options = ["--optimiser", name, "--activation", "relu", "--meta-batch", 1, "--episodes", 4]
    done = run("train", "bio", *SHORT, *options, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    again = run("rerun", tmp_path / "run", "--out", tmp_path / "again", "--quiet")
    assert again.exit_code == 0, again.output
    assert "identical" in again.output


def test_a_diagnostic_is_a_column(tmp_path: Path) -> None:
    run("train", "bio", *TOY, "--episodes", 2, "--diagnostic", "weight_norm", "--out", tmp_path / "run")
    header, first, *_ = (tmp_path / "run" / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert (
        0.05
        < float(dict(zip(header.split(","), first.split(","), strict=True))["diagnostic_weight_norm"])
        < 1.0
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objective", "qery"], "did you mean `query`?"),
        (["--objective", "x*query"], "needs objectives with finite weights, such as `query + 0.1*activity`"),
        (["--optimiser", "adm"], "there is no optimiser `adm`; did you mean `adam`?"),
        (["--task", "samples", "--output", "linear"], "has labels, no real targets"),
        (["--task", "teacher_network"], "--output linear"),
        (["--third", "task", "three"], "gives no third factor"),
        (["--inhibitory", "1.5"], "--inhibitory needs a number from 0"),
        (["--feedback", "direct", "kp"], "which `--feedback direct` does not read"),
        (["bias"], "give the network biases with --bias"),
        (["--diagnostic", "weigth_norm"], "did you mean `weight_norm`?"),
        (["--plugins", "nowhere"], "there is no such folder of plugins"),
    ],
)
def test_options_that_do_not_fit_get_one_message(tmp_path: Path, arguments: list[str], message: str) -> None:
    rules = {"three": "three_factor", "kp": "kolen_pollack", "bias": "biased"}
    rule = rules.get(arguments[-1], "bio")
    options = [a for a in arguments if a not in rules]
    result = run("train", rule, *TOY, "--episodes", 1, "--out", tmp_path / "run", *options)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists() or not (tmp_path / "run" / "checkpoint.json").exists()


def test_commands_after_training_know_what_the_pathway_added(tmp_path: Path) -> None:
    options = [
        "--feedback",
        "mixture",
        "--inhibitory",
        0.2,
        "--activation",
        "tanh",
        "--beta",
        1,
        "--episodes",
        2,
    ]
    assert run("train", "bio", *SHORT, *options, "--out", tmp_path / "run").exit_code == 0
    for command in (
        ["evaluate", tmp_path / "run", "--samples", 8, "--classes", 4, "--threads", 1, "--quiet"],
        ["diagnose", tmp_path / "run", "--episode", 1],
        ["report", tmp_path / "run"],
    ):
        done = run(*command)
        assert done.exit_code == 0, done.output
    assert "direct_0" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_shared_coefficient_is_a_difference_between_rules() -> None:
    alone = run("diff", "biased", "pseudo_gradient")
    assert "shares θ with: -e_post (for bias) → nothing" in alone.output
    assert "same family" not in alone.output
