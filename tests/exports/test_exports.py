"""What is exported computes what ruledsl computes: each file is run as its reader would, without ruledsl."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ruledsl
from ruledsl import Episode, Network, SettingsError, UserError
from ruledsl.exports import FORMATS, NotExpressible
from ruledsl.ir import InternalError
from tests.commands import SMALL, run

SHIPPED = sorted(p.stem for p in Path("rules").glob("*.rule"))
DISCOVERED = [str(p) for p in sorted(Path("rules/discovered").glob("*.rule"))]
NEEDS: dict[str, dict[str, Any]] = {"biased": {"bias": True}}
NOT_ALONE = {
    "biased": "moves bias",
    "kolen_pollack": "moves B",
    "weight_mirror": "moves B",
    "three_factor": "traces",
}
"""What the one torch file leaves to `attach`."""


def proof_in(text: str) -> float:
    """The largest difference that a header tells of."""
    found = re.search(r"largest difference (\S+) \(", text)
    assert found is not None, text[:2000]
    return float(found[1])


def written(text: str, folder: Path, name: str = "exported") -> Path:
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    return path


def run_alone(path: Path, code: str = "") -> str:
    """The output of a file in a fresh process in which nothing of ruledsl can be imported."""
    block = "import sys; sys.modules['ruledsl'] = None\n"
    name = "file" if code else "__main__"
    start = f"import runpy; names = runpy.run_path({str(path)!r}, run_name={name!r})\n"
    command = [sys.executable, "-c", block + start + code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=path.parent, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("rule", [*SHIPPED, *DISCOVERED])
def test_an_episode_in_numpy_is_that_of_adapt(rule: str) -> None:
    text = ruledsl.export(rule, "numpy", sizes="9-8-7-6", **NEEDS.get(rule, {}))
    assert proof_in(text) < 1e-12


@pytest.mark.parametrize(
    "wiring",
    [
        {"feedback": "direct"},
        {"feedback": "mixture"},
        {"feedback": "sign_redrawn"},
        {"activation": "swish"},
        {"activation": "relu", "output": "linear"},
        {"activation": "tanh", "output": "linear", "feedback": "symmetric"},
        {"feedback_noise": 0.1},
    ],
    ids=str,
)
def test_every_wiring_of_a_network_is_written_down(wiring: dict[str, Any]) -> None:
    assert proof_in(ruledsl.export("bio", "numpy", sizes="9-8-7-6", **wiring)) < 1e-8


@pytest.mark.parametrize("rule", ["pool", "three_factor", "weight_mirror", DISCOVERED[0]])
def test_an_episode_in_jax_is_that_of_adapt_and_so_is_its_gradient(rule: str) -> None:
    pytest.importorskip("jax")
    assert proof_in(ruledsl.export(rule, "jax", sizes="9-8-7-6")) < 1e-8


@pytest.mark.parametrize("rule", [*SHIPPED, *DISCOVERED])
def test_the_torch_file_is_attach_or_names_what_it_leaves_to_it(rule: str) -> None:
    if rule in NOT_ALONE:
        with pytest.raises(NotExpressible, match=NOT_ALONE[rule]) as refused:
            ruledsl.export(rule, "torch", **NEEDS.get(rule, {}))
        assert "`ruledsl.torch.attach` does" in str(refused.value)
        return
    assert proof_in(ruledsl.export(rule, "torch")) < 1e-12


def test_the_torch_file_of_a_linear_output_reads_z_there() -> None:
    text = ruledsl.export("oja", "torch", output="linear")
    assert "softmax=False" in text
    assert proof_in(text) < 1e-12


def test_a_file_that_computes_something_else_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = FORMATS["numpy"]
    wrong = lambda subject, proof: usual.write(subject, proof).replace("theta[1]", "theta[2]")  # noqa: E731
    monkeypatch.setattr("ruledsl.exports.formats.FORMATS", {"numpy": type(usual)(wrong, usual.prove)})
    with pytest.raises(InternalError, match="exported file parts from"):
        ruledsl.export("bio", "numpy", sizes="9-8-7-6")


def test_the_numpy_file_learns_by_itself(tmp_path: Path) -> None:
    """Its demo, as a user would run it: the discovered rule learns five classes from 50 samples of each."""
    path = written(ruledsl.export(DISCOVERED[0], "numpy", sizes="100-60-40-10"), tmp_path)
    found = re.search(r"(\d\.\d\d) before, (\d\.\d\d) after", run_alone(path))
    assert found is not None
    assert float(found[2]) > 0.8


def test_the_numpy_file_gives_the_weights_of_adapt_from_outside(tmp_path: Path) -> None:
    """Independent of the proof that the export made: data of our own, sizes other than the file's."""
    path = written(ruledsl.export("bio", "numpy", sizes="49-10-7-5", theta="error_hebb=0.01"), tmp_path)
    rng = np.random.default_rng(3)
    sizes = (6, 5, 4, 3)
    pairs = list(pairwise(sizes))
    W = [rng.normal(size=(b, a)) for a, b in pairs]
    B = [rng.normal(size=(a, b)) for a, b in pairs]
    x, y = rng.random((40, 6)), rng.integers(3, size=40)
    named: dict[str, Any] = {f"W{n}": w for n, w in enumerate(W)} | {f"B{n}": b for n, b in enumerate(B)}
    np.savez(tmp_path / "data.npz", **named, x=x, y=y)
    run_alone(
        path,
        "import numpy as np\n"
        "data = dict(np.load('data.npz')); x, y = data.pop('x'), data.pop('y')\n"
        "after = names['episode'](names['THETA'], data, x, y)\n"
        "np.savez('after.npz', **after)\n",
    )
    after = np.load(tmp_path / "after.npz")
    episode = Episode(
        [torch.tensor(w) for w in W], [torch.tensor(b) for b in B], torch.tensor(x), torch.tensor(y)
    )
    theta = torch.tensor([0.001, 0.01, 0.0], dtype=torch.float64)
    wanted = ruledsl.adapt(ruledsl.compile_rule(ruledsl.load("bio")), theta, episode, Network())
    assert max(float(np.abs(after[f"W{n}"] - w.numpy()).max()) for n, w in enumerate(wanted)) < 1e-12


