"""The NESTML model, compiled and simulated: RULEDSL_NEST=1, with `pip install nest-simulator` and the headers
of boost, libltdl and GSL; half a minute."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import exp
from pathlib import Path

import pytest

import ruledsl

SPIKES = [5.0, 11.0, 12.0, 30.0, 47.0]
THETA = {"pseudo_gradient": 0.02, "bcm_term": -0.003}
NEURON = """\
model cell_neuron:
    state:
        y_post real = 0.5
        e_post real = -0.25
    input:
        spikes <- spike
    output:
        spike
"""
CONFIG = """\
#!/bin/sh
for a in "$@"; do case "$a" in
--version) echo 3.10.0;;
--prefix|--exec-prefix) echo {nest};;
--cflags) echo "-fopenmp -O2 -std=c++20 -D_GLIBCXX_USE_CXX11_ABI=0";;
--includes) echo "-I{nest}/include/nest -I/usr/include";;
--libs) echo "-fopenmp";;
--compiler) echo g++;;
--static-libraries) echo OFF;;
--libdir) echo lib64;;
--docdir|--datadir) echo share/nest;;
esac; done
"""
"""In place of the wheel's own, which names folders of the machine that it was built on."""
BUILD = """
import sys
from pynestml.frontend.pynestml_frontend import generate_nest_target
pairs = {"neuron": "cell_neuron", "synapses": {"bcm_synapse": {
    "post_ports": ["post_spikes", ["y_post", "y_post"], ["e_post", "e_post"]]}}}
generate_nest_target(
    input_path=["neuron.nestml", "bcm.nestml"], target_path="target", install_path="target",
    module_name="ruledslmodule", logging_level="ERROR", suffix="_nestml",
    codegen_opts={
        "neuron_synapse_pairs": [pairs], "weight_variable": {"bcm_synapse": "w"}, "nest_path": sys.argv[1],
    },
)
"""
SIMULATE = """
import json, sys
import nest
times = json.loads(sys.argv[1])
nest.resolution = 1.0
nest.Install("ruledslmodule")
source = nest.Create("spike_generator", params={"spike_times": times})
pre, post = nest.Create("parrot_neuron"), nest.Create("cell_neuron_nestml__with_bcm_synapse_nestml")
nest.Connect(source, pre)
synapse = {"synapse_model": "bcm_synapse_nestml__with_cell_neuron_nestml", "w": 0.3, "delay": 1.0}
nest.Connect(pre, post, syn_spec=synapse)
weights = [0.3]
for _ in range(60):
    nest.Simulate(1.0)
    now = nest.GetConnections(pre, post).get("w")
    weights += [now] if now != weights[-1] else []
print("WEIGHTS", json.dumps(weights))
"""


@pytest.mark.skipif(
    not os.environ.get("RULEDSL_NEST"), reason="compiles and simulates with NEST: RULEDSL_NEST=1"
)
def test_a_synapse_in_nest_moves_as_the_rule_says(tmp_path: Path) -> None:
    nest = pytest.importorskip("nest")
    (tmp_path / "neuron.nestml").write_text(NEURON, encoding="utf-8")
    theta = ",".join(f"{name}={value}" for name, value in THETA.items())
    ruledsl.export("bcm", "nestml", theta=theta, out=tmp_path / "bcm.nestml")
    config = tmp_path / "nest" / "bin" / "nest-config"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG.format(nest=Path(nest.__file__).parent), encoding="utf-8")
    config.chmod(0o755)
    (tmp_path / "target").mkdir()
    _run(tmp_path, BUILD, str(tmp_path / "nest"))
    said = _run(tmp_path, SIMULATE, json.dumps(SPIKES))
    line = next(line for line in said.splitlines() if line.startswith("WEIGHTS"))
    found = json.loads(line.removeprefix("WEIGHTS"))
    assert found == pytest.approx(_by_hand(), rel=1e-12)


def _run(folder: Path, code: str, argument: str) -> str:
    places = {"LD_LIBRARY_PATH": str(folder / "target")}
    command = [sys.executable, "-c", code, argument]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **places}
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def _by_hand() -> list[float]:
    """A spike at a time: y_pre decays with 20 ms and grows by one, then the rule of bcm.rule moves w."""
    weights, y_pre, before, y, e = [0.3], 0.0, 0.0, 0.5, -0.25
    for now in SPIKES:
        y_pre = y_pre * exp((before - now) / 20) + 1
        before = now
        change = -THETA["pseudo_gradient"] * e * y_pre + THETA["bcm_term"] * y * (y - 0.1) * y_pre
        weights.append(weights[-1] + change)
    return weights