def test_the_torch_file_learns_by_itself(tmp_path: Path) -> None:
    text = ruledsl.export("bio", "torch", theta="pseudo_gradient=0.05,error_hebb=0.005,oja_subspace=-0.001")
    found = re.search(r"loss (\S+) before, (\S+) after", run_alone(written(text, tmp_path)))
    assert found is not None
    assert float(found[2]) < 0.5 * float(found[1])


def test_text_in_a_rule_stays_a_comment(tmp_path: Path) -> None:
    """Notes and citations are anybody's: none of them becomes code of the exported file."""
    note = "'''; import os; os.abort() #"
    rule = ruledsl.rule(f'term t "{note}" = -e_post * y_pre^T [cite = "{note}"]\nrule r "{note}" = t')
    for form in ("numpy", "jax", "torch"):
        text = ruledsl.export(rule, form, verify=False, sizes="9-5-3")
        compile(text, "exported.py", "exec")
        code = [line for line in text.splitlines() if "os.abort" in line]
        assert code
        assert all(line.startswith("#") for line in code)


def test_a_run_is_exported_with_what_it_found(tmp_path: Path) -> None:
    found = ruledsl.train("bio", out=tmp_path / "run", feedback="direct", progress=False, **SMALL)
    text = ruledsl.export(tmp_path / "run", "numpy")
    theta = next(line for line in text.splitlines() if line.startswith("THETA"))
    told = [float(v) for v in re.findall(r"-?\d[\d.e-]*", theta)]
    assert told == [v.mean for v in found.theta.values()]
    assert "feedback direct" in text
    assert "SIZES = (49, 10, 47)" in text
    assert "the mean of 1 run in run" in text


def test_documents_hold_the_formula_theta_and_sources() -> None:
    latex = ruledsl.export("bio", "latex", theta={"error_hebb": 0.0000125})
    assert r"pseudo\_gradient" in latex
    assert r"1.25 \cdot 10^{-5}" in latex
    assert latex.count(r"\begin") == latex.count(r"\end") == 2
    markdown = ruledsl.export("bio", "markdown")
    assert "| `oja_subspace` |" in markdown
    assert "Oja (1989)" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert {line.count("|") for line in rows} == {6}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bio", "--to", "nunpy"], "did you mean `numpy`?"),
        (["bio", "--to", "numpy", "--theta", "eror_hebb=1"], "did you mean `error_hebb`"),
        (["bio", "--to", "numpy", "--theta", "error_hebb"], "--theta needs"),
        (["biased", "--to", "numpy"], "give the network biases with --bias"),
        (["bio", "--to", "torch", "--feedback", "direct"], "carries errors by fixed or symmetric feedback"),
        (["bio", "--to", "numpy", "--inhibitory", "0.2"], "Dale's law"),
        (["nobody", "--to", "numpy"], "nobody"),
    ],
    ids=str,
)
def test_what_cannot_be_exported_is_one_message(arguments: list[str], told: str) -> None:
    result = run("export", *arguments)
    assert result.exit_code == 2
    assert told in result.output
    assert "Traceback" not in result.output


def test_a_file_is_written_where_it_was_asked_for(tmp_path: Path) -> None:
    result = run("export", "bio", "--to", "latex", "--out", tmp_path / "bio.tex")
    assert result.exit_code == 0, result.output
    assert "\\begin{equation}" in (tmp_path / "bio.tex").read_text(encoding="utf-8")


def test_without_proof_a_file_says_so() -> None:
    assert "Not verified" in ruledsl.export("bio", "numpy", verify=False)


def test_a_plugin_writes_its_own_language(tmp_path: Path) -> None:
    result = run("export", "bio", "--to", "csv")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[2].startswith("bio,error_hebb,0.0,synapse,")


def test_settings_that_decide_nothing_here_are_refused() -> None:
    with pytest.raises(UserError):
        ruledsl.export("bio", "numpy", episodes=3)
    with pytest.raises(SettingsError):
        ruledsl.export("bio", "fortran")


def test_documents_say_in_which_layers_a_term_acts() -> None:
    rule = ruledsl.rule("rule deep = pseudo_gradient + oja_subspace[layers = 1 3..4]")
    for form in ("latex", "markdown"):
        assert "(layers 1, 3 to 4)" in ruledsl.export(rule, form)


def test_the_torch_file_of_a_rule_with_a_third_factor_runs(tmp_path: Path) -> None:
    rule = ruledsl.rule("term t = -third * e_post * y_pre^T\nrule r = t[init = 0.05]")
    assert "after 300 batches" in run_alone(written(ruledsl.export(rule, "torch"), tmp_path))


def test_what_an_exported_file_draws_by_itself_is_no_option() -> None:
    result = run("export", "bio", "--to", "numpy", "--init", "orthogonal")
    assert result.exit_code == 2
    assert "No such option" in result.output


SUMMED = """
term summed = sum(y_post) * y_post * y_pre^T
rule mixed = pseudo_gradient[init = 0.02] + summed[init = 1e-4]
"""


def test_a_refusal_says_what_it_costs_to_leave_the_term_out() -> None:
    rule = ruledsl.rule(SUMMED)
    small: dict[str, Any] = {"sizes": (49, 10, 47)}
    with pytest.raises(NotExpressible, match="`summed`") as refused:
        ruledsl.export(rule, "brian2", measure=True, dataset="glyphs", **small)
    told = refused.value.diagnostics[0].help
    assert told is not None
    smaller = ruledsl.rule("rule alone = pseudo_gradient[init = 0.02]")
    asked: dict[str, Any] = {"samples": 250, "classes": 5, "seeds": 6, "progress": False, **small}
    without, whole = (ruledsl.evaluate(r, **asked).accuracy[-1].text(".3f") for r in (smaller, rule))
    assert f"without `summed`, Θ of the others as it is, accuracy is {without} in place of {whole}" in told
    assert without != whole
    with pytest.raises(NotExpressible) as plain:
        ruledsl.export(rule, "brian2", **small)
    assert "accuracy" not in str(plain.value)


def test_where_the_whole_rule_is_at_fault_nothing_is_measured() -> None:
    alone = ruledsl.rule("term summed = sum(y_post) * y_post * y_pre^T\nrule a = summed")
    with pytest.raises(NotExpressible, match="no smaller rule to measure"):
        ruledsl.export(alone, "brian2", measure=True, sizes=(49, 10, 47))


def test_data_are_for_what_is_measured() -> None:
    result = run("export", "pool", "--to", "brian2", "--dataset", "glyphs")
    assert result.exit_code == 2
    assert "dataset" in result.output
